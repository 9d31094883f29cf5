"""The edge as time goes by: other members, reloads, other keys, a full disk, too many requests; on
both kinds of store, and without Lua."""

import asyncio
import re
import resource
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from photo_api.storage.bucket import Bucket
from photo_fleet.render.edge_keys import key_map
from photo_fleet.spec.edge import Edge
from photo_fleet.spec.fleet import RateLimit, RateLimits
from tests.openstack.account import make_containers
from tests.openstack.swift import Swift
from tests.photo_fleet.edge_stage import KEYS, EdgeStage, Place, edge_stage, in_bucket
from tests.photo_fleet.nginx_stage import ANY_RATE
from tests.service import eventually
from tests.storage.conftest import bucket

__all__ = ["bucket"]

pytestmark = pytest.mark.needs("nginx")


def workers(stage: EdgeStage) -> set[int]:
    return {one.pid for one in psutil.Process(stage.front.process.pid).children()}


def reload(stage: EdgeStage) -> None:
    """Returns when no worker of before is left."""
    former = workers(stage)
    stage.front.process.send_signal(signal.SIGHUP)
    eventually(lambda: workers(stage) and not workers(stage) & former, 20)


def test_what_is_kept_outlives_reloads_and_members_that_come_and_go(bucket: Bucket) -> None:
    with edge_stage(in_bucket(bucket)) as stage:
        key, data = stage.object()
        members = [stage.servers.start() for _ in range(2)]
        assert stage.http.get(stage.url(key)).content == data
        before = stage.fetched
        for present in ([members[0]], members, []):
            stage.front.put(*present)
            assert stage.http.get(stage.url(key)).content == data
        reload(stage)
        assert stage.http.get(stage.url(key)).content == data
        assert stage.fetched == before
        assert members[0].requests == members[1].requests == []
        other, data = stage.object()
        assert stage.http.get(stage.url(other)).content == data, (
            "no member is needed for what is new"
        )


def test_keys_are_rotated_by_their_file_and_a_reload(bucket: Bucket) -> None:
    with edge_stage(in_bucket(bucket)) as stage:
        key, _ = stage.object()
        newer = "0f1e2d3c4b5a6978" * 4
        file = Path(stage.front.places.edge_keys)
        statuses = []
        for keys in (KEYS, {"k3": newer, **KEYS}, {"k3": newer}, {}):
            listed = ",".join(f"{kid}:{secret}" for kid, secret in keys.items())
            file.write_text(key_map(listed)) if keys else file.unlink()
            reload(stage)
            urls = stage.url(key), stage.url(key, kid="k3", secret=newer)
            statuses.append([stage.http.get(url).status_code for url in urls])
        assert statuses == [[200, 403], [200, 200], [403, 200], [403, 403]]
        assert stage.http.get(f"{stage.front.url}/edge/health").status_code == 503, (
            "nginx serves on"
        )


@contextmanager
def no_room(stage: EdgeStage) -> Iterator[None]:
    """nginx can write nothing to files any more, until the block ends."""
    for pid in workers(stage):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for pid in workers(stage):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def is_served(stage: EdgeStage) -> bool:
    """Whether something new is, that is larger than what is kept in memory."""
    key, data = stage.object(700_000)
    try:
        return stage.http.get(stage.url(key)).content == data
    except httpx.TransportError:
        return False


def is_kept(stage: EdgeStage) -> bool:
    key, _ = stage.object()
    before = stage.fetched
    stage.http.get(stage.url(key)).raise_for_status()
    stage.http.get(stage.url(key)).raise_for_status()
    return stage.fetched == before + 1


def test_a_full_disk_costs_the_cache_and_no_image(bucket: Bucket) -> None:
    with edge_stage(in_bucket(bucket)) as stage:
        key, data = stage.object(700_000)
        assert stage.http.get(stage.url(key)).content == data
        assert is_kept(stage)
        with no_room(stage):
            eventually(lambda: is_served(stage), 10)
            assert all(is_served(stage) for _ in range(10))
            assert not is_kept(stage)
            before = stage.fetched
            assert stage.http.get(stage.url(key)).content == data
            assert stage.fetched == before, "what was kept before still is"
        eventually(lambda: is_kept(stage), 10)


def test_without_its_folder_images_are_served_and_not_kept(bucket: Bucket) -> None:
    with edge_stage(in_bucket(bucket)) as stage:
        assert is_kept(stage)
        folder = Path(stage.front.places.cache) / "cdn"
        shutil.rmtree(folder)
        with suppress(httpx.HTTPError):
            is_served(stage)  # before anybody has noticed
        eventually(lambda: is_served(stage), 10)
        assert all(is_served(stage) for _ in range(3))
        assert not re.search("md5=|X-Amz-", stage.front.logs), "signatures are no log's"
        folder.mkdir(mode=0o700)
        eventually(lambda: is_kept(stage), 10)


