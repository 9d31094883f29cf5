"""Direct uploads: presign, PUT, confirm."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from photo_api.photos.formats import EXTENSIONS
from tests.own_stage import ask, own_database
from tests.photographs import good
from tests.service import Service, User, eventually, jpeg, put, running_service

DECLARED = ("image/jpeg", "image/JPG; q=1", "image/png", "application/octet-stream", "")
FORBIDDEN_IN_BROWSERS = {"host", "content-length"}


def test_presign_put_confirm(alice: User) -> None:
    data, album = jpeg(), alice.album()["id"]
    presigned = alice.presign(album, data, filename="바다.jpg", title="Sea")
    assert presigned["upload_method"] == "PUT"
    assert presigned["expires_in"] > 0
    assert presigned["object_key"] in presigned["upload_url"]
    assert not FORBIDDEN_IN_BROWSERS & {name.lower() for name in presigned["upload_headers"]}
    photo_id = presigned["photo_id"]
    assert alice.api.get(f"/photos/{photo_id}").status_code == 404, "not confirmed yet"
    assert put(presigned, data).is_success
    confirmed = alice.confirm(photo_id)
    assert confirmed.status_code == 200
    assert {"photo_id", "filename", "url", "message"} <= set(confirmed.json())
    photo = alice.photo(photo_id)
    assert photo["original_filename"] == "바다.jpg"
    assert photo["filename"] == confirmed.json()["filename"]
    assert (photo["title"], photo["file_size"]) == ("Sea", len(data))
    assert [p["id"] for p in alice.api.get(f"/albums/{album}").json()["photos"]] == [photo_id]


def test_confirm_may_be_repeated(alice: User) -> None:
    data = jpeg()
    presigned = alice.presign(alice.album()["id"], data)
    put(presigned, data)
    first = alice.confirm(presigned["photo_id"])
    assert alice.confirm(presigned["photo_id"]).json()["filename"] == first.json()["filename"]


def test_ten_confirms_at_once_make_one_photo(alice: User, stack: dict[str, Any]) -> None:
    data, album = jpeg(), alice.album()["id"]
    presigned = alice.presign(album, data)
    put(presigned, data)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: alice.confirm(presigned["photo_id"]), range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["filename"] for answer in answers}) == 1
    assert alice.api.get(f"/albums/{album}").json()["photo_count"] == 1
    copies = f"photos/{alice.account['id']}/{presigned['photo_id']}/%"
    noted = "SELECT object_key FROM unreferenced_objects WHERE object_key LIKE $1"
    database = {"PHOTO_API_DATABASE_URL": stack["database_url"]}
    assert ask(database, noted, copies) == [], "it was copied once"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"content_type": "image/svg+xml"}, 400),
        ({"content_type": "text/html"}, 400),
        ({"content_type": "application/pdf"}, 400),
        ({"content_type": "x" * 101}, 422),
        ({"file_size": 50 * 1024 * 1024 + 1}, 413),
        ({"file_size": 0}, 422),
        ({"file_size": "7"}, 422),
        ({"file_size": 1.5}, 422),
        ({"filename": ""}, 422),
        ({"filename": "x" * 256}, 422),
        ({"filename": "a\x00b"}, 422),
        ({"sha256": "xyz"}, 422),
        ({"on_duplicate": "maybe"}, 422),
        ({"album_id": "1"}, 422),
        ({"album_id": 10**15}, 404),
        ({"album_id": 10**30}, 404),
        ({"album_id": -1}, 404),
    ],
)
def test_presign_refuses(alice: User, change: dict[str, Any], status: int) -> None:
    body = {
        "album_id": alice.album()["id"],
        "filename": "photo.jpg",
        "content_type": "image/jpeg",
        "file_size": 100,
    }
    assert alice.api.post("/photos/presigned-url", json=body | change).status_code == status


@pytest.mark.s3_only("a temporary URL of Swift binds neither; confirming refuses both")
def test_the_store_refuses_another_size_or_type(alice: User) -> None:
    data = jpeg()
    presigned = alice.presign(alice.album()["id"], data)
    url, headers = presigned["upload_url"], presigned["upload_headers"]
    assert httpx.put(url, content=data + b"x", headers=headers).status_code in range(400, 500)
    html = headers | {"Content-Type": "text/html"}
    assert httpx.put(url, content=data, headers=html).status_code in range(400, 500)
    assert alice.confirm(presigned["photo_id"]).status_code == 409


def test_a_declared_sha256_binds_the_upload(alice: User) -> None:
    """By the URL, or where that binds nothing, as on Swift, by the confirmation."""
    data, album = jpeg(seed=1), alice.album()["id"]
    other = jpeg(seed=2)
    assert len(data) == len(other)
    presigned = alice.presign(album, data, sha256=hashlib.sha256(data).hexdigest())
    if put(presigned, other).is_success:
        answer = alice.confirm(presigned["photo_id"])
        assert (answer.status_code, answer.json()["code"]) == (409, "upload_mismatch")
    assert put(presigned, data).is_success
    assert alice.confirm(presigned["photo_id"]).status_code == 200


def test_confirm_before_the_upload_is_409(alice: User) -> None:
    presigned = alice.presign(alice.album()["id"], jpeg())
    answer = alice.confirm(presigned["photo_id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "not_uploaded")


@pytest.mark.parametrize("data", [b"<html>" * 20, b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_confirm_of_what_is_no_image_is_409(alice: User, data: bytes) -> None:
    presigned = alice.presign(alice.album()["id"], data)
    put(presigned, data)
    answer = alice.confirm(presigned["photo_id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_mismatch")


async def test_what_is_no_image_is_refused_again_and_again_without_a_copy(
    alice: User, stack: dict[str, Any]
) -> None:
    data = b"no image " * 100_000
    presigned = alice.presign(alice.album()["id"], data)
    put(presigned, data)
    connection = await asyncpg.connect(stack["database_url"])
    mine = f"photos/{alice.account['id']}/%"
    for _ in range(3):
        answer = alice.confirm(presigned["photo_id"])
        assert (answer.status_code, answer.json()["code"]) == (409, "upload_mismatch")
        query = "SELECT count(*) FROM unreferenced_objects WHERE object_key LIKE $1"
        assert await connection.fetchval(query, mine) == 0, "a copy is noted before it is made"
    await connection.close()


SMUGGLED = {
    "Content-Encoding": "gzip",
    "Content-Language": "ko",
    "Content-Disposition": "attachment; filename=evil.html",
    "Expires": "Thu, 01 Jan 2037 00:00:00 GMT",
    "Cache-Control": "public, max-age=31536000",
}


def test_nothing_of_an_upload_s_own_metadata_reaches_a_viewer(alice: User) -> None:
    data = jpeg()
    presigned = alice.presign(alice.album()["id"], data)
    headers = presigned["upload_headers"] | SMUGGLED
    assert httpx.put(presigned["upload_url"], content=data, headers=headers).is_success
    photo = alice.confirm(presigned["photo_id"]).raise_for_status().json()["photo_id"]
    shown = alice.api.get(f"/photos/{photo}/image?size=original", follow_redirects=True)
    assert shown.content == data
    assert shown.headers["Content-Type"] == "image/jpeg"
    for name, value in SMUGGLED.items():
        assert value not in shown.headers.get(name, ""), name
    assert "content-encoding" not in shown.headers


@pytest.mark.parametrize(
    ("declared", "signed"),
    [
        ("image/jpg", "image/jpeg"),
        ("image/pjpeg", "image/jpeg"),
        (" IMAGE/HEIC; q=1", "image/heic"),
        (" ", "application/octet-stream"),
        ("Application/Octet-Stream; x=y", "application/octet-stream"),
    ],
)
def test_a_type_may_be_spelled_in_many_ways(alice: User, declared: str, signed: str) -> None:
    presigned = alice.presign(alice.album()["id"], jpeg(), content_type=declared)
    assert presigned["upload_headers"]["Content-Type"] == signed


@pytest.mark.parametrize("declared", DECLARED)
@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "heic", "avif"])
def test_an_image_is_stored_as_what_its_bytes_are(alice: User, kind: str, declared: str) -> None:
    """On both routes: phones name HEIC and screenshots .jpg, and Windows knows no type of HEIC."""
    content_type, data = good()[kind]
    album = alice.album()["id"]
    presigned = alice.presign(album, data, filename="IMG_1.jpg", content_type=declared)
    assert put(presigned, data).is_success
    confirmed = alice.confirm(presigned["photo_id"])
    assert confirmed.status_code == 200, confirmed.text
    file = ("IMG_1.jpg", data, declared)
    sent = alice.api.post("/photos/", data={"album_id": str(album)}, files={"file": file})
    assert sent.status_code == 201, sent.text
    for photo_id in (presigned["photo_id"], sent.json()["id"]):
        photo = alice.photo(photo_id)
        assert (photo["content_type"], photo["original_filename"]) == (content_type, "IMG_1.jpg")
        assert photo["filename"].endswith(EXTENSIONS[content_type])
        address = f"/photos/{photo_id}/image?size=original"
        image = alice.api.get(address, follow_redirects=True)
        assert (image.headers["Content-Type"], image.content) == (content_type, data)


@pytest.mark.parametrize("declared", DECLARED)
def test_what_is_no_image_is_refused_whatever_was_declared(alice: User, declared: str) -> None:
    data = b"%PDF-1.7 no image"
    presigned = alice.presign(alice.album()["id"], data, content_type=declared)
    put(presigned, data).raise_for_status()
    answer = alice.confirm(presigned["photo_id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_mismatch")
    assert "no image" in answer.json()["detail"]
    assert alice.api.get("/photos/").json() == []


def test_an_upload_of_no_type_is_the_same_upload_again(alice: User) -> None:
    data, album = jpeg(), alice.album()["id"]
    body = {"album_id": album, "filename": "IMG_1", "content_type": "", "file_size": len(data)}
    key = {"Idempotency-Key": "once"}
    first, again = (
        alice.api.post("/photos/presigned-url", json=body, headers=key).raise_for_status().json()
        for _ in range(2)
    )
    assert first["photo_id"] == again["photo_id"]
    assert first["upload_headers"] == again["upload_headers"]
    assert put(again, data).is_success
    assert alice.confirm(first["photo_id"]).status_code == 200


@pytest.mark.parametrize("photo_id", [0, -1, 10**15, 2**60, 10**30])
def test_confirm_of_an_unknown_photo_is_404(alice: User, photo_id: int) -> None:
    assert alice.confirm(photo_id).status_code == 404


def test_a_confirmed_photo_cannot_be_changed_with_its_url(alice: User) -> None:
    data, other = jpeg(seed=3), jpeg(seed=4)
    presigned = alice.presign(alice.album()["id"], data)
    put(presigned, data)
    alice.confirm(presigned["photo_id"])
    put(presigned, other)  # the URL may still be good: for the staging key alone
    image = alice.api.get(f"/photos/{presigned['photo_id']}/image", follow_redirects=True)
    assert image.content == data
    assert alice.confirm(presigned["photo_id"]).status_code == 200
    image = alice.api.get(f"/photos/{presigned['photo_id']}/image", follow_redirects=True)
    assert image.content == data


@pytest.fixture
def sweeping(stack: dict[str, Any], environ: dict[str, str], tmp_path: Path) -> Iterator[Service]:
    """A service that sweeps after short times, over a database of its own: among those that share
    one, a single instance sweeps for all."""
    changed = {
        "PHOTO_API_UPLOAD_URL_TTL": "2",
        "PHOTO_API_UPLOAD_LONGEST_PUT": "0",
        "PHOTO_API_SWEEP_INTERVAL": "0.3",
    }
    with (
        own_database(stack, environ | changed) as settings,
        running_service(settings, tmp_path) as service,
    ):
        yield service


async def test_nor_after_the_sweep(sweeping: Service) -> None:
    """With a short-lived URL: after it has expired the staged bytes are gone, and the photo stays
    what it was, whatever is tried."""
    import asyncpg

    data, other = jpeg(seed=5), jpeg(seed=6)
    with sweeping.new_user() as user:
        presigned = user.presign(user.album()["id"], data)
        put(presigned, data)
        user.confirm(presigned["photo_id"])
        connection = await asyncpg.connect(sweeping.environ["PHOTO_API_DATABASE_URL"])
        deadline = 20.0
        query = "SELECT 1 FROM unreferenced_objects WHERE object_key = $1"
        import asyncio

        while await connection.fetchval(query, presigned["object_key"]) and deadline > 0:
            put(presigned, other)
            await asyncio.sleep(0.2)
            deadline -= 0.2
        await connection.close()
        assert deadline > 0, "the staged bytes were never swept"
        assert put(presigned, other).status_code in (401, 403)
        image = user.api.get(f"/photos/{presigned['photo_id']}/image", follow_redirects=True)
        assert image.content == data


def test_an_abandoned_upload_is_swept(sweeping: Service) -> None:
    data = jpeg()
    with sweeping.new_user() as user:
        presigned = user.presign(user.album()["id"], data)
        put(presigned, data)
        eventually(lambda: '"uploads":1' in sweeping.log.replace(" ", ""), 15)
        assert user.confirm(presigned["photo_id"]).status_code == 404


def test_reuse_gives_the_photo_one_has(alice: User, bob: User) -> None:
    data = jpeg()
    sha256 = hashlib.sha256(data).hexdigest()
    first = alice.upload(data)["id"]
    album = alice.album()["id"]
    again = alice.presign(album, data, sha256=sha256, on_duplicate="reuse")
    assert (again["photo_id"], again["duplicate"], again["upload_url"]) == (first, True, None)
    assert [p["id"] for p in alice.api.get(f"/albums/{album}").json()["photos"]] == [first]
    kept = alice.presign(album, data, sha256=sha256)
    assert kept["photo_id"] != first
    foreign = bob.presign(bob.album()["id"], data, sha256=sha256, on_duplicate="reuse")
    assert foreign["duplicate"] is False, "other people's photos are nobody's business"


def test_reuse_without_a_declared_digest_is_found_at_confirm(alice: User) -> None:
    data = jpeg()
    first, album = alice.upload(data)["id"], alice.album()["id"]
    presigned = alice.presign(album, data, on_duplicate="reuse")
    put(presigned, data)
    confirmed = alice.confirm(presigned["photo_id"]).json()
    assert (confirmed["photo_id"], confirmed["duplicate"]) == (first, True)
    assert [p["id"] for p in alice.api.get(f"/albums/{album}").json()["photos"]] == [first]
    assert len(alice.api.get("/photos/").json()) == 1
