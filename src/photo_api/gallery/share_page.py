"""What somebody sees who opens a share link: plain HTML that works without a script."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "count": "{n} photos",
        "more": "More photos",
        "back": "All photos",
        "previous": "Previous",
        "next": "Next",
        "download": "Download",
        "not_found": "This link does not work. Its owner may have revoked it; ask for a new one.",
        "share_expired": "This link has expired. Ask its owner for a new one.",
        "busy": "This cannot be shown right now. Try again in a moment.",
        "untitled": "Photo",
    },
    "ko": {
        "count": "사진 {n}장",
        "more": "사진 더 보기",
        "back": "전체 사진",
        "previous": "이전",
        "next": "다음",
        "download": "내려받기",
        "not_found": "이 링크는 쓸 수 없습니다. 소유자가 취소했을 수 있으니 새 링크를 요청하세요.",
        "share_expired": "이 링크는 만료되었습니다. 소유자에게 새 링크를 요청하세요.",
        "busy": "지금은 보여 드릴 수 없습니다. 잠시 후 다시 시도하세요.",
        "untitled": "사진",
    },
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What all these pages have: their language, the address of this service (may be empty), and
    the built files that they load."""

    language: str
    public_url: str
    style: str
    script: str | None

    def text(self, key: str, **values: object) -> str:
        return TEXTS[self.language][key].format(**values)


def language_of(accepted: str) -> str:
    """The language of ours that an Accept-Language names first."""
    tags = (part.strip().lower()[:2] for part in accepted.split(",")[:20])
    return next((tag for tag in tags if tag in TEXTS), "en")


def album_page(frame: Frame, token: str, album: Mapping[str, Any], more: str | None) -> str:
    """A page of a shared album: `album` as the API's view of a share, `more` the cursor of the next
    page."""
    name, photos = album["album_name"], album["photos"]
    about = album["album_description"] or frame.text("count", n=album["photo_count"])
    tiles = "\n".join(_tile(frame, token, photo) for photo in photos)
    further = (
        f'<p class="more"><a rel="next" href="/share/{token}?cursor={more}">'
        f"{frame.text('more')}</a></p>"
        if more
        else ""
    )
    description = (
        f"<p class=about>{escape(album['album_description'])}</p>"
        if album["album_description"]
        else ""
    )
    body = f"""<header><h1>{escape(name)}</h1>{description}
<p class="count">{frame.text("count", n=album["photo_count"])}</p></header>
<main><ul class="tiles">{tiles}</ul>{further}</main>"""
    image = _image(token, photos[0], "preview") if photos else None
    return _document(frame, name, about, image, body, f"/share/{token}")


def photo_page(
    frame: Frame, token: str, photo: Mapping[str, Any], around: tuple[int | None, int | None]
) -> str:
    """One shared photo, with the ids of its neighbours in the album."""
    title = photo["title"] or frame.text("untitled")
    links = "".join(
        f'<a rel="{rel}" href="/share/{token}/photos/{to}">{frame.text(text)}</a>'
        for to, rel, text in zip(around, ("prev", "next"), ("previous", "next"), strict=True)
        if to is not None
    )
    caption = f"<p>{escape(photo['description'])}</p>" if photo["description"] else ""
    size = _size(photo)
    body = f"""<nav><a href="/share/{token}">{frame.text("back")}</a>{links}</nav>
<main class="photo"><figure><img src="{_image(token, photo, "display")}"{size}
alt="{escape(title)}"><figcaption><h1>{escape(title)}</h1>{caption}</figcaption></figure>
<p><a download href="{_image(token, photo, "original")}">{frame.text("download")}</a></p></main>"""
    image = _image(token, photo, "preview")
    return _document(frame, title, "", image, body, f"/share/{token}/photos/{photo['id']}")


def problem_page(frame: Frame, problem: str) -> str:
    """`not_found`, `share_expired` or `busy`, in words."""
    text = frame.text(problem)
    return _document(frame, text, "", None, f"<main class=problem><h1>{text}</h1></main>", "/")


def _tile(frame: Frame, token: str, photo: Mapping[str, Any]) -> str:
    title = photo["title"] or frame.text("untitled")
    shown = (
        f'<img src="{escape(photo["thumbnail_url"])}" loading="lazy" decoding="async"'
        f'{_size(photo)} alt="{escape(title)}">'
        if photo["thumbnail_url"]
        else f"<span>{escape(title)}</span>"
    )
    return f'<li><a href="/share/{token}/photos/{photo["id"]}">{shown}</a></li>'


def _size(photo: Mapping[str, Any]) -> str:
    """So that nothing moves when the image has come."""
    if not photo["width"] or not photo["height"]:
        return ""
    return f' width="{photo["width"]}" height="{photo["height"]}"'


def _image(token: str, photo: Mapping[str, Any], size: str) -> str:
    return f"/api/share/{token}/photos/{photo['id']}/image?size={size}"


def _document(frame: Frame, title: str, about: str, image: str | None, body: str, path: str) -> str:
    """With what messengers show of a link. They want whole addresses: without a public one there
    is no picture."""
    tags: Sequence[tuple[str, str | None]] = (
        ("og:type", "website"),
        ("og:title", title),
        ("og:description", about or None),
        ("og:url", frame.public_url + path if frame.public_url else None),
        ("og:image", frame.public_url + image if frame.public_url and image else None),
        ("twitter:card", "summary_large_image" if image else None),
    )
    meta = "".join(
        f'<meta property="{name}" content="{escape(value)}">\n' for name, value in tags if value
    )
    script = f'<script type="module" src="{frame.script}"></script>\n' if frame.script else ""
    return f"""<!doctype html>
<html lang="{frame.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{escape(title)}</title>
{meta}<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{frame.style}">
{script}</head>
<body>
{body}
</body>
</html>
"""
