"""POST /photos/: through the server."""

import hashlib
import itertools
import random
from collections.abc import Iterator

import httpx
import pytest

from tests.service import Service, User, jpeg

LARGEST = 50 * 1024 * 1024


def test_upload(alice: User) -> None:
    data, album = jpeg(), alice.album()["id"]
    answer = alice.post_photo(data, album, filename="../../사진 1.JPG", title="One")
    assert answer.status_code == 201
    body = answer.json()
    assert {
        *("id", "filename", "original_filename", "content_type", "file_size", "url", "message")
    } <= set(body)
    assert body["original_filename"] == "사진 1.JPG"
    assert body["content_type"] == "image/jpeg"
    assert body["file_size"] == len(data)
    photo = alice.photo(body["id"])
    assert photo["title"] == "One"
    image = alice.api.get(f"/photos/{body['id']}/image", follow_redirects=True)
    assert image.content == data
    assert [p["id"] for p in alice.api.get(f"/albums/{album}").json()["photos"]] == [body["id"]]


def test_the_content_type_is_that_of_the_bytes(alice: User) -> None:
    album = alice.album()["id"]
    form = {"album_id": str(album)}
    files = {"file": ("photo.html", jpeg(), "text/html")}
    body = alice.api.post("/photos/", data=form, files=files).json()
    assert body["content_type"] == "image/jpeg"
    assert body["filename"].endswith(".jpg")


@pytest.mark.parametrize("fields_first", [True, False])
def test_fields_may_stand_before_or_after_the_file(alice: User, fields_first: bool) -> None:
    album, data = alice.album()["id"], jpeg()
    field = f'--b\r\nContent-Disposition: form-data; name="album_id"\r\n\r\n{album}\r\n'.encode()
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    file += b"Content-Type: image/jpeg\r\n\r\n" + data + b"\r\n"
    body = (field + file if fields_first else file + field) + b"--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = alice.api.post("/photos/", content=body, headers=headers)
    assert (answer.status_code, answer.json()["file_size"]) == (201, len(data))


@pytest.mark.parametrize(
    ("data", "status"), [(b"", 400), (b"<html></html>", 400), (b"\xff\xd8", 400), (b"GIF", 400)]
)
def test_what_is_no_image_is_refused(alice: User, data: bytes, status: int) -> None:
    answer = alice.post_photo(data)
    assert (answer.status_code, answer.json()["code"]) == (status, "not_an_image")


def test_too_large_is_413_with_and_without_a_length(alice: User) -> None:
    data = jpeg() + b"\0" * LARGEST
    assert alice.post_photo(data).status_code == 413

    def chunked() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        yield from (data[at : at + 2**20] for at in range(0, len(data), 2**20))

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = alice.api.post("/photos/", content=chunked(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert alice.api.get("/photos/").json() == []


@pytest.mark.parametrize("album", ["", "x", "1.5", "９"])
def test_an_album_id_that_is_no_number_is_422(alice: User, album: str) -> None:
    files = {"file": ("a.jpg", jpeg(), "image/jpeg")}
    answer = alice.api.post("/photos/", data={"album_id": album}, files=files)
    assert answer.status_code in (404, 422)
    assert alice.api.get("/photos/").json() == []


@pytest.mark.parametrize("album", ["999999999999", "-1", str(10**30)])
def test_an_unknown_album_is_404(alice: User, album: str) -> None:
    files = {"file": ("a.jpg", jpeg(), "image/jpeg")}
    assert alice.api.post("/photos/", data={"album_id": album}, files=files).status_code == 404
    assert alice.api.get("/photos/").json() == []


def test_missing_parts_are_clear_errors(alice: User) -> None:
    files = {"file": ("a.jpg", jpeg(), "image/jpeg")}
    form = {"album_id": "1"}
    assert alice.api.post("/photos/", data=form).status_code in (400, 422), "no form, no file"
    assert alice.api.post("/photos/", json=form).status_code in (400, 422)
    long_title = {"album_id": str(alice.album()["id"]), "title": "x" * 256}
    assert alice.api.post("/photos/", data=long_title, files=files).status_code == 422


def test_a_broken_off_upload_leaves_nothing(alice: User, service: Service) -> None:
    def broken() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        yield jpeg()
        raise ConnectionError("the client gives up")

    headers = {
        "Content-Type": "multipart/form-data; boundary=b",
        "Authorization": alice.api.headers["Authorization"],
    }
    with pytest.raises(ConnectionError):
        httpx.post(f"{service.url}/api/photos/", content=broken(), headers=headers)
    assert alice.api.get("/photos/").json() == []
    assert alice.api.get("/auth/me").status_code == 200
    assert "Traceback" not in service.log


def test_reuse(alice: User) -> None:
    data, album = jpeg(), alice.album()["id"]
    first = alice.upload(data)["id"]
    again = alice.post_photo(data, album, on_duplicate="reuse")
    assert (again.status_code, again.json()["id"], again.json()["duplicate"]) == (200, first, True)
    assert [p["id"] for p in alice.api.get(f"/albums/{album}").json()["photos"]] == [first]
    assert alice.post_photo(data, album).json()["id"] != first
    sha256 = hashlib.sha256(data).hexdigest()
    assert alice.presign(album, data, sha256=sha256, on_duplicate="reuse")["duplicate"]


def test_pieces_of_every_size_come_in_their_order(alice: User) -> None:
    """Large ones are handed on as they were read, small ones put together, and what comes meanwhile
    is put behind either."""
    data = jpeg() + random.Random(7).randbytes(3_000_000)
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    form += data + b"\r\n--b--\r\n"
    sizes = itertools.cycle((300_000, 1, 7, 70_000, 3, 400, 65_536, 65_537))

    def pieces() -> Iterator[bytes]:
        at = 0
        while at < len(form):
            size = next(sizes)
            yield form[at : at + size]
            at += size

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for told in ({}, {"Content-Length": str(len(form))}):
        answer = alice.api.post("/photos/", content=pieces(), headers=headers | told)
        assert answer.status_code == 201
        image = alice.api.get(f"/photos/{answer.json()['id']}/image?size=original")
        assert httpx.get(image.headers["location"]).content == data
