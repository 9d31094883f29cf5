"""What is always looked at, of a real service in which all of it is wrong, and of one in which
nothing is."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from photo_api.contract import RELEASE
from photo_api.jobs import statistics
from photo_api.maintenance import LEASE
from photo_api.registry import leases
from photo_fleet.doctor.always import RULES
from photo_fleet.doctor.finding import Finding, Unknown
from photo_fleet.doctor.looking import judge
from photo_fleet.doctor.looks import certificates, store
from photo_fleet.doctor.looks.certificates import CertificatesLook
from photo_fleet.doctor.looks.exposition import parse
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.looks.servers import ServersLook
from photo_fleet.doctor.looks.store import StoreLook
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.told import COUNTED
from photo_fleet.spec.fleet import Fleet, Objectives, Service
from tests.doctor.seeing import reach_of, seen_through
from tests.own_stage import ask, own_database
from tests.service import Service as Running
from tests.service import eventually, free_port, running_service

THOUGHT_UP = "photo-api-development-secret-0123456789"
DATED = Fleet(objectives=Objectives(oldest_key=400))


@dataclass(frozen=True, slots=True)
class Visit:
    """What the doctor said, by code, and to which questions it had no answer."""

    findings: dict[str, list[Finding]]
    unknown: dict[str, Unknown]

    def evidence(self, code: str) -> str:
        return " / ".join(found.evidence for found in self.findings[code])


def visit(reach: Reach) -> Visit:
    """Look at everything that this section needs, and judge it."""
    seen = asyncio.run(looked(reach))
    findings, unknown = judge(seen, RULES)
    by_code: dict[str, list[Finding]] = {}
    for found in findings:
        by_code.setdefault(found.code, []).append(found)
    return Visit(by_code, {one.code: one for one in unknown})


async def looked(reach: Reach) -> Seen:
    seen = await seen_through(reach)
    looks: dict[type[Any], Any] = {
        RegistryLook: seen.need(RegistryLook),
        ServersLook: seen.need(ServersLook),
    }
    with suppress(Unseen):  # where only operators are told its address
        looks[StoreLook] = await store.take(reach, Seen(reach.spec, 0, looks))
    looks[CertificatesLook] = await certificates.take(reach, Seen(reach.spec, 0, looks))
    return Seen(reach.spec, time.time(), looks)


@pytest.fixture(scope="module")
def ill(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A service that somebody took from a tutorial, in a database where nobody has worked for an
    hour. Its store is away, and the disk of its log sink is full."""
    nobody = f"http://127.0.0.1:{free_port()}"
    wrong = {
        "MODE": "development",
        "JWT_KEYS": f"2020-01:{THOUGHT_UP}",
        "SECRET_KEYS": f"k1:{THOUGHT_UP}",
        "OPS_TOKEN": "operator",
        "TRUSTED_PROXIES": "",
        "CORS_ORIGINS": "https://front.example.org",
        "S3_ENDPOINT": nobody,
        "S3_PUBLIC_ENDPOINT": stack["s3_endpoint"],
        "LOG_SINK": "/dev/full",
        "LOG_QUEUE": "10",
        "LOG_FLUSH": "0",
        "PUBLIC_URL": "http://photos.example.org",
    }
    with own_database(stack, environ) as settings:
        asyncio.run(left_lying(settings["PHOTO_API_DATABASE_URL"]))
        own = settings | {f"PHOTO_API_{name}": value for name, value in wrong.items()}
        folder = tmp_path_factory.mktemp("ill")
        with running_service(own, folder, "--no-jobs") as service:
            for number in range(40):  # as a balancer sends them
                client = {"X-Forwarded-For": f"192.0.2.{number}"}
                httpx.get(f"{service.url}/api/albums/", headers=client)
            # A second release has been ready for as long, and serves nobody.
            ask(own, "UPDATE instances SET changed_at = now() - interval '5 hours'")
            ask(own, OTHER_RELEASE, uuid4())
            eventually(lambda: tells_all(service), 30, 0.2)
            yield service


OTHER_RELEASE = """
    INSERT INTO instances (boot_id, instance, node, version, address, port, workers, state,
        started_at, changed_at, heartbeat_at)
    VALUES ($1, '10.9.9.9', 'old', '0.0.9', '10.9.9.9', 8000, 0, 'ready',
        now() - interval '9 hours', now() - interval '9 hours', now() + interval '1 hour')
"""


async def left_lying(url: str) -> None:
    """Work that nobody does, counted by who holds the lease for it."""
    db = await asyncpg.connect(url)
    await db.execute(
        "INSERT INTO users (email, username, password_hash) VALUES ('a', 'a', '');"
        "INSERT INTO photos (owner_id, status, album_id, original_filename, content_type,"
        "  file_size, object_key) SELECT id, 'ready', 0, '', 'image/jpeg', 1, n::text"
        "  FROM users, generate_series(1, 4) n;"
        "INSERT INTO jobs (kind, subject_id, state, available_at)"
        "  SELECT 'renditions', min(id), 'queued', now() - interval '20 minutes' FROM photos;"
        "INSERT INTO jobs (kind, subject_id, state)"
        "  SELECT 'renditions', max(id), 'dead' FROM photos;"
        "INSERT INTO unreferenced_objects (object_key, delete_after, bytes)"
        "  SELECT 'photos/' || n, now() - interval '3 hours', 2000000 FROM generate_series(1, 7) n"
    )
    lease = await leases.acquire(db, LEASE, "somebody who hangs", 240)
    assert lease is not None
    await statistics.count(db, lease)
    await statistics.count_waiting(db, lease)
    await db.close()


