"""`photo-api storage check` where there is a CDN: each fault is made, and found."""

from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from photo_api.provisioning import judging
from tests.cdn.plain_edge import PlainEdge
from tests.own_stage import store_of
from tests.provisioning.conftest import SWIFT_SLOWLY
from tests.provisioning.running import check, init

Spoil = Callable[[PlainEdge], None]


@pytest.fixture
async def edge(settings: dict[str, str]) -> AsyncIterator[PlainEdge]:
    edge = PlainEdge(settings)
    await edge.start()
    yield edge
    await edge.stop()


@SWIFT_SLOWLY
async def test_a_cdn_that_is_well(settings: dict[str, str], edge: PlainEdge) -> None:
    await init(settings)
    edge.told = "X-Cache: Hit from edge\r\n"
    seen = await check(settings, edge.settings)
    assert (seen.code, seen.wrong, seen.unknown) == (0, set(), set()), seen.findings
    assert seen.states("cdn") == ["ok"] * 4
    assert seen.states("cdn-cache") == seen.states("authorization") == ["ok"]
    store = store_of(settings)
    for prefix in ("renditions/", "staging/"):
        assert [info.key async for info in store.list(prefix)] == []


def _fails(edge: PlainEdge) -> None:
    edge.fails = 502


def _verifies_last(edge: PlainEdge) -> None:
    edge.first = False


def _reads_staging(edge: PlainEdge) -> None:
    edge.reads_all = True


def _misses(edge: PlainEdge) -> None:
    edge.told = "X-Cache: TCP_MISS from edge\r\n"


@pytest.mark.parametrize(
    ("spoil", "code", "told"),
    [
        (_fails, "cdn", "answers 502 to a URL of ours"),
        (_verifies_last, "cdn", "with the token of another object: it gives the object"),
        (_reads_staging, "cdn", "nobody has looked at: it gives the object"),
        (_misses, "cdn-cache", "anew for each token"),
    ],
)
async def test_a_cdn_that_is_not(on_s3: dict[str, str], spoil: Spoil, code: str, told: str) -> None:
    await init(on_s3)
    edge = PlainEdge(on_s3)
    await edge.start()
    spoil(edge)
    seen = await check(on_s3, edge.settings)
    await edge.stop()
    assert (seen.code, seen.wrong) == (1, {code})
    assert told in str(seen.findings)
    assert "md5=" not in str(seen.findings)


async def test_a_cdn_that_nobody_reaches(on_s3: dict[str, str]) -> None:
    await init(on_s3)
    seen = await check(on_s3, PlainEdge(on_s3).settings)
    assert (seen.code, seen.unknown) == (2, {"cdn"})


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, None),
        ({"age": "0"}, None),
        ({"age": "12"}, True),
        ({"x-cache": "Hit from cloudfront"}, True),
        ({"x-cache": "Miss from cloudfront", "age": "x"}, False),
        ({"x-cache": "TCP_MEM_HIT from a23.deploy.akamaitechnologies.com"}, True),
        ({"cache-status": "edge; fwd=uri-miss"}, False),
    ],
)
def test_what_a_cdn_says_of_its_cache(headers: Mapping[str, str], found: bool | None) -> None:
    assert judging.was_cached(headers) is found
