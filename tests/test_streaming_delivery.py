"""Delivery through the server, for stores that browsers cannot reach."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from time import sleep
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from photo_api.renditions.jpeg import without_metadata
from tests.fuzzing import fuzzed
from tests.metrics.scraping import scrape
from tests.service import Service, User, eventually, heic, jpeg, running_service
from tests.test_memory import ALLOWED, LARGE, MB, Peak, web_worker


@pytest.fixture(scope="module")
def streaming(
    environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    changed = environ | {"PHOTO_API_DELIVERY": "stream"}
    with running_service(changed, tmp_path_factory.mktemp("streaming")) as running:
        yield running


@pytest.fixture
def carol(streaming: Service) -> Iterator[User]:
    """Somebody whose photos are streamed."""
    with streaming.new_user() as user:
        yield user


@pytest.fixture
def data() -> bytes:
    return jpeg(200, 100)


@pytest.fixture
def path(carol: User, data: bytes) -> str:
    """The image route of a photo with these bytes."""
    return f"/photos/{carol.upload(data)['id']}/image"


def test_the_image_comes_from_here(carol: User, path: str, data: bytes) -> None:
    image = carol.api.get(path)
    assert (image.status_code, image.content) == (200, data)
    assert image.headers["Content-Type"] == "image/jpeg"
    assert image.headers["Content-Length"] == str(len(data))
    assert image.headers["Accept-Ranges"] == "bytes"
    assert image.headers["Cache-Control"].startswith("private, max-age=")
    assert image.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Range" not in image.headers


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=10-", 10, None),
        ("bytes=0-", 0, None),
        ("bytes=-7", -7, None),
        ("bytes=-99999999", 0, None),
        ("bytes=10-99999999", 10, None),
        ("Bytes=10-19", 10, 20),
    ],
)
def test_a_range(
    carol: User, path: str, data: bytes, asked: str, start: int, end: int | None
) -> None:
    part = carol.api.get(path, headers={"Range": asked})
    expected = data[start:end]
    first = data.index(expected) if start < 0 else start
    assert (part.status_code, part.content) == (206, expected)
    last = first + len(expected) - 1
    assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(data)}"
    assert part.headers["Content-Length"] == str(len(expected))


def test_a_front_end_elsewhere_reads_which_part_it_is_and_its_name(carol: User, path: str) -> None:
    headers = {"Range": "bytes=0-9", "Origin": "https://front.example.org"}
    answer = carol.api.get(path, headers=headers)
    for header in ("Accept-Ranges", "Content-Range", "Content-Disposition"):
        assert header in answer.headers
        assert header in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=5-2",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-1,4-5",
        "lines=0-1",
        "bytes 0-1",
        "bytes=0-99999999999999999999999",
        "",
    ],
)
def test_what_is_no_range_of_ours_gets_the_whole(
    carol: User, path: str, data: bytes, asked: str
) -> None:
    image = carol.api.get(path, headers={"Range": asked})
    assert (image.status_code, image.content) == (200, data)


def test_a_range_of_another_version_gets_the_whole(carol: User, path: str, data: bytes) -> None:
    headers = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert carol.api.get(path, headers=headers).content == data


@pytest.fixture(scope="module")
def streamed(streaming: Service) -> Iterator[tuple[User, str, bytes]]:
    """Somebody, the image route of a photo, and its bytes."""
    with streaming.new_user() as user:
        data = jpeg(20, 10)
        yield user, f"/photos/{user.upload(data)['id']}/image", data


offsets = st.integers(0, 2000) | st.integers(0, 10**25)
ranges = st.builds(
    lambda unit, first, last: f"{unit}{first}-{last}",
    st.sampled_from(["bytes=", "bytes=", "BYTES=", "bytes = ", "bits=", "bytes=0-1,"]),
    offsets | st.just("") | st.sampled_from(["-1", "+1", "0x1", "٣", " 1"]),
    offsets | st.just("") | st.text("0123456789-,;= ", max_size=9),
)


@fuzzed(80)
@given(asked=ranges)
def test_any_range_gives_the_part_that_it_names_or_the_whole(
    streamed: tuple[User, str, bytes], asked: str
) -> None:
    user, path, data = streamed
    answer = user.api.get(path, headers={b"Range": asked.strip().encode()})
    if answer.status_code == 206:
        unit, first, last, size = re.split(r"[ /-]", answer.headers["Content-Range"])
        assert (unit, int(size)) == ("bytes", len(data))
        assert answer.content == data[int(first) : int(last) + 1] != b""
    elif answer.status_code == 416:
        assert answer.headers["Content-Range"] == f"bytes */{len(data)}"
    else:
        assert (answer.status_code, answer.content) == (200, data)


@pytest.mark.parametrize("beyond", [0, 1, 10**17])
def test_a_range_behind_the_end_is_416(carol: User, path: str, data: bytes, beyond: int) -> None:
    answer = carol.api.get(path, headers={"Range": f"bytes={len(data) + beyond}-"})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert carol.api.get(path, headers={"Range": "bytes=-0"}).status_code == 416


def test_head_tells_what_get_would_send(carol: User, path: str, data: bytes) -> None:
    """Also with a Range, which means nothing to HEAD (RFC 9110, 14.2)."""
    for headers in ({}, {"Range": "bytes=0-9"}):
        answer = carol.api.head(path, headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(data))
        assert answer.headers["Content-Type"] == "image/jpeg"


def test_the_file_keeps_its_korean_name(carol: User) -> None:
    name = '제주도 "바다".jpg'
    photo = carol.upload(filename=name)
    disposition = carol.api.get(photo["url"]).headers["Content-Disposition"]
    kind, *parameters = disposition.split("; ")
    assert kind == "inline"
    exact = next(item for item in parameters if item.startswith("filename*="))
    assert unquote(exact.removeprefix("filename*=UTF-8''")) == name
    plain = next(item for item in parameters if item.startswith("filename="))
    assert plain.isascii()


def test_renditions_have_relative_addresses_that_work(carol: User, data: bytes) -> None:
    photo_id = carol.upload(data, filename="바다.jpg")["id"]
    photo = carol.rendered(photo_id)
    for size, longest in (("thumbnail", 200), ("preview", 200)):
        assert photo[f"{size}_url"] == f"/photos/{photo_id}/image?size={size}"
        image = carol.api.get(photo[f"{size}_url"])
        assert image.headers["Content-Type"] == "image/webp"
        assert unquote(image.headers["Content-Disposition"]).endswith("바다.webp")
        assert max(Image.open(BytesIO(image.content)).size) == longest
        part = carol.api.get(photo[f"{size}_url"], headers={"Range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, b"RIFF")


def test_a_heic_is_shown_and_its_original_kept(carol: User) -> None:
    data = heic(200, 100)
    url = carol.upload(data, filename="바다.heic")["url"]

    def full() -> httpx.Response | None:
        answer = carol.api.get(url)
        return None if "no-store" in answer.headers["Cache-Control"] else answer

    image = eventually(full, 30)
    assert image is not None
    assert (image.status_code, image.headers["Content-Type"]) == (200, "image/webp")
    assert unquote(image.headers["Content-Disposition"]).endswith("바다.webp")
    assert Image.open(BytesIO(image.content)).size == (200, 100)
    original = carol.api.get(f"{url}?size=original")
    assert (original.content, original.headers["Content-Type"]) == (data, "image/heic")


def test_no_original_stands_in_for_a_thumbnail(carol: User) -> None:
    data = b"\xff\xd8\xff\xe0" + bytes(1000)
    photo = carol.rendered(carol.upload(data)["id"])
    for size in ("thumbnail", "preview"):
        answer = carol.api.get(f"{photo['url']}?size={size}")
        assert answer.status_code == 404
        assert "Retry-After" not in answer.headers
        assert "size=original" in answer.json()["detail"]
    for size in ("auto", "display", "original"):
        image = carol.api.get(f"{photo['url']}?size={size}")
        assert (image.content, image.headers["Content-Type"]) == (data, "image/jpeg")


def test_only_the_owner_gets_it(carol: User, streaming: Service, path: str) -> None:
    with streaming.new_user() as other:
        assert other.api.get(path).status_code == 404
        assert other.api.head(path).status_code == 404
    assert httpx.get(f"{streaming.url}/api{path}").status_code == 401


def test_a_deleted_photo_is_no_longer_delivered(carol: User, path: str) -> None:
    carol.api.delete(path.removesuffix("/image")).raise_for_status()
    assert carol.api.get(path).status_code == 404


def test_shared_images(carol: User, streaming: Service, data: bytes) -> None:
    album = carol.album()["id"]
    photo_id = carol.upload(data, album)["id"]
    carol.rendered(photo_id)
    share = carol.api.post(f"/albums/{album}/share").json()
    with httpx.Client(base_url=f"{streaming.url}/api") as visitor:
        shown: dict[str, Any] = visitor.get(f"/share/{share['token']}").json()["photos"][0]
        assert shown["url"] == f"/share/{share['token']}/photos/{photo_id}/image"
        kept = "private, max-age=150"
        eventually(lambda: visitor.get(shown["url"]).headers["Cache-Control"] == kept)
        full = visitor.get(shown["url"])
        assert full.headers["Content-Type"] == "image/jpeg"
        assert full.content == without_metadata(data, 1) != data
        length = len(full.content)
        assert visitor.head(shown["url"]).headers["Content-Length"] == str(length)
        part = visitor.get(shown["url"], headers={"Range": "bytes=-3"})
        assert (part.status_code, part.content) == (206, full.content[-3:])
        assert shown["thumbnail_url"].startswith(shown["url"])
        thumbnail = visitor.get(shown["thumbnail_url"])
        assert thumbnail.headers["Content-Type"] == "image/webp"
        carol.api.delete(f"/albums/{album}/share/{share['id']}").raise_for_status()
        assert visitor.get(shown["thumbnail_url"]).status_code == 404


@contextmanager
def half_read(
    service: Service, user: User, path: str, forwarded: str = "127.0.0.1"
) -> Iterator[socket.socket]:
    """A download whose reader has taken only the beginning so far."""
    address = urlsplit(service.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.settimeout(30)
        connection.connect((address.hostname, address.port))
        connection.sendall(
            f"GET /api{path} HTTP/1.1\r\nHost: photos\r\nConnection: close\r\n"
            f"X-Forwarded-For: {forwarded}\r\n"
            f"Authorization: {user.api.headers['Authorization']}\r\n\r\n".encode()
        )
        assert connection.recv(1024).startswith(b"HTTP/1.1 200")
        yield connection


def test_a_large_file_flows_at_constant_memory(carol: User, streaming: Service) -> None:
    """As fast as it is read: also when ten readers stop in the middle."""
    data = jpeg() + bytes(LARGE)
    path = carol.upload(data)["url"]
    assert carol.api.get(path).content == data
    peak = Peak(web_worker(streaming))
    assert carol.api.get(path).content == data
    assert peak.rise <= ALLOWED
    with half_read(streaming, carol, path) as reader:
        received = len(reader.recv(MB))
        sleep(1)
        assert peak.rise <= ALLOWED
        while chunk := reader.recv(MB):
            received += len(chunk)
    assert received > LARGE
    assert peak.rise <= ALLOWED


def test_a_reader_that_goes_away_is_no_error(carol: User, streaming: Service) -> None:
    path = carol.upload(jpeg() + bytes(10 * MB))["url"]
    with half_read(streaming, carol, path):
        pass
    assert carol.api.get("/auth/me").status_code == 200
    eventually(lambda: '"route":"/api/photos/{photo_id}/image"' in streaming.log)
    assert "Traceback" not in streaming.log


def test_only_so_many_are_streamed_at_once(start_service: Callable[..., Service]) -> None:
    """Half of them to one address. Others wait for a moment and are told when to come again."""
    service = start_service("--no-jobs", DELIVERY="stream", MAX_STREAMS="2")
    with service.new_user() as user:
        path = user.upload(jpeg() + bytes(20 * MB))["url"]

        def ask(address: str, method: str = "GET") -> httpx.Response:
            headers = {"X-Forwarded-For": address, "Range": "bytes=0-9"}
            return user.api.request(method, path, headers=headers)

        with half_read(service, user, path):
            refused = ask("127.0.0.1")
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
            assert refused.headers["Retry-After"] == "2"
            assert ask("10.1.1.1").status_code == 206
            assert ask("127.0.0.1", "HEAD").status_code == 200
            with half_read(service, user, path, "10.1.1.2"):
                assert ask("10.1.1.3").status_code == 503
                eventually(lambda: scrape(service.url).total("photo_api_streams") == 2)
        eventually(lambda: ask("127.0.0.1").status_code == 206)
        refusals = "photo_api_streamed_images_total"
        eventually(lambda: scrape(service.url).total(refusals, result="refused") == 2)
        eventually(lambda: scrape(service.url).total("photo_api_streams") == 0)


def test_a_shared_page_s_pictures_come_from_here_too(streaming: Service, carol: User) -> None:
    album = carol.album()["id"]
    carol.rendered(carol.upload(album_id=album)["id"])
    token = carol.api.post(f"/albums/{album}/share").json()["token"]
    page = httpx.get(f"{streaming.url}/share/{token}")
    [picture] = re.findall(r'<img src="([^"]+)"', page.text)
    assert httpx.get(streaming.url + picture).headers["Content-Type"] == "image/webp"
    assert "img-src 'self'" in page.headers["Content-Security-Policy"].split("; ")


def test_what_is_in_the_trash_is_shown_by_its_thumbnail_alone(
    carol: User, streaming: Service, data: bytes
) -> None:
    album = carol.album()["id"]
    photo_id = carol.upload(data, album)["id"]
    carol.rendered(photo_id)
    token = carol.api.post(f"/albums/{album}/share").json()["token"]
    paths = f"/photos/{photo_id}/image", f"/share/{token}/photos/{photo_id}/image"
    body = {"photo_ids": [photo_id]}

    def shown() -> list[int]:
        return [carol.api.get(path).status_code for path in paths]

    eventually(lambda: shown() == [200, 200])
    carol.api.delete(f"/photos/{photo_id}").raise_for_status()
    assert shown() == [404, 404]
    [trashed] = carol.api.get("/photos/trash").json()
    thumbnail = httpx.get(f"{streaming.url}/api{trashed['thumbnail_url']}")
    assert thumbnail.headers["Content-Type"] == "image/webp"
    carol.api.post("/photos/bulk", json=body | {"operation": "restore"}).raise_for_status()
    assert shown() == [200, 200]
    assert carol.api.get(paths[0]).content == data
    for operation in ("delete", "purge"):
        carol.api.post("/photos/bulk", json=body | {"operation": operation}).raise_for_status()
    assert shown() == [404, 404]
    assert httpx.get(f"{streaming.url}/api{trashed['thumbnail_url']}").status_code == 404