def tells_all(service: Running) -> bool:
    """Whether it has looked at its store, at the fleet's numbers, and lost a line."""
    told = httpx.get(f"{service.url}/health/detailed").json()["checks"]["storage"]
    looked = not told["ok"] and "not looked at" not in told["error"]
    metrics = parse(httpx.get(f"{service.url}/metrics").text)
    lost = metrics.value("photo_api_log_lines_lost_total", way="sink")
    return looked and bool(lost) and metrics.value(COUNTED) is not None


def ill_reach(service: Running, **more: Any) -> Reach:
    return reach_of(dict(service.environ), **{"spec": DATED} | more)


@pytest.fixture(scope="module")
def found(ill: Running) -> Visit:
    return visit(ill_reach(ill))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "level", "words"),
    [
        ("secret-default", "error", "PHOTO_API_OPS_TOKEN has fewer than 128 bits"),
        ("secret-default", "error", "PHOTO_API_JWT_KEYS, the secret of '2020-01' is not random"),
        ("secret-equal", "error", "PHOTO_API_SECRET_KEYS, the secret of 'k1' are the same"),
        ("proxies-unset", "error", "_forwards_total of /metrics: 40 of 40 at"),
        ("key-old", "warning", "the jwt key 2020-01 that signs is"),
        ("key-undated", "warning", "the secret key k1 that signs has no date"),
        ("store-down", "error", "1 of 1 ready instances do not reach it"),
        ("orphans-grow", "warning", "7 objects (14 MB and more) are due to be deleted"),
        ("jobs-dead", "warning", "by kind: 1 renditions"),
        ("queue-old", "warning", "the oldest renditions job has been waiting for 20 min"),
        ("renditions-missing", "error", "2 photos have no thumbnail"),
        ("log-lines-lost", "warning", "lines of 1 instances were lost on their way to sink"),
        ("versions-mixed", "warning", f"1 of 0.0.9, 1 of {RELEASE} ready, for 5 h"),
    ],
)
def test_what_is_wrong_is_found(found: Visit, code: str, level: str, words: str) -> None:
    assert words in found.evidence(code)
    assert {one.level for one in found.findings[code]} == {level}


@pytest.mark.slow
def test_and_nothing_else(found: Visit) -> None:
    right = {"proxies-open", "bucket-public", "maintenance-stopped", "certificate-due"}
    right.add("cdn-failed")  # there is none
    codes = {rule.code for rule in RULES} - right
    assert set(found.findings) == codes
    assert set(found.unknown) == {"proxies-open"}, "whom nginx believes: there is none here"


@pytest.mark.slow
def test_no_secret_and_nothing_of_one_is_told(found: Visit, ill: Running) -> None:
    told = repr(found)
    assert THOUGHT_UP not in told
    assert ill.environ["PHOTO_API_S3_SECRET_KEY"] not in told
    commands = " ".join(one.command for some in found.findings.values() for one in some)
    assert "$PHOTO_API_OPS_TOKEN" in commands


@pytest.mark.slow
def test_without_the_token_its_questions_are_open(ill: Running) -> None:
    blind = visit(ill_reach(ill, ops_token=""))
    asked = {"secret-default", "secret-equal", "proxies-unset", "proxies-open"}
    keys, bucket = {"key-old", "key-undated"}, {"bucket-cors", "bucket-public"}
    assert set(blind.unknown) == asked | keys | bucket | {"cdn-failed"}
    assert "told no configuration: " in blind.unknown["key-old"].reason
    assert "store-down" in blind.findings, "which is told to anybody"


@pytest.mark.slow
def test_numbers_that_nobody_counts_are_found_and_not_believed(ill: Running) -> None:
    """Somebody holds the lease for the sweep and does nothing."""
    environ = dict(ill.environ)
    ask(environ, "UPDATE statistics SET at = now() - interval '40 minutes'")

    def told() -> bool:
        at = parse(httpx.get(f"{ill.url}/metrics").text).value(COUNTED)
        return at is not None and at < time.time() - 1000

    eventually(told, 20, 0.2)
    now = visit(ill_reach(ill))
    assert "were counted 40 min ago" in now.evidence("maintenance-stopped")
    counted = {"orphans-grow", "jobs-dead", "queue-old", "renditions-missing"}
    assert set(now.unknown) == counted | {"proxies-open"}
    assert not counted & set(now.findings)


def test_a_service_as_it_should_be(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> None:
    """Its ids of keys have no dates, and nobody asked for any."""
    spec = Fleet(objectives=Objectives(oldest_key=0), service=Service(store=stack["s3_endpoint"]))
    with own_database(stack, environ) as settings, running_service(settings, tmp_path) as service:
        right = visit(reach_of(service.environ, spec=spec))
    assert set(right.findings) <= {"bucket-cors"}
