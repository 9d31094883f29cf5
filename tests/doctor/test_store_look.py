"""What strangers may do with a bucket, and what the doctor says to it: of a real SeaweedFS."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from photo_base.preflight import STRANGER
from photo_fleet.doctor.exposure import RULES
from photo_fleet.doctor.finding import Finding, Unknown
from photo_fleet.doctor.looking import judge
from photo_fleet.doctor.looks import store
from photo_fleet.doctor.looks.registry import Boot
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.looks.store import StoreLook
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen
from photo_fleet.spec import store as store_module
from photo_fleet.spec.fleet import Balancer, Fleet, Service
from photo_local.bucket import BucketAdmin
from photo_local.seaweed import BUCKET, REGION, Seaweed
from tests.openstack.account import make_containers
from tests.openstack.swift import Swift, ask
from tests.service import free_port

FRONT = "https://front.example.org"
KEYS = ("5c1f83e0b7d94a26", "9ae4d7160c3b5f82e1d09b6c47a2f358")
BOOT = Boot("b", "10.0.0.1", "n", None, "1", "10.0.0.1", 8000, 1, "ready", "", 0, 0, 0)
ABOUT_BUCKETS = [rule for rule in RULES if rule.code.startswith("bucket")]


class OpenSeaweed(Seaweed):
    """Strangers may do `actions`."""

    actions: Sequence[str] = ()

    def _prepare_files(self) -> None:
        super()._prepare_files()
        file = self._root / "s3.json"
        told = json.loads(file.read_text())
        if self.actions:
            told["identities"].append({"name": "anonymous", "actions": self.actions})
        file.write_text(json.dumps(told))
        self._account.let_read(file)


@contextmanager
def running(folder: Path, *actions: str) -> Iterator[OpenSeaweed]:
    with asyncio.Runner() as runner:
        server = OpenSeaweed(folder, *KEYS, cors_origins=[FRONT])
        server.actions = actions
        runner.run(server.start())
        try:
            yield server
        finally:
            runner.run(server.stop())


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSeaweed]:
    with running(tmp_path_factory.mktemp("closed")) as server:
        yield server


@pytest.fixture
def admin(closed: OpenSeaweed) -> Iterator[BucketAdmin]:
    """Of the bucket whose CORS rules a test changes."""
    made = BucketAdmin(closed.endpoint, BUCKET, REGION, *KEYS)
    yield made
    made.prepare([FRONT])


def seen(fleet: Fleet) -> tuple[StoreLook, list[Finding], list[Unknown]]:
    nothing = Seen(fleet, 0, {})
    look = asyncio.run(store.take(Reach(fleet, "fleet.toml"), nothing))
    return look, *judge(Seen(fleet, 0, {StoreLook: look}), ABOUT_BUCKETS)


def fleet(server: Seaweed, *origins: str, public_url: str = "") -> Fleet:
    service = Service(store=server.endpoint, cors_origins=origins, public_url=public_url)
    return Fleet(service=service)


def test_a_bucket_as_it_should_be(closed: OpenSeaweed) -> None:
    look, findings, unknown = seen(fleet(closed, FRONT))
    assert (findings, unknown) == ([], [])
    [place] = look.places
    assert place.clock is not None
    assert place.clock.least == 0
    asked = {(one.origin, one.method): one.allowed for one in place.preflights}
    assert asked == {
        (STRANGER, "GET"): True,
        (STRANGER, "PUT"): False,
        (FRONT, "GET"): True,
        (FRONT, "PUT"): True,
    }


def test_a_front_end_that_the_bucket_does_not_know(closed: OpenSeaweed) -> None:
    other = "https://other.example.org"
    _, [found], unknown = seen(fleet(closed, FRONT, other))
    assert (found.level, found.code, unknown) == ("error", "bucket-cors", [])
    assert f"a page of {other} that asks for PUT" in found.evidence
    assert f"Origin: {other}" in found.command


def test_pages_of_anybody_may_write(closed: OpenSeaweed, admin: BucketAdmin) -> None:
    """One rule for all, as tutorials have it."""
    admin.prepare(["*"])
    _, [found], _ = seen(fleet(closed, FRONT))
    assert (found.level, found.code) == ("warning", "bucket-cors")
    assert seen(fleet(closed, "http://localhost:*"))[1] == [], "which is meant where one develops"


def test_only_reading_is_allowed(closed: OpenSeaweed, admin: BucketAdmin) -> None:
    admin.prepare([])
    _, [found], _ = seen(fleet(closed, FRONT))
    assert (found.level, found.code) == ("error", "bucket-cors")
    assert "PUT" in found.evidence
    assert "GET with" not in found.evidence
    assert seen(fleet(closed))[1] == [], "no front end is on another origin"
    [found] = seen(fleet(closed, public_url=f"{FRONT}/photos"))[1]
    assert "PUT" in found.evidence, "the gallery is a page, too"


@pytest.mark.parametrize("actions", [("Read",), ("Read", "List")])
def test_a_bucket_is_seen_as_strangers_see_it(tmp_path: Path, actions: tuple[str, ...]) -> None:
    with running(tmp_path, *actions) as server:
        look, [found], unknown = seen(fleet(server, FRONT))
        assert (found.level, found.code, unknown) == ("error", "bucket-public", [])
        assert f"may {'list' if 'List' in actions else 'read'} it" in found.evidence
        behind = replace(
            fleet(server, FRONT),
            balancer=Balancer(store=server.endpoint),
            service=Service(store=server.endpoint, public_url=f"http://127.0.0.1:{free_port()}"),
        )
        look, findings, unknown = seen(behind)
        assert [(one.level, one.code) for one in findings] == [("warning", "bucket-public")]
        assert {one.code for one in unknown} == {"bucket-cors", "bucket-public"}
        assert [bool(place.problem) for place in look.places] == [True, False]


def test_nothing_is_ever_written() -> None:
    """Not even where everybody may."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.append(head.decode().split(" HTTP", 1)[0])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def visit() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            spec = Fleet(service=Service(store=f"http://{host}:{port}", cors_origins=(FRONT,)))
            await store.take(Reach(spec, "fleet.toml"), Seen(spec, 0, {}))

    asyncio.run(visit())
    assert {line.split(" ")[0] for line in asked} == {"GET", "OPTIONS"}
    assert len(asked) == 6


