"""What somebody sees who opens a share link: plain HTML that works without a script. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode

from photo_api.contract import API_PREFIX, SHARE_PAGES
from photo_api.shares.visits import SharedPhoto

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "one": "1 photo",
        "count": "{n} photos",
        "none": "There are no photos in this album yet.",
        "more": "More photos",
        "first": "From the beginning",
        "back": "All photos",
        "previous": "Previous",
        "next": "Next",
        "whole": "Full size",
        "download": "Download the original",
        "pending": "This photo is being prepared. It will be shown in a moment.",
        "failed": "This photo cannot be shown.",
        "not_found": "This link does not work. Its owner may have revoked it; ask for a new one.",
        "gone": "This photo is not there any more. Its owner has taken it out.",
        "share_expired": "This link has expired. Ask its owner for a new one.",
        "busy": "This cannot be shown right now. Try again in a moment.",
        "untitled": "Photo",
    },
    "ko": {
        "one": "사진 1장",
        "count": "사진 {n}장",
        "none": "이 앨범에는 아직 사진이 없습니다.",
        "more": "사진 더 보기",
        "first": "처음부터 보기",
        "back": "전체 사진",
        "previous": "이전",
        "next": "다음",
        "whole": "원래 크기로 보기",
        "download": "원본 내려받기",
        "pending": "사진을 준비하고 있습니다. 잠시 후 표시됩니다.",
        "failed": "이 사진은 표시할 수 없습니다.",
        "not_found": "이 링크는 쓸 수 없습니다. 소유자가 취소했을 수 있으니 새 링크를 요청하세요.",
        "gone": "이 사진은 더 이상 없습니다. 소유자가 내렸습니다.",
        "share_expired": "이 링크는 만료되었습니다. 소유자에게 새 링크를 요청하세요.",
        "busy": "지금은 보여 드릴 수 없습니다. 잠시 후 다시 시도하세요.",
        "untitled": "사진",
    },
}

PREVIEW_EDGE = 1440
"""Pixels of a preview's longer side, at most."""

AGAIN = 5
"""Seconds after which the page of a photo that is being made looks again, also without a script."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What all these pages have: their language, the address of this service (may be empty), and
    the built files that they load."""

    language: str
    public_url: str
    style: str
    script: str

    def text(self, key: str, **values: object) -> str:
        return TEXTS[self.language][key].format(**values)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a visitor is: in the album of this link, at the page `behind` this cursor."""

    token: str
    behind: str

    @property
    def path(self) -> str:
        return f"{SHARE_PAGES}{self.token}"

    def page(self, cursor: str) -> str:
        """Another page of the same visit, escaped."""
        return escape(f"{self.path}?{urlencode({'cursor': cursor} if cursor else {'seen': 1})}")

    def photo(self, photo_id: int) -> str:
        """Escaped, as are images."""
        behind = f"?{urlencode({'page': self.behind})}" if self.behind else ""
        return escape(f"{self.path}/photos/{photo_id}{behind}")

    def image(self, photo_id: int, size: str) -> str:
        return f"{API_PREFIX}{self.path}/photos/{photo_id}/image?size={size}"


def language_of(accepted: str) -> str:
    """The language of ours that an Accept-Language names first."""
    parts = (part.partition(";")[0].strip().lower() for part in accepted.split(",")[:20])
    return next((tag for tag in (part.split("-")[0] for part in parts) if tag in TEXTS), "en")


def album_page(
    frame: Frame, place: Place, album: Any, photos: Sequence[Mapping[str, Any]], more: str | None
) -> str:
    """A page of a shared album, whose `photos` are as the API shows them; `more` is the cursor of
    the next page."""
    count = album["photo_count"]
    counted = frame.text("one" if count == 1 else "count", n=f"{count:,}")
    text = album["album_description"]
    tiles = "\n".join(_tile(frame, place, photo) for photo in photos)
    links = [
        f'<a class="button" href="{place.page(to)}"{rel}>{frame.text(key)}</a>'
        for to, rel, key in (("", "", "first"), (more or "", ' rel="next"', "more"))
        if (place.behind if key == "first" else more)
    ]
    body = f"""<header><h1>{escape(album["name"])}</h1>
{f'<p class="about">{escape(text)}</p>' if text else ""}
<p class="count">{counted}</p></header>
<main>{f'<ul class="tiles">{tiles}</ul>' if photos else f"<p>{frame.text('none')}</p>"}
{f'<nav class="more">{"".join(links)}</nav>' if links else ""}</main>"""
    shown = [photo for photo in photos if photo["preview_url"]]
    cover = [photo for photo in shown if photo["id"] == album["cover_photo_id"]] + shown
    image = place.image(cover[0]["id"], "preview") if cover else None
    return _document(frame, album["name"], text or counted, image, body, place.path)


def photo_page(frame: Frame, place: Place, shown: SharedPhoto) -> str:
    """One shared photo, with links to those beside it and back to its page of the album."""
    photo = shown.photo
    title = photo["title"] or frame.text("untitled")
    links = "".join(
        f'<a class="button" rel="{rel}" href="{place.photo(to)}">{frame.text(key)}</a>'
        for to, rel, key in (
            (shown.before, "prev", "previous"),
            (shown.after, "next", "next"),
        )
        if to is not None
    )
    text = f"<p>{escape(photo['description'])}</p>" if photo["description"] else ""
    original = (
        f' <a download href="{place.image(photo["id"], "original")}">{frame.text("download")}</a>'
        if shown.allow_original
        else ""
    )
    pending = photo["renditions"] == "pending" and not photo["preview_url"]
    picture = frame.text("pending" if pending else "failed")
    if photo["preview_url"]:
        whole = place.image(photo["id"], "display")
        picture = f'<a href="{whole}">{_picture(place, photo, title)}</a>'
        original = f'<a href="{whole}">{frame.text("whole")}</a>{original}'
    back = f"{place.page(place.behind)}#photo-{photo['id']}"
    body = f"""<nav><a class="button" rel="up" href="{back}">{frame.text("back")}</a>
