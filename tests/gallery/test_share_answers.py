"""Pages of share links, as they come: what they say, count, and keep to themselves."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from photo_api.gallery.share_page import TEXTS
from photo_api.gallery.share_routes import PHOTOS_AT_ONCE
from tests.in_process import Asked, in_process
from tests.own_stage import ask
from tests.service import Service, User, migrate_once

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/131", "Accept-Language": "en-GB"}
MESSENGER = {"User-Agent": "facebookexternalhit/1.1; kakaotalk-scrap/1.0"}
EMPTY = ("meta", "link", "img", "br")


class Whole(HTMLParser):
    """Fails where an element is not closed, or closed by another."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {"style", "onclick", "onerror"} & {name for name, _ in attrs}
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def album(alice: User) -> dict[str, Any]:
    about = {"name": "<Dokdo>", "description": "Two & two"}
    made: dict[str, Any] = alice.api.post("/albums/", json=about).json()
    titles = ("First", '"Second" <b>', "Third")
    photos = [alice.upload(album_id=made["id"], title=title)["id"] for title in titles]
    for photo in photos:
        alice.rendered(photo)
    return made | {"photos": photos}


@pytest.fixture
def share(alice: User, album: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = alice.api.post(f"/albums/{album['id']}/share").json()
    return made


def opened(service: Service, path: str, **headers: str) -> httpx.Response:
    answer = httpx.get(service.url + path, headers=BROWSER | headers)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    Whole(answer.text)
    return answer


def links(page: httpx.Response, rel: str = "") -> list[str]:
    named = f'rel="{rel}" ' if rel else ""
    found = re.findall(rf'<a (?:class="button" )?{named}[^>]*?href="([^"]+)"', page.text)
    return [unescape(one) for one in found]


def test_an_album_s_page_shows_its_photos_to_anybody(
    service: Service, share: dict[str, Any], album: dict[str, Any]
) -> None:
    page = opened(service, urlsplit(share["share_url"]).path)
    assert "<h1>&lt;Dokdo&gt;</h1>" in page.text
    assert "Two &amp; two" in page.text
    assert "3 photos" in page.text
    assert 'alt="&quot;Second&quot; &lt;b&gt;"' in page.text
    shown = [unescape(one) for one in re.findall(r'<img src="([^"]+)"', page.text)]
    assert [httpx.get(url).headers["Content-Type"] for url in shown] == ["image/webp"] * 3
    for loaded in re.findall(r'(?:href|src)="(/assets/[^"]+)"', page.text):
        assert httpx.get(service.url + loaded).status_code == 200
    policy = page.headers["Content-Security-Policy"]
    for url in shown:
        assert f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" in policy
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in page.headers["X-Robots-Tag"]
    assert page.headers["Cache-Control"] == "private, no-cache"


def test_a_visit_is_one_view(service: Service, share: dict[str, Any], alice: User) -> None:
    path = f"/share/{share['token']}"
    page = opened(service, path)
    [photo, *_] = [one for one in links(page) if "/photos/" in one]
    seen = opened(service, photo)
    opened(service, links(seen, "next")[0])
    opened(service, links(seen, "up")[0].partition("#")[0])
    httpx.get(service.url + path, headers=MESSENGER).raise_for_status()
    httpx.head(service.url + path, headers=BROWSER).raise_for_status()
    [link] = alice.api.get(f"/albums/{share['album_id']}/share").json()
    assert link["view_count"] == 1
    opened(service, path)
    [link] = alice.api.get(f"/albums/{share['album_id']}/share").json()
    assert link["view_count"] == 2


@pytest.mark.parametrize("order", ["position", "-position", "taken", "-taken"])
def test_photos_lead_to_those_beside_them_in_the_album_s_order(
    service: Service, share: dict[str, Any], album: dict[str, Any], alice: User, order: str
) -> None:
    alice.api.patch(f"/albums/{album['id']}", json={"sort": order}).raise_for_status()
    listed = alice.api.get(f"/albums/{album['id']}").json()["photos"]
    path, walked = f"/share/{share['token']}/photos/{listed[0]['id']}", []
    while path:
        page = opened(service, path)
        walked.append(int(path.rpartition("/")[2]))
        if len(walked) > 1:
            assert links(page, "prev") == [f"/share/{share['token']}/photos/{walked[-2]}"]
        path = next(iter(links(page, "next")), "")
    assert walked == [photo["id"] for photo in listed]


def test_messengers_find_a_picture_that_they_can_fetch(
    service: Service, share: dict[str, Any], album: dict[str, Any], alice: User
) -> None:
    cover = album["photos"][1]
    alice.api.patch(f"/albums/{album['id']}", json={"cover_photo_id": cover}).raise_for_status()
    path = f"/share/{share['token']}"
    page = httpx.get(service.url + path, headers=MESSENGER).text
    tags = dict(re.findall(r'<meta property="(og:[a-z:]+)" content="([^"]*)">', page))
    assert tags["og:title"] == "&lt;Dokdo&gt;"
    assert tags["og:url"] == f"https://photos.example.org{path}"
    image = urlsplit(unescape(tags["og:image"]))
    assert f"/photos/{cover}/" in image.path
    found = httpx.get(
        f"{service.url}{image.path}?{image.query}", headers=MESSENGER, follow_redirects=True
    )
    assert (found.status_code, found.headers["Content-Type"]) == (200, "image/webp")


def test_the_original_is_offered_where_its_owner_lets_visitors_have_it(
    service: Service, album: dict[str, Any], alice: User
) -> None:
    for allowed in (False, True):
        body = {"allow_original": allowed}
        token = alice.api.post(f"/albums/{album['id']}/share", json=body).json()["token"]
        page = opened(service, f"/share/{token}/photos/{album['photos'][0]}")
        assert ("size=original" in page.text) == allowed


@pytest.mark.parametrize(("accepted", "language"), [("ko-KR,en;q=0.5", "ko"), ("kok,fr", "en")])
def test_it_speaks_the_visitor_s_language(
    service: Service, share: dict[str, Any], accepted: str, language: str
) -> None:
    page = opened(service, f"/share/{share['token']}", **{"Accept-Language": accepted})
    assert f'<html lang="{language}">' in page.text
    assert TEXTS[language]["count"].format(n=3) in page.text
    gone = opened(service, "/share/unknown", **{"Accept-Language": accepted})
    assert TEXTS[language]["not_found"] in gone.text
    assert TEXTS["en"].keys() == TEXTS["ko"].keys()


def test_a_link_that_does_not_work_says_so(
    service: Service, share: dict[str, Any], album: dict[str, Any], alice: User
) -> None:
    path, photo = f"/share/{share['token']}", f"/photos/{album['photos'][0]}"
    elsewhere = alice.upload()["id"]
    for unknown in (
        *("/share/x", "/share/%00", "/share/%FF", "/share/" + "a" * 3000, f"/share/x{photo}"),
        *(f"{path}/photos/{2**60}", f"{path}/photos/x"),
        *(f"{path}/nothing", f"{path}/photos/-1"),
    ):
        answer = opened(service, unknown)
        assert answer.status_code == 404, unknown
        assert TEXTS["en"]["not_found"] in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    # The link works, and leads back to what it shows.
    answer = opened(service, f"{path}/photos/{elsewhere}?page=x")
    assert answer.status_code == 404
    assert TEXTS["en"]["gone"] in answer.text
    assert f'rel="up" href="{path}?cursor=x"' in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    later = httpx.get(f"{service.url}{path}?cursor=nonsense", headers=BROWSER)
    assert (later.status_code, later.headers["Location"]) == (303, f"{path}?seen=1")
    past = "UPDATE shares SET expires_at = now() - interval '1 s' WHERE id = $1"
    ask(service.environ, past, share["id"])
    for gone in (path, path + photo):
        assert opened(service, gone).status_code == 410
    alice.api.delete(f"/albums/{album['id']}/share/{share['id']}").raise_for_status()
    assert opened(service, path).status_code == 404


def test_a_large_album_comes_in_pages(service: Service, alice: User) -> None:
    made = alice.album("Large")["id"]
    first = alice.upload(album_id=made)["id"]
    count = 2 * PHOTOS_AT_ONCE + 5
    ask(
        service.environ,
        "WITH more AS (INSERT INTO photos (owner_id, status, album_id, title, original_filename,"
        " content_type, file_size, object_key) SELECT owner_id, status, album_id, 'x', 'x.jpg',"
        " content_type, file_size, format('photos/%s/%s', id, g)"
        " FROM photos, generate_series(2, $2::int) g WHERE id = $1 RETURNING id, album_id)"
        " INSERT INTO album_photos (album_id, photo_id, position)"
        " SELECT album_id, id, id * 1000 FROM more",
        first,
        count,
    )
    path = f"/share/{alice.api.post(f'/albums/{made}/share').json()['token']}"
    seen: list[str] = []
    while path:
        page = opened(service, path)
        seen += [one.partition("?")[0] for one in links(page) if "/photos/" in one]
        cursor = urlsplit(path).query.removeprefix("cursor=")
        if cursor:
            inside = opened(service, next(one for one in links(page) if "/photos/" in one))
            assert links(inside, "up")[0].startswith(f"{path}#photo-")
        path = next(iter(re.findall(r'href="([^"]+)" rel="next"', page.text)), "")
    assert len(seen) == len(set(seen)) == count


async def test_what_is_busy_is_told_in_words(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate_once(environ)
    async with in_process(environ | {"PHOTO_API_MAX_IN_FLIGHT": "1"}) as worker:

        async def away(*_: object, **__: object) -> None:
            raise ConnectionRefusedError("the database is away")

        monkeypatch.setattr(type(worker.parts.db), "fetch", away)
        korean = [(b"accept-language", b"ko")]
        start, answer = await worker.ask(Asked("GET", "/share/abc", b"", korean))
    headers = dict(start["headers"])
    assert start["status"] in (500, 503)
    assert TEXTS["ko"]["busy"] in answer["body"].decode()
    assert headers[b"content-type"] == b"text/html; charset=utf-8"
    assert int(headers[b"content-length"]) == len(answer["body"])