def test_without_an_address_or_an_answer_nothing_is_known() -> None:
    silent = f"http://127.0.0.1:{free_port()}"
    _, findings, unknown = seen(Fleet(service=Service(store=silent)))
    assert findings == []
    assert {one.code for one in unknown} == {"bucket-cors", "bucket-public"}
    assert unknown[0].reason == f"{silent}: ConnectError"
    with pytest.raises(Exception, match="nobody tells the object store's address"):
        seen(Fleet())


@pytest.mark.needs("memcached")
def test_a_swift(swift: Swift) -> None:
    """Its address is what instances tell, or the spec where none does."""
    containers = asyncio.run(make_containers(swift))
    token, account = swift.sign_in()
    told = {"kind": "swift", "address": account}
    told |= {"bucket": containers.photos, "uploads": containers.staging}
    server = Server(BOOT, config={"store": told, "cors_origins": [FRONT]})

    named = store_module.Swift(
        account=account, container=containers.photos, staging_container=containers.staging
    )
    spec = Fleet(service=Service(cors_origins=(FRONT,)), store=store_module.Store("swift", named))

    def judged() -> dict[str, str]:
        before = Seen(Fleet(), 0, {ServersLook: ServersLook((server,))})
        look = asyncio.run(store.take(Reach(Fleet(), "fleet.toml"), before))
        findings, unknown = judge(Seen(Fleet(), 0, {StoreLook: look}), ABOUT_BUCKETS)
        assert unknown == []
        _, by_spec, unknown = seen(spec)
        assert (by_spec, unknown) == (findings, [])
        return {found.code: found.evidence for found in findings}

    def put(container: str, **headers: str) -> None:
        answer = ask("POST", f"{account}/{container}", b"", X_Auth_Token=token, **headers)
        assert answer.status < 300

    assert "lets pages of any origin" in judged()["bucket-cors"]
    put(
        containers.staging, X_Container_Meta_Access_Control_Allow_Origin="https://other.example.org"
    )
    assert f"a page of {FRONT} that asks for PUT with 401" in judged()["bucket-cors"]
    put(containers.staging, X_Container_Meta_Access_Control_Allow_Origin=FRONT)
    assert judged() == {}
    put(containers.photos, X_Container_Read=".r:*")
    assert "may read it" in judged()["bucket-public"]
    put(containers.photos, X_Container_Read=".r:*,.rlistings")
    assert "may list it" in judged()["bucket-public"]
