"""Files made to hurt, by both ways in: a clear refusal, or a photo without renditions and with the
reason; never an error of ours, and never at the cost of the next photo."""

import struct
from collections.abc import Callable
from functools import cache
from io import BytesIO

import httpx
import pytest
from PIL import Image

from tests import photographs
from tests.photographs import cat, encode
from tests.service import Service, User, jpeg, put

BROKEN = {"truncated", "corrupt", "unsupported", "not_an_image"}


def cut(kind: str) -> bytes:
    """The first half of a good file."""
    content = photographs.heic() if kind == "HEIC" else encode(cat(), kind)
    return content[: len(content) // 2]


@cache
def huge_jpeg() -> bytes:
    """A small JPEG whose header speaks of 65,500 × 65,500 pixels."""
    data = encode(cat(), "JPEG")
    at = data.index(b"\xff\xc0") + 5  # SOF0: marker, length, precision, height, width
    return data[:at] + struct.pack(">HH", 65_500, 65_500) + data[at + 4 :]


def huge_gif() -> bytes:
    screen = struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a" + screen + frame + b";"


def moving(kind: str) -> bytes:
    """100 small frames."""
    turns = [cat().resize((60, 40)).rotate(turn) for turn in range(100)]
    return encode(turns[0], kind, save_all=True, append_images=turns[1:], duration=80, loop=0)


FAILING: dict[str, tuple[str, Callable[[], bytes], set[str]]] = {
    "a PNG that lies about its size": (
        "image/png",
        lambda: photographs.png(60_000, 60_000, b"x"),
        {"too_many_pixels"},
    ),
    "a PNG that really is that large": (
        "image/png",
        lambda: photographs.png(48_000, 48_000, photographs.zeros(48_000 * 6_001), (1, 0)),
        {"too_many_pixels"},
    ),
    "a JPEG that lies about its size": ("image/jpeg", huge_jpeg, {"truncated"}),
    "a GIF that lies about its size": ("image/gif", huge_gif, {"too_many_pixels"} | BROKEN),
    "half a PNG": ("image/png", lambda: cut("PNG"), {"truncated", "corrupt"}),
    "half a GIF": ("image/gif", lambda: cut("GIF"), BROKEN),
    "half a WebP": ("image/webp", lambda: cut("WEBP"), BROKEN),
    "half an AVIF": ("image/avif", lambda: cut("AVIF"), BROKEN),
    "half a HEIC": ("image/heic", lambda: cut("HEIC"), BROKEN),
    "garbage behind JPEG's magic": (
        "image/jpeg",
        lambda: b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40,
        BROKEN,
    ),
    "garbage behind PNG's magic": (
        "image/png",
        lambda: b"\x89PNG\r\n\x1a\n" + b"\x00" * 5000,
        BROKEN | {"too_many_pixels"},
    ),
    "garbage behind WebP's magic": (
        "image/webp",
        lambda: b"RIFF\xff\xff\xff\xffWEBPVP8 " + b"\xff" * 5000,
        BROKEN,
    ),
    "garbage behind HEIC's magic": (
        "image/heic",
        lambda: b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1" + b"\xff" * 5000,
        BROKEN,
    ),
    "three bytes of a JPEG": ("image/jpeg", lambda: b"\xff\xd8\xff", BROKEN),
    "nothing behind GIF's magic": ("image/gif", lambda: b"GIF89a", BROKEN),
}

NO_IMAGES: dict[str, bytes] = {
    "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "HTML": b"<!DOCTYPE html><script>alert(document.domain)</script>",
    "text": b"\xff\xd8 almost a JPEG",
    "MVG": b"push graphic-context\nfill 'url(https://127.0.0.1:9/\"|id\")'\npop graphic-context",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n",
    "TIFF": b"II*\x00\x08\x00\x00\x00" + b"\x00" * 100,
    "a BMP of any size": b"BM" + b"\xff" * 100,
    "video": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2",
    "zero bytes, many": bytes(5000),
    "a JPEG behind a newline": b"\n" + jpeg(seed=7),
}


def direct(user: User, content_type: str, data: bytes) -> httpx.Response:
    """The answer to the confirmation of a direct upload."""
    presigned = user.presign(user.album()["id"], data, content_type=content_type)
    assert put(presigned, data).is_success
    return user.confirm(presigned["photo_id"])


def through_the_server(user: User, content_type: str, data: bytes) -> httpx.Response:
    files = {"file": ("photo.jpg", data, content_type)}
    form = {"album_id": str(user.album()["id"])}
    return user.api.post("/photos/", data=form, files=files)


Way = Callable[[User, str, bytes], httpx.Response]
both_ways = pytest.mark.parametrize("way", [direct, through_the_server])


def photo_id(answer: httpx.Response) -> int:
    body = answer.json()
    return int(body.get("photo_id") or body["id"])


def still_works(user: User) -> bool:
    photo = user.rendered(user.upload()["id"])
    return bool(photo["renditions"] == "ready" and photo["thumbnail_url"])


@both_ways
@pytest.mark.parametrize("name", FAILING)
def test_what_cannot_be_decoded_stays_a_photo_without_renditions(
    alice: User, name: str, way: Way
) -> None:
    content_type, make, reasons = FAILING[name]
    data = make()
    answer = way(alice, content_type, data)
    assert answer.is_success, answer.text
    photo = alice.rendered(photo_id(answer))
    assert photo["renditions"] == "failed"
    reason, _, told = photo["renditions_error"].partition(": ")
    assert reason in reasons
    assert (told != "") == (reason == "too_many_pixels"), "where something can be done, it is told"
    assert (photo["thumbnail_url"], photo["preview_url"]) == (None, None)
    assert (photo["width"] is not None) or "half" not in name, "its header tells its size"
    assert alice.api.get(f"{photo['url']}?size=thumbnail").status_code == 404
    image = alice.api.get(photo["url"], follow_redirects=True)
    assert image.content == data, "as it was sent"
    assert image.headers["Content-Type"] == content_type
    assert still_works(alice)


@both_ways
@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_image_is_refused(alice: User, name: str, way: Way) -> None:
    """Whatever it calls itself; and nobody can then be sent to it."""
    answer = way(alice, "image/jpeg", NO_IMAGES[name])
    refused = (409, "upload_mismatch") if way is direct else (400, "not_an_image")
    assert (answer.status_code, answer.json()["code"]) == refused
    assert alice.api.get("/photos/").json() == []


@pytest.mark.parametrize("content_type", ["image/svg+xml", "text/html", "image/tiff", "*/*", "x"])
def test_a_declared_type_that_is_not_accepted_gets_no_url(alice: User, content_type: str) -> None:
    body = {
        "album_id": alice.album()["id"],
        "filename": "photo.jpg",
        "content_type": content_type,
        "file_size": 100,
    }
    answer = alice.api.post("/photos/presigned-url", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "unsupported_type")


def test_zero_bytes_are_refused_both_ways(alice: User) -> None:
    body = {
        "album_id": alice.album()["id"],
        "filename": "photo.jpg",
        "content_type": "image/jpeg",
        "file_size": 0,
    }
    assert alice.api.post("/photos/presigned-url", json=body).status_code == 422
    answer = through_the_server(alice, "image/jpeg", b"")
    assert (answer.status_code, answer.json()["code"]) == (400, "not_an_image")
    assert alice.api.get("/photos/").json() == []


@both_ways
@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_a_hundred_frames_give_one_still(alice: User, kind: str, way: Way) -> None:
    data = moving(kind)
    photo = alice.rendered(photo_id(way(alice, f"image/{kind.lower()}", data)))
    assert photo["renditions"] == "ready"
    assert (photo["width"], photo["height"]) == (60, 40)
    with Image.open(BytesIO(httpx.get(photo["preview_url"]).content)) as still:
        assert getattr(still, "n_frames", 1) == 1
    image = alice.api.get(photo["url"], follow_redirects=True)
    assert image.content == data, "the original moves as before"


@both_ways
def test_bytes_behind_the_image_do_not_change_what_it_is(alice: User, way: Way) -> None:
    """A JPEG that is also a page is shown as a JPEG, and saved as one."""
    data = jpeg() + b"<script>alert(1)</script>PK\x03\x04"
    photo = alice.rendered(photo_id(way(alice, "image/jpeg", data)))
    assert photo["renditions"] == "ready"
    image = alice.api.get(photo["url"], follow_redirects=True)
    assert image.headers["Content-Type"] == "image/jpeg"
    assert photo["filename"].endswith(".jpg")
    assert b"script" not in httpx.get(photo["preview_url"]).content


def test_all_of_them_at_once_hold_up_nobody(alice: User, bob: User, service: Service) -> None:
    for content_type, make, _ in FAILING.values():
        assert through_the_server(alice, content_type, make()).status_code == 201
    assert still_works(bob)
    photos = [alice.rendered(photo["id"]) for photo in alice.api.get("/photos/").json()]
    assert {photo["renditions"] for photo in photos} == {"failed"}
    assert len(photos) == len(FAILING)
    assert httpx.get(f"{service.url}/health").status_code == 200