def test_files_that_somebody_removed_are_fetched_again(bucket: Bucket) -> None:
    with edge_stage(in_bucket(bucket)) as stage:
        key, data = stage.object()
        assert stage.http.get(stage.url(key)).content == data
        for file in (Path(stage.front.places.cache) / "cdn").glob("*/*/*"):
            file.unlink()
        before = stage.fetched
        assert stage.http.get(stage.url(key)).content == data
        assert stage.fetched == before + 1


def test_too_many_images_are_refused_and_nothing_else_is(bucket: Bucket) -> None:
    others = {"read": ANY_RATE, "image": ANY_RATE, "cdn": RateLimit(1, 5)}
    with edge_stage(in_bucket(bucket), rate_limits=RateLimits(**others)) as stage:
        member = stage.servers.start()
        stage.front.put(member)
        key, _ = stage.object()
        url = stage.url(key)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(stage.http.get, [url] * 20))
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 10 <= len(refused) <= 15
        assert refused[0].json()["code"] == "too_many_requests"
        assert refused[0].headers["Retry-After"] == "1"
        assert refused[0].headers["Access-Control-Allow-Origin"] == "*"
        assert stage.http.get(f"{stage.front.url}/api/photos/").status_code == 200


@pytest.mark.slow
def test_the_cache_has_a_bound(bucket: Bucket) -> None:
    """nginx looks every 10 s, and after 200 ms of work."""
    small = Edge(on=True, min_free=0, size=16 * 2**20)
    with edge_stage(in_bucket(bucket), small) as stage:
        cache = Path(stage.front.places.cache)
        for _ in range(24):
            key, data = stage.object(2**20)
            assert stage.http.get(stage.url(key)).content == data

        def kept() -> int:
            return sum(file.stat().st_size for file in cache.glob("cdn/*/*/*"))

        assert kept() > 0
        eventually(lambda: kept() <= 17 * 2**20, 20)
        assert stage.http.get(stage.url(key)).content == data


def test_without_lua_browsers_ask_again_and_get_no_bytes_for_it(bucket: Bucket) -> None:
    with edge_stage(in_bucket(bucket), membership="reload") as stage:
        key, data = stage.object()
        for _ in range(2):
            answer = stage.http.get(stage.url(key))
            assert answer.content == data
            assert answer.headers["Cache-Control"] == "private, no-cache"
            assert not [name for name in answer.headers if "amz" in name]
        asked = {"If-Modified-Since": answer.headers["Last-Modified"]}
        assert stage.http.get(stage.url(key), headers=asked).status_code == 304
        assert stage.fetched == 1


@pytest.mark.slow
@pytest.mark.needs("memcached")
def test_a_swift_behind_it_is_served_alike(swift: Swift) -> None:
    containers = asyncio.run(make_containers(swift))
    _, account = swift.sign_in()
    endpoint, _, path = account.partition("/v1/")
    place = Place(endpoint, f"/v1/{path}/{containers.photos}")
    slices = Edge(on=True, min_free=0, slice=64 * 1024)
    with edge_stage(place, slices) as stage:
        key, data = stage.object(200_000)
        assert stage.http.head(stage.url(key)).headers["Content-Length"] == "200000"
        answer = stage.http.get(stage.url(key, name="독도.webp"))
        assert answer.content == data
        disposition = "inline; filename*=UTF-8''%EB%8F%85%EB%8F%84.webp"
        assert answer.headers.get_list("Content-Disposition") == [disposition]
        assert not {"x-trans-id", "x-timestamp", "expires", "x-openstack-request-id"} & set(
            answer.headers
        )
        assert answer.headers["Cache-Control"].startswith("private, max-age=")
        part = stage.http.get(stage.url(key), headers={"Range": "bytes=150000-150009"})
        assert (part.status_code, part.content) == (206, data[150_000:150_010])
        assert stage.fetched == 4, "each piece once"
        foreign = stage.place.query("", "photos/1/2/another.webp")
        another, _ = stage.object()
        for query in (foreign, stage.place.query("", another) + "&multipart-manifest=get"):
            assert stage.http.get(stage.url(another, query=query)).status_code == 403
        assert stage.http.get(stage.url("photos/1/42/nothing.webp")).status_code == 404
        stage.stop_store()
        assert stage.http.get(stage.url(key)).content == data
