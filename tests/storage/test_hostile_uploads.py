"""What who has an upload URL may send with it, and what of that a confirmed photo has: nothing.

Each attack is tried on both kinds of store, by a client of the service; what became of it is read
as the store's operator reads it."""

import io
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from photo_api.cloud.sigv4 import Credentials, presign
from photo_api.storage.swift_containers import Containers
from tests.openstack.account import on_swift
from tests.openstack.keystone_v2 import KeystoneV2, in_a_thread
from tests.openstack.swift import Swift
from tests.own_stage import ask as rows
from tests.own_stage import own_database
from tests.service import Service, User, jpeg, running_service

pytestmark = pytest.mark.slow

PHOTO, OTHER = jpeg(seed=1), jpeg(seed=2)
OURS = {
    *("content-type", "content-length", "etag", "last-modified", "accept-ranges", "date"),
    *("x-timestamp", "x-trans-id", "x-openstack-request-id", "connection", "server"),
    *("x-amz-request-id", "vary", "seaweed-x-amz-owner", "seaweed-x-amz-etag"),
}
"""Headers of an object that nobody has added anything to."""


@dataclass(frozen=True)
class Stage:
    """A service, and its store as the operator sees it: the headers of an object by its key."""

    kind: str
    service: Service
    look: Callable[[str], httpx.Headers]

    def photo_headers(self, photo_id: int) -> httpx.Headers:
        [row] = rows(self.service.environ, "SELECT object_key FROM photos WHERE id = $1", photo_id)
        return self.look(row["object_key"])


@pytest.fixture(
    scope="module", params=["s3", pytest.param("swift", marks=pytest.mark.needs("memcached"))]
)
def stage(
    request: pytest.FixtureRequest,
    stack: dict[str, str],
    environ: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    with ExitStack() as running:
        environ = running.enter_context(own_database(stack, environ))
        if request.param == "swift":
            swift: Swift = request.getfixturevalue("swift")
            containers: Containers = request.getfixturevalue("containers")
            keystone = running.enter_context(in_a_thread(KeystoneV2(swift.sign_in)))
            environ = on_swift(environ, swift, containers, keystone)
            token, account = swift.sign_in()

            def look(key: str) -> httpx.Headers:
                url = f"{account}/{containers.of(key)}/{key}"
                return httpx.head(url, headers={"X-Auth-Token": token}).raise_for_status().headers

        else:
            keys = Credentials(stack["access_key"], stack["secret_key"])

            def look(key: str) -> httpx.Headers:
                url = presign(
                    "HEAD",
                    f"{stack['s3_endpoint']}/{stack['bucket']}/{key}",
                    credentials=keys,
                    region=stack["region"],
                    now=time.time(),
                    expires_in=60,
                )
                return httpx.head(url).raise_for_status().headers

        folder = tmp_path_factory.mktemp(f"hostile-{request.param}")
        service = running.enter_context(running_service(environ, folder))
        yield Stage(request.param, service, look)


@pytest.fixture
def user(stage: Stage) -> Iterator[User]:
    with stage.service.new_user() as user:
        yield user


def test_an_honest_upload(stage: Stage, user: User) -> None:
    presigned = user.presign(user.album()["id"], PHOTO)
    headers = presigned["upload_headers"]
    put = httpx.put(presigned["upload_url"], content=PHOTO, headers=headers)
    assert put.is_success, put.text
    assert user.confirm(presigned["photo_id"]).status_code == 200
    photo = user.rendered(presigned["photo_id"])
    assert photo["renditions"] == "ready"
    image = user.api.get(f"/photos/{photo['id']}/image?size=original")
    assert image.status_code == 302
    original = httpx.get(image.headers["location"])
    assert (original.content, original.headers["content-type"]) == (PHOTO, "image/jpeg")
    assert original.headers["content-disposition"].startswith("inline")
    assert httpx.get(photo["thumbnail_url"]).headers["content-type"] == "image/webp"
    user.api.delete(f"/photos/{photo['id']}").raise_for_status()


@pytest.mark.parametrize(
    "sent",
    [
        {"X-Delete-After": "2", "x-amz-tagging": "expire=soon"},
        {"X-Delete-At": str(int(time.time()) + 600), "Expires": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"Content-Encoding": "gzip"},
        {"Content-Disposition": 'attachment; filename="evil.exe"'},
        {"Cache-Control": "public, max-age=31536000"},
        {"Content-Language": "xx"},
        {"X-Object-Meta-Evil": "yes", "x-amz-meta-evil": "yes"},
        {"Access-Control-Allow-Origin": "https://evil.example"},
        {"X-Static-Large-Object": "true"},
        {"X-Object-Sysmeta-Slo-Size": "1"},
    ],
    ids=lambda sent: next(iter(sent)),
)
def test_headers_of_an_upload_end_with_the_confirmation(
    stage: Stage, user: User, sent: dict[str, str]
) -> None:
    presigned = user.presign(user.album()["id"], PHOTO)
    headers = {**presigned["upload_headers"], **sent}
    put = httpx.put(presigned["upload_url"], content=PHOTO, headers=headers)
    if not put.is_success:
        assert 400 <= put.status_code < 500
        return
    assert user.confirm(presigned["photo_id"]).status_code == 200
    found = stage.photo_headers(presigned["photo_id"])
    assert found["content-type"] == "image/jpeg"
    assert found["content-length"] == str(len(PHOTO))
    assert {name.lower() for name in found} <= OURS


def test_a_photo_does_not_delete_itself(stage: Stage, user: User) -> None:
    presigned = user.presign(user.album()["id"], PHOTO)
    headers = {**presigned["upload_headers"], "X-Delete-After": "2"}
    assert httpx.put(presigned["upload_url"], content=PHOTO, headers=headers).is_success
    assert user.confirm(presigned["photo_id"]).status_code == 200
    time.sleep(3.5)
    assert stage.photo_headers(presigned["photo_id"])["content-length"] == str(len(PHOTO))
    image = user.api.get(f"/photos/{presigned['photo_id']}/image?size=original")
    assert httpx.get(image.headers["location"]).content == PHOTO


def test_another_type_than_was_declared_is_what_the_bytes_are(stage: Stage, user: User) -> None:
    presigned = user.presign(user.album()["id"], PHOTO)
    put = httpx.put(presigned["upload_url"], content=PHOTO, headers={"Content-Type": "text/html"})
    if stage.kind == "s3":
        assert put.status_code == 403
        return
    assert put.status_code == 201
    assert user.confirm(presigned["photo_id"]).status_code == 200
    assert stage.photo_headers(presigned["photo_id"])["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    "content", [PHOTO + b"!", PHOTO[:-1], b"", b"<html>".ljust(len(PHOTO))], ids=len
)
def test_other_bytes_than_were_declared_are_refused(
    stage: Stage, user: User, content: bytes
) -> None:
    presigned = user.presign(user.album()["id"], PHOTO)
    headers = presigned["upload_headers"]
    httpx.put(presigned["upload_url"], content=content, headers=headers)
    assert user.confirm(presigned["photo_id"]).status_code == 409
    assert user.api.get(f"/photos/{presigned['photo_id']}").status_code == 404


def test_what_is_put_after_the_confirmation_changes_nothing(stage: Stage, user: User) -> None:
    presigned = user.presign(user.album()["id"], PHOTO)
    headers = presigned["upload_headers"]
    assert httpx.put(presigned["upload_url"], content=PHOTO, headers=headers).is_success
    assert user.confirm(presigned["photo_id"]).status_code == 200
    changed = OTHER.ljust(len(PHOTO), b"\0")[: len(PHOTO)]
    assert httpx.put(presigned["upload_url"], content=changed, headers=headers).is_success
    image = user.api.get(f"/photos/{presigned['photo_id']}/image?size=original")
    assert httpx.get(image.headers["location"]).content == PHOTO


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("&multipart-manifest=put", {}),
        ("&bulk-delete=true", {}),
        ("&partNumber=1&uploadId=1", {}),
        ("", {"X-Object-Manifest": "photos/"}),
        ("", {"X-Symlink-Target": "photos/photos/1"}),
        ("", {"X-Copy-From": "photos/photos/1", "x-amz-copy-source": "photos/photos/1"}),
    ],
    ids=["manifest", "bulk", "part", "dynamic manifest", "symlink", "copy"],
)
def test_an_upload_url_makes_no_pointer_to_other_objects(
    stage: Stage, user: User, query: str, sent: dict[str, str]
) -> None:
    """Such as to another's photo, or to one that changes later."""
    manifest = b'[{"path": "/photos/photos/1", "size_bytes": 1}]'.ljust(len(PHOTO))
    presigned = user.presign(user.album()["id"], PHOTO)
    headers = {**presigned["upload_headers"], **sent}
    put = httpx.put(presigned["upload_url"] + query, content=manifest, headers=headers)
    if put.is_success:  # then it is bytes as others are
        staged = stage.look(presigned["object_key"])
        assert not {"x-static-large-object", "x-object-manifest", "x-symlink-target"} & set(staged)
        assert staged["content-length"] == str(len(PHOTO))
    assert user.confirm(presigned["photo_id"]).status_code == 409


