"""Each feature once on a real Swift with the tokens of a real Keystone. The whole suites run there
too, by tests/test_suites_on_swift.py."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from PIL import Image

from photo_api import cli
from photo_api.photos import reconcile
from tests.lifecycle.test_drain import Upload
from tests.openstack.account import on_openstack
from tests.outages.faulty_store import FaultyStore, faulty_store
from tests.outages.test_storage import recovered, refused
from tests.own_stage import ask, endpoint_in, own_database, reached_at, store_of
from tests.service import Service, User, eventually, jpeg, put, running_service

pytestmark = [pytest.mark.needs("memcached"), pytest.mark.timeout(180)]

MIB = 1024 * 1024
NAME = "제주 바다.jpg"
OWN = {
    "PHOTO_API_SWEEP_INTERVAL": "0.3",
    "PHOTO_API_SWIFT_SEGMENT_SIZE": str(2 * MIB),
}


@pytest.fixture(scope="module")
def settings(
    stack: dict[str, Any], environ: dict[str, str], openstack: Any
) -> Iterator[dict[str, str]]:
    with own_database(stack, on_openstack(environ, *openstack) | OWN) as settings:
        yield settings


@pytest.fixture(scope="module")
def service(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with running_service(settings, tmp_path_factory.mktemp("on-swift")) as running:
        with running.new_user() as first:
            recovered(first)  # a busy Keystone takes longer for a first token than a start waits
        yield running


@pytest.fixture(scope="module")
def relay(settings: dict[str, str]) -> Iterator[FaultyStore]:
    with faulty_store(endpoint_in(settings)) as relay:
        yield relay


@pytest.fixture(scope="module")
def streaming(
    settings: dict[str, str], relay: FaultyStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """An instance beside the other that streams, and whose way to Swift is the relay."""
    changed = {"PHOTO_API_DELIVERY": "stream", "PHOTO_API_LAME_DUCK": "0.5"}
    own, folder = reached_at(settings, relay.endpoint) | changed, tmp_path_factory.mktemp("stream")
    with running_service(own, folder, "--no-jobs") as running:
        yield running


@pytest.fixture
def mina(service: Service) -> Iterator[User]:
    with service.new_user() as user:
        yield user


def objects(settings: dict[str, str], prefix: str) -> set[str]:
    """The keys that begin with it."""

    async def listed() -> set[str]:
        store = store_of(settings)
        found = {info.key async for info in store.list(prefix)}
        await store.aclose()
        return found

    return asyncio.run(listed())


def by_url(user: User, album: int, data: bytes, **more: Any) -> int:
    presigned = user.presign(album, data, **more)
    put(presigned, data).raise_for_status()
    assert user.confirm(presigned["photo_id"]).status_code == 200
    return int(presigned["photo_id"])


def test_photos_are_uploaded_both_ways_and_delivered_by_temporary_urls(mina: User) -> None:
    album, data = mina.album()["id"], jpeg(400, 300)
    through = mina.upload(jpeg(), album, filename="a.jpg")["id"]
    photo_id = by_url(mina, album, data, filename=NAME)
    photo = mina.rendered(photo_id)
    assert (photo["renditions"], photo["width"]) == ("ready", 400)
    assert {one["id"] for one in mina.api.get(f"/albums/{album}").json()["photos"]} == {
        through, photo_id,
    }  # fmt: skip
    redirect = mina.api.get(f"/photos/{photo_id}/image?size=original")
    url = redirect.headers["Location"]
    assert redirect.status_code == 302
    assert "temp_url_sig=" in url
    image, part = httpx.get(url), httpx.get(url, headers={"Range": "bytes=2-4"})
    assert (image.status_code, image.content) == (200, data)
    assert image.headers["Content-Type"] == "image/jpeg"
    assert image.headers["Content-Disposition"].startswith("inline")
    assert unquote(image.headers["Content-Disposition"]).endswith(NAME)
    assert (part.status_code, part.content) == (206, data[2:5])
    thumbnail = httpx.get(photo["thumbnail_url"])
    assert thumbnail.headers["Content-Type"] == "image/webp"
    assert Image.open(BytesIO(thumbnail.content)).format == "WEBP"


def test_a_shared_album_is_seen_without_an_account(mina: User, service: Service) -> None:
    album = mina.album()["id"]
    photo_id = by_url(mina, album, jpeg(400, 300))
    mina.rendered(photo_id)
    token = mina.api.post(f"/albums/{album}/share").json()["token"]
    with httpx.Client(base_url=f"{service.url}/api", follow_redirects=True) as visitor:
        [shown] = visitor.get(f"/share/{token}").json()["photos"]
        assert httpx.get(shown["thumbnail_url"]).status_code == 200
        path = f"/share/{token}/photos/{photo_id}/image"
        image = eventually(lambda: (answer := visitor.get(path)).is_success and answer, 20)
        assert image
        assert Image.open(BytesIO(image.content)).size == (400, 300)


def test_a_large_photo_is_deleted_with_its_segments(mina: User, settings: dict[str, str]) -> None:
    data = jpeg() + bytes(6 * MIB)
    photo_id = mina.upload(data)["id"]
    mina.rendered(photo_id)
    assert len(objects(settings, "segments/")) == 4
    assert mina.api.get(f"/photos/{photo_id}/image", follow_redirects=True).content == data
    path = f"/{mina.account['id']}/{photo_id}/"
    mine = objects(settings, f"photos{path}") | objects(settings, f"renditions{path}")
    assert len(mine) == 3
    mina.api.delete(f"/photos/{photo_id}").raise_for_status()
    mina.api.post("/photos/trash/empty", json={}).raise_for_status()
    due = "UPDATE unreferenced_objects SET delete_after = now() WHERE object_key = ANY ($1)"
    ask(settings, due, mine)
    eventually(lambda: not objects(settings, f"photos{path}"), 20)
    assert not objects(settings, f"renditions{path}")
    eventually(lambda: not objects(settings, "segments/"), 5)


def test_reconcile_finds_an_orphan_and_moves_it_away(
    settings: dict[str, str],
    mina: User,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(reconcile, "YOUNG", "0 seconds")
    photo_id = by_url(mina, mina.album()["id"], jpeg())
    mina.rendered(photo_id)
    orphan, data = f"photos/{mina.account['id']}/77/stray.jpg", jpeg()

    async def leave() -> None:
        store = store_of(settings)
        await store.put_bytes(orphan, data, content_type="image/jpeg")
        await store.aclose()

    asyncio.run(leave())
    assert cli.main(["reconcile", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["orphans"] == [orphan]
    assert cli.main(["reconcile", "--json", "--repair", "--force"]) == 0
    assert json.loads(capsys.readouterr().out)["quarantined"] == [orphan]
    assert not objects(settings, f"photos/{mina.account['id']}/77/")
    assert objects(settings, "quarantine/") == {f"quarantine/{orphan}"}
    assert mina.photo(photo_id)["renditions"] == "ready"


def test_what_is_streamed_comes_from_here(streaming: Service) -> None:
    with streaming.new_user() as user:
        data = jpeg(200, 100)
        path = f"/photos/{user.upload(data, filename=NAME)['id']}/image"
        image = user.api.get(path)
        assert (image.status_code, image.content) == (200, data)
        assert image.headers["Content-Type"] == "image/jpeg"
        part = user.api.get(path, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, data[10:20])


def test_while_swift_is_away_what_needs_it_is_refused(
    streaming: Service, relay: FaultyStore
) -> None:
    with streaming.new_user() as user:
        album, data = user.album()["id"], jpeg()
        kept = user.upload(data, album)["id"]
        presigned = user.presign(album, data)
        put(presigned, data).raise_for_status()
        relay.refuses()
        refused(user.post_photo(jpeg(), album))
        refused(user.confirm(presigned["photo_id"]))
        assert user.api.get("/photos/").status_code == 200
        assert httpx.get(f"{streaming.url}/health").status_code == 200
        relay.passes()
        recovered(user)
        assert user.confirm(presigned["photo_id"]).status_code == 200
        assert user.api.get(f"/photos/{kept}/image").content == data


def test_a_drain_finishes_an_upload_that_has_begun(streaming: Service) -> None:
    with streaming.new_user() as user:
        upload = Upload(user, user.album()["id"], 1.5)
        upload.start()
        time.sleep(0.4)
        streaming.process.send_signal(signal.SIGTERM)
        upload.join(15)
        assert upload.status == 201
    assert streaming.process.wait(10) == 0