<span>{links}</span></nav>
<main class="photo"><figure>{picture}
<figcaption><h1>{escape(title)}</h1>{text}</figcaption></figure>
<p class="files">{original}</p></main>"""
    image = place.image(photo["id"], "preview") if photo["preview_url"] else None
    path = f"{place.path}/photos/{photo['id']}"
    again = f'<meta http-equiv="refresh" content="{AGAIN}">\n' if pending else ""
    return _document(frame, title, photo["description"] or "", image, body, path, again)


def gone_page(frame: Frame, place: Place) -> str:
    """In place of a photo that the link shows no more, with the way back to the others."""
    text = frame.text("gone")
    back = f'<a class="button" rel="up" href="{place.page(place.behind)}">{frame.text("back")}</a>'
    body = f'<nav>{back}</nav><main class="problem"><h1>{text}</h1></main>'
    return _document(frame, text, "", None, body, "")


def problem_page(frame: Frame, problem: str) -> str:
    """`not_found`, `share_expired` or `busy`, in words."""
    text = frame.text(problem)
    return _document(frame, text, "", None, f'<main class="problem"><h1>{text}</h1></main>', "")


def _tile(frame: Frame, place: Place, photo: Mapping[str, Any]) -> str:
    title = escape(photo["title"] or frame.text("untitled"))
    address = photo["thumbnail_url"]
    if address and address.startswith("/"):
        address = API_PREFIX + address  # streamed by the service itself
    shown = (
        f'<img src="{escape(address)}" loading="lazy" decoding="async"'
        f'{_size(photo["width"], photo["height"])} alt="{title}">'
        if address
        else f"<span>{title}</span>"
    )
    number = photo["id"]
    return f'<li id="photo-{number}"><a href="{place.photo(number)}">{shown}</a></li>'


def _picture(place: Place, photo: Mapping[str, Any], title: str) -> str:
    """As large as the screen needs it."""
    width, height = photo["width"], photo["height"]
    preview, whole = (place.image(photo["id"], size) for size in ("preview", "display"))
    either = ""
    if width and height and max(width, height) > PREVIEW_EDGE:
        small = max(1, round(width * PREVIEW_EDGE / max(width, height)))
        either = f' srcset="{preview} {small}w, {whole} {width}w" sizes="100vw"'
    return f'<img src="{preview}"{either}{_size(width, height)} alt="{escape(title)}">'


def _size(width: int | None, height: int | None) -> str:
    """So that nothing moves when the image has come."""
    return f' width="{width}" height="{height}"' if width and height else ""


def _document(
    frame: Frame, title: str, about: str, image: str | None, body: str, path: str, more: str = ""
) -> str:
    """With what messengers show of a link. They want whole addresses: without a public one there
    is no picture."""
    tags: Sequence[tuple[str, str | None]] = (
        ("og:type", "website"),
        ("og:title", title),
        ("og:description", about or None),
        ("og:url", frame.public_url + path if frame.public_url and path else None),
        ("og:image", frame.public_url + image if frame.public_url and image else None),
        ("og:image:alt", title if image else None),
        ("og:locale", {"ko": "ko_KR"}.get(frame.language, "en_GB")),
    )
    meta = "".join(
        f'<meta property="{name}" content="{escape(value)}">\n' for name, value in tags if value
    )
    card = "summary_large_image" if image else "summary"
    return f"""<!doctype html>
<html lang="{frame.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex, nofollow">
<meta name="theme-color" content="#fbfaf8" media="(prefers-color-scheme: light)">
<meta name="theme-color" content="#16181b" media="(prefers-color-scheme: dark)">
<title>{escape(title)}</title>
{meta}<meta name="twitter:card" content="{card}">
{more}<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{frame.style}">
<script type="module" src="{frame.script}"></script>
</head>
<body class="shared">
{body}
</body>
</html>
"""
