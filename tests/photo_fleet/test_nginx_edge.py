"""The edge on a real nginx before a real SeaweedFS: what it verifies, keeps and says."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from photo_api.storage.bucket import Bucket
from photo_fleet.spec.edge import Edge
from tests.photo_fleet.edge_stage import EdgeStage, edge_stage, in_bucket, status_of
from tests.service import eventually
from tests.storage.conftest import bucket

__all__ = ["bucket"]

pytestmark = pytest.mark.needs("nginx")

SLICE = 64 * 1024


@pytest.fixture(scope="module")
def stage(bucket: Bucket) -> Iterator[EdgeStage]:
    with edge_stage(in_bucket(bucket), Edge(on=True, min_free=0, slice=SLICE)) as made:
        yield made


def test_what_was_fetched_once_is_served_to_whoever_has_a_url(stage: EdgeStage) -> None:
    key, data = stage.object()
    before = stage.fetched
    answers = [
        stage.http.get(stage.url(key, kid=kid, life=life))
        for kid, life in (("k2", 600), ("k1", 500), ("k2", 60))
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert all(answer.content == data for answer in answers)
    assert stage.fetched == before + 1


def test_other_secrets_paths_names_and_times_are_refused(stage: EdgeStage) -> None:
    key, _ = stage.object()
    other, _ = stage.object()
    stage.http.get(stage.url(key)).raise_for_status()
    before = stage.fetched
    good = stage.url(key)
    later = re.sub(r"expires=(\d+)", lambda found: f"expires={int(found[1]) + 9}", good)
    for url in (
        stage.url(key, secret="another"),
        stage.url(key, secret=""),
        good.replace(key, other),
        later,
        good.replace("filename=a%20photo", "filename=another"),
        good.replace("md5=", "md5=A"),
        good.replace("kid=k2", "kid=k1"),
        good.partition("?")[0],
        good.partition("&X-Amz")[0],
        good + "&response-content-type=text/html",
        good + "&versionId=1",
        good + "&X-Amz-Meta-More=1",
        good.replace("X-Amz-Signature=", "X-Amz-Signature=0"),
    ):
        assert status_of(stage.http.get(url)) == (403, "link_invalid"), url
    assert stage.fetched == before


@pytest.mark.parametrize("kid", ["nobody", "", "default", "~.", "k2&kid=k1"])
def test_an_unknown_key_s_secret_is_not_the_empty_one(stage: EdgeStage, kid: str) -> None:
    key, _ = stage.object()
    before = stage.fetched
    assert status_of(stage.http.get(stage.url(key, kid=kid, secret=""))) == (403, "link_invalid")
    assert stage.fetched == before


def test_what_has_expired_is_gone_though_it_is_kept(stage: EdgeStage) -> None:
    key, _ = stage.object()
    assert stage.http.get(stage.url(key)).is_success
    assert status_of(stage.http.get(stage.url(key, life=-1))) == (410, "link_expired")
    short = stage.url(key, life=2)
    assert stage.http.get(short).is_success
    time.sleep(3.1)
    assert stage.http.get(short).status_code == 410


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_refused(stage: EdgeStage, method: str) -> None:
    key, _ = stage.object()
    assert stage.http.request(method, stage.url(key)).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/cdn", "/cdn/", "/cdn/photos", "/cdn/photos/", "/cdn/staging/1/2", "/cdn//photos/1/2",
        "/cdn/photos//1", "/cdn/photos/1/../2", "/cdn/photos/1/./2", "/cdn/photos%2f1",
        "/cdn/../cdn/photos/1/2", "/cdn/photos/1%2f2", "/cdn/photos/1/%2e%2e/2", "/cdn/photos/..",
        "/cdn/photos/1/2/", "/api/../cdn/photos/1/2", "/cdn/photos/1/%20", "/cdn/photos/a%0d%0ab",
    ],
)  # fmt: skip
def test_other_addresses_are_nothing(stage: EdgeStage, path: str) -> None:
    query = urlsplit(stage.url("photos/1/2")).query
    assert raw(stage, f"GET {path}?{query} HTTP/1.1")[0] == 404


def test_a_nul_is_no_request(stage: EdgeStage) -> None:
    assert raw(stage, "GET /cdn/photos/1%00/2?expires=1 HTTP/1.1")[0] == 400


def raw(stage: EdgeStage, line: str) -> tuple[int, str]:
    address = urlsplit(stage.front.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        client.sendall(f"{line}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        text = b""
        while piece := client.recv(65536):
            text += piece
    return int(text.split()[1]), text.decode("latin-1")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=100000-100099", (100_000, 100_100)),
        (f"bytes={SLICE - 5}-{SLICE + 4}", (SLICE - 5, SLICE + 5)),
        ("bytes=-50", (199_950, 200_000)),
        ("bytes=199990-", (199_990, 200_000)),
        ("bytes=199990-300000", (199_990, 200_000)),
    ],
)
def test_parts(stage: EdgeStage, asked: str, given: tuple[int, int]) -> None:
    key, data = stage.object(200_000)
    for _ in range(2):
        answer = stage.http.get(stage.url(key), headers={"Range": asked})
        assert answer.status_code == 206
        assert answer.content == data[slice(*given)]
        assert answer.headers["Content-Range"] == f"bytes {given[0]}-{given[1] - 1}/200000"


def test_a_part_costs_the_pieces_it_lies_in(stage: EdgeStage) -> None:
    key, data = stage.object(10 * SLICE)
    before = stage.fetched
    asked = {"Range": f"bytes={5 * SLICE + 1}-{5 * SLICE + 2}"}
    assert (
        stage.http.get(stage.url(key), headers=asked).content == data[5 * SLICE + 1 : 5 * SLICE + 3]
    )
    assert stage.fetched == before + 1
    assert stage.http.get(stage.url(key)).content == data
    assert stage.fetched == before + 10


@pytest.mark.parametrize("asked", ["bytes=200000-", "bytes=900000-900001"])
def test_a_part_that_is_not_there(stage: EdgeStage, asked: str) -> None:
    key, _ = stage.object(200_000)
    for _ in range(2):
        refused = stage.http.get(stage.url(key), headers={"Range": asked})
        assert status_of(refused) == (416, "range_not_satisfiable")
        stage.http.get(stage.url(key))


@pytest.mark.parametrize("asked", ["bytes=0-9,20-29", "lines=0-9"])
def test_parts_that_are_not_served_as_parts_are_the_whole(stage: EdgeStage, asked: str) -> None:
    key, data = stage.object(200_000)
    answer = stage.http.get(stage.url(key), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, data)


def test_a_part_only_of_what_it_was_before(stage: EdgeStage) -> None:
    key, data = stage.object(200_000)
    made = stage.http.get(stage.url(key)).headers["Last-Modified"]
    part = {"Range": "bytes=10-19"}
    same = stage.http.get(stage.url(key), headers=part | {"If-Range": made})
    assert (same.status_code, same.content) == (206, data[10:20])
    other = stage.http.get(stage.url(key), headers=part | {"If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, data)


def test_who_has_it_already_gets_no_bytes(stage: EdgeStage) -> None:
    key, _ = stage.object()
    made = stage.http.get(stage.url(key)).headers["Last-Modified"]
    again = stage.http.get(stage.url(key), headers={"If-Modified-Since": made})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Access-Control-Allow-Origin"] == "*"
    assert "max-age" in again.headers["Cache-Control"]


def test_fifty_at_once_are_one_fetch(stage: EdgeStage) -> None:
    key, data = stage.object()
    urls = [stage.url(key) for _ in range(50)]
    assert len(set(urls)) > 10
    before = stage.fetched
    stage.relay.delay = 0.3
    try:
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(stage.http.get, urls))
    finally:
        stage.relay.delay = 0
    assert all(answer.content == data for answer in answers)
    assert stage.fetched == before + 1


def test_head_is_answered_from_the_same_cache(stage: EdgeStage) -> None:
    key, data = stage.object(200_000)
    before = stage.fetched
    asked = stage.http.head(stage.url(key))
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["Content-Length"] == "200000"
    assert stage.http.get(stage.url(key), headers={"Range": "bytes=0-9"}).content == data[:10]
    again = stage.http.head(stage.url(key))
    assert again.headers["Last-Modified"] == asked.headers["Last-Modified"]
    assert stage.fetched == before + 1
    assert {one.method for one in stage.server.requests} == {"GET"}


def test_nothing_of_who_asks_goes_to_the_store(stage: EdgeStage) -> None:
    key, _ = stage.object()
    told = {
        "Authorization": "Bearer eyJ",
        "Cookie": "a=b",
        "Referer": "https://photos.example.org/share/abc",
        "Proxy-Authorization": "Basic a",
        "X-Amz-Copy-Source": "/photos/a",
        "If-None-Match": '"a"',
        "User-Agent": "somebody",
        "X-Forwarded-For": "10.9.8.7",
    }
    assert stage.http.get(stage.url(key), headers=told).status_code == 200
    asked = stage.server.requests[-1]
    assert set(asked.headers) == {"host", "range"}
    assert asked.headers["host"] == stage.host
    sent = {part.partition("=")[0] for part in urlsplit(asked.target).query.split("&")}
    assert not {"expires", "kid", "md5", "filename"} & sent


def test_what_is_kept_tells_nothing_of_who_asked_first(stage: EdgeStage) -> None:
    key, _ = stage.object()
    stage.relay.more = {
        "Set-Cookie": "session=1",
        "Cache-Control": "public, max-age=99999999",
        "Expires": "Thu, 01 Jan 2099 00:00:00 GMT",
        "Content-Disposition": "attachment; filename=secret.pdf",
        "X-Accel-Redirect": "/docs",
        "X-Accel-Expires": "0",
        "Vary": "*",
        "Access-Control-Allow-Origin": "https://front.example.org",
        "X-Request-ID": "of-the-store",
        "X-Own-Header": "of-the-store",
    }
    try:
        first = stage.http.get(stage.url(key, name="mine.jpg", life=1000))
    finally:
        stage.relay.more = {}
    second = stage.http.get(stage.url(key, name="김치.jpg", life=50))
    assert stage.front.logged(second.headers["X-Request-ID"])["cache"] == "HIT"
    for answer, name, life in ((first, "mine.jpg", 1000), (second, "%EA%B9%80%EC%B9%98.jpg", 50)):
        headers = answer.headers
        assert headers.get_list("Content-Disposition") == [f"inline; filename*=UTF-8''{name}"]
        [caching] = headers.get_list("Cache-Control")
        left = re.fullmatch(r"private, max-age=(\d+)", caching)
        assert left is not None
        assert life - 5 <= int(left[1]) <= life
        assert headers.get_list("Access-Control-Allow-Origin") == ["*"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]
        assert headers["Content-Type"] == "image/webp"
        assert not {"set-cookie", "expires", "vary"} & set(headers)
        assert not [
            name for name in headers if "amz" in name or name.startswith(("x-accel", "x-own"))
        ]


def test_pages_elsewhere_may_read_and_ask_first(stage: EdgeStage) -> None:
    key, _ = stage.object()
    asked = {"Origin": "null", "Access-Control-Request-Method": "GET"}
    preflight = stage.http.options(
        stage.url(key), headers=asked | {"Access-Control-Request-Headers": "authorization"}
    )
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    answer = stage.http.get(stage.url(key), headers={"Origin": "null"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_what_is_kept_is_served_while_the_store_is_down(bucket: Bucket) -> None:
    with edge_stage(in_bucket(bucket), Edge(on=True, min_free=0, fresh=1)) as stage:
        key, data = stage.object()
        other, _ = stage.object()
        assert stage.http.get(stage.url(key)).content == data
        stage.stop_store()
        assert stage.http.get(stage.url(key)).content == data
        time.sleep(2.1)
        for _ in range(3):  # it is old by now, and asked for again in vain
            assert stage.http.get(stage.url(key)).content == data
        assert status_of(stage.http.get(stage.url(other))) == (503, "storage_unavailable")
        stage.start_store()
        before = stage.fetched
        stage.relay.status = 500
        assert stage.http.get(stage.url(key)).content == data
        eventually(lambda: stage.fetched > before)
        stage.relay.status = 0
        eventually(lambda: _cached(stage, key) == "HIT")
        assert {one.headers.get("range") for one in stage.server.requests} == {"bytes=0-1048575"}
        assert "if-none-match" in stage.server.requests[-1].headers


def _cached(stage: EdgeStage, key: str) -> object:
    answer = stage.http.get(stage.url(key))
    return stage.front.logged(answer.headers["X-Request-ID"])["cache"]


def test_the_log_tells_what_the_cache_had_and_no_signature(stage: EdgeStage) -> None:
    key, _ = stage.object()
    told = []
    for url in (stage.url(key), stage.url(key), stage.url(key, life=-1)):
        answer = stage.http.get(url)
        told.append(stage.front.logged(answer.headers["X-Request-ID"]))
    assert [line["cache"] for line in told] == ["MISS", "HIT", ""]
    assert {line["path"] for line in told} == {f"/cdn/{key}"}
    assert "md5=" not in stage.front.logs
    assert "X-Amz-Signature" not in stage.front.logs