def test_an_archive_is_not_unpacked(stage: Stage, user: User) -> None:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            member = tarfile.TarInfo("evil.jpg")
            member.size = len(OTHER)
            archive.addfile(member, io.BytesIO(OTHER))
        content = file.getvalue()
    presigned = user.presign(user.album()["id"], content)
    url, headers = presigned["upload_url"], presigned["upload_headers"]
    httpx.put(f"{url}&extract-archive=tar", content=content, headers=headers)
    for name in ("evil.jpg", f"{presigned['object_key']}/evil.jpg"):
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            stage.look(name)
    assert user.confirm(presigned["photo_id"]).status_code == 409


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "COPY"])
def test_an_upload_url_is_for_uploads_only(stage: Stage, user: User, method: str) -> None:
    presigned = user.presign(user.album()["id"], PHOTO)
    headers = presigned["upload_headers"]
    assert httpx.put(presigned["upload_url"], content=PHOTO, headers=headers).is_success
    sent = {"Destination": "photos/stolen"} if method == "COPY" else {}
    answer = httpx.request(method, presigned["upload_url"], headers=sent)
    assert 400 <= answer.status_code < 500
    assert PHOTO not in answer.content
    assert user.confirm(presigned["photo_id"]).status_code == 200


def test_through_the_server_too(stage: Stage, user: User) -> None:
    uploaded = user.upload(PHOTO)
    found = stage.photo_headers(uploaded["id"])
    assert (found["content-type"], found["content-length"]) == ("image/jpeg", str(len(PHOTO)))
    assert {name.lower() for name in found} <= OURS
