"""Faults that cost nobody a request yet."""

import asyncio
import json
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from photo_fleet.spec.edge import EDGE_PATH
from photo_fleet.spec.loading import load
from photo_local.bucket import BucketAdmin
from tests.doctor.faults.fault import Fault
from tests.doctor.faults.sinks import collector
from tests.doctor.ground import Ground, family, requests, stopped
from tests.photo_fleet.nginx_stage import program, short_folder
from tests.service import eventually, free_port

RANDOM = secrets.token_hex(32)
OTHER = secrets.token_hex(32)
SENTENCE = "photos-of-my-summer-holidays-in-2024"
EVERYBODY = ",".join(f"{first}.0.0.0/8" for first in range(1, 224))

EDGE = rf"location \^~ {EDGE_PATH}/ {{"

COUNTED_WITHIN = 30.0
"""Seconds: jobs are counted every 10 s, and instances read that as often."""


def development(**settings: str) -> dict[str, str]:
    """What production would refuse at the start."""
    return {"PHOTO_API_MODE": "development"} | {
        f"PHOTO_API_{name}": value for name, value in settings.items()
    }


@contextmanager
def edge_says(ground: Ground, answer: str) -> Iterator[None]:
    """In place of every image; afterwards the fleet has gone back to it."""
    with ground.nginx((EDGE, rf"\g<0> return {answer};")):
        yield
    eventually(lambda: "cdn-failed" not in ground.findings("--only", "always"), 150, 2)


@contextmanager
def bucket(ground: Ground, do: list[tuple[str, str, bytes]]) -> Iterator[None]:
    """The bucket gets these requests: method, query and body. Afterwards it is as it was."""
    told = json.loads((ground.layout.embedded / "secrets.json").read_text())
    spec = load(ground.layout.spec)
    keys = (told["s3_access_key"], told["s3_secret_key"])
    admin = BucketAdmin(spec.service.store, spec.balancer.bucket, spec.service.store_region, *keys)
    for method, query, body in do:
        admin.send(method, query, body)
    time.sleep(2)
    try:
        yield
    finally:
        own = [ground.up.url, ground.up.url.replace("127.0.0.1", "localhost")]
        admin.prepare(own)
        with suppress(Exception):
            admin.send("DELETE", "?policy=")
        time.sleep(2)


def policy(ground: Ground, *actions: str) -> bytes:
    name = load(ground.layout.spec).balancer.bucket
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": list(actions),
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()


def rules(methods: str, origin: str) -> bytes:
    listed = "".join(f"<AllowedMethod>{method}</AllowedMethod>" for method in methods.split())
    return (
        f"<CORSConfiguration><CORSRule><AllowedOrigin>{origin}</AllowedOrigin>{listed}"
        "<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader></CORSRule>"
        "</CORSConfiguration>"
    ).encode()


@contextmanager
def store_stands_still(ground: Ground) -> Iterator[None]:
    pids = [
        one.pid
        for one in psutil.process_iter(["name", "cwd", "cmdline"])
        if str(ground.up.data) in " ".join([*(one.info["cmdline"] or []), one.info["cwd"] or ""])
        and "weed" in (one.info["name"] or "")
    ]
    assert pids
    with stopped(pids):
        time.sleep(15)
        yield


@contextmanager
def kept_objects(ground: Ground, count: int, age: str) -> Iterator[None]:
    """Objects are due to be deleted for so long, and a forgotten session holds their rows."""
    ground.ask(
        "INSERT INTO unreferenced_objects (object_key, delete_after)"
        f" SELECT 'photos/gone-' || n, now() - interval '{age}' FROM generate_series(1, {count}) n"
    )
    gone = "FROM unreferenced_objects WHERE object_key LIKE 'photos/gone-%'"
    counted = f"SELECT FROM statistics WHERE name = 'orphan_objects' AND value >= {count}"
    try:
        with session(ground, f"SELECT 1 {gone} FOR UPDATE"):
            eventually(lambda: ground.ask(counted), 150, 1.0)
            time.sleep(4)
            yield
    finally:
        ground.ask(f"DELETE {gone}")
        eventually(lambda: not ground.ask(counted), 150, 1.0)


@contextmanager
def session(ground: Ground, statement: str) -> Iterator[None]:
    """Somebody's transaction, which stays open."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def begin() -> asyncpg.Connection:
        connection = await asyncpg.connect(ground.superuser_url)
        await connection.execute("BEGIN")
        await connection.execute(statement)
        return connection

    connection = asyncio.run_coroutine_threadsafe(begin(), loop).result(30)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(connection.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)


@contextmanager
def broken_file(ground: Ground) -> Iterator[None]:
    """A job that fails each time is given up."""
    ground.ask("INSERT INTO jobs (kind, subject_id, attempt) VALUES ('renditions', 999999999, 4)")
    ground.ask(
        "INSERT INTO jobs (kind, subject_id, state, attempt, error)"
        " VALUES ('shared_album', 1, 'dead', 5, 'ValueError: no such thing')"
    )
    time.sleep(4)
    try:
        yield
    finally:
        ground.ask("DELETE FROM jobs WHERE state = 'dead'")
        time.sleep(4)


@contextmanager
def dead_jobs(ground: Ground, count: int) -> Iterator[None]:
    ground.ask(
        "INSERT INTO jobs (kind, subject_id, state, attempt, error)"
        f" SELECT 'renditions', n, 'dead', 5, 'DecodeError' FROM generate_series(1, {count}) n"
    )
    time.sleep(4)
    try:
        yield
    finally:
        ground.ask("DELETE FROM jobs WHERE state = 'dead'")
        time.sleep(4)


@contextmanager
def old_jobs(ground: Ground, kind: str, age: str) -> Iterator[None]:
    ground.ask(
        "INSERT INTO jobs (kind, subject_id, created_at, available_at)"
        f" SELECT '{kind}', 900000 + n, now() - interval '{age}', now() - interval '{age}'"
        " FROM generate_series(1, 5) n"
    )
    time.sleep(4)
    try:
        yield
    finally:
        ground.ask(f"DELETE FROM jobs WHERE kind = '{kind}'")
        time.sleep(4)


@contextmanager
def nobody_works(ground: Ground, kind: str, age: str) -> Iterator[None]:
    """All job workers stand still, and what waits is old."""
    pids = [pid for one in ground.serving() for pid in family(one["pid"], "job_worker")]
    with stopped(pids), old_jobs(ground, kind, age):
        yield


@contextmanager
def held_jobs(ground: Ground, kind: str, age: str) -> Iterator[None]:
    with ExitStack() as held:
        pids = [pid for one in ground.serving() for pid in family(one["pid"], "job_worker")]
        with stopped(pids):
            held.enter_context(old_jobs(ground, kind, age))
            lock = f"SELECT 1 FROM jobs WHERE kind = '{kind}' FOR UPDATE"
            held.enter_context(session(ground, lock))
        time.sleep(4)
        yield


@contextmanager
def without_thumbnails(ground: Ground, do: str, count: int = 2) -> Iterator[None]:
    """Photos lose them, and nobody has the job; they are counted once a minute."""
    counted = f"SELECT FROM statistics WHERE name = 'photos_without_thumbnail' AND value >= {count}"
    with ground.up.new_user() as user:
        photos = [user.upload() for _ in range(count)]
        for photo in photos:
            user.rendered(int(photo["id"]))
        ids = ", ".join(str(photo["id"]) for photo in photos)
        ground.ask(do.format(ids=ids))
        ground.ask(f"DELETE FROM jobs WHERE subject_id IN ({ids})")
        eventually(lambda: ground.ask(counted), 150, 1.0)
        time.sleep(4)
        try:
            yield
        finally:
            for photo in photos:
                user.api.delete(f"/photos/{photo['id']}")
            eventually(lambda: not ground.ask(counted), 150, 1.0)


def certificate(folder: Path, name: str, begins: float, ends: float) -> None:
    """cert.pem and key.pem for this host, valid from and to so many days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=ends))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def https(ground: Ground, name: str, begins: float, ends: float) -> Iterator[None]:
    """nginx with this certificate before the fleet, as its public address."""
    port = free_port()
    with short_folder() as folder:
        certificate(folder, name, begins, ends)
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
            "events {}\nhttp { access_log off; server {\n"
            f"listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/cert.pem;\n"
            f"ssl_certificate_key {folder}/key.pem;\n"
            f"location / {{ proxy_pass {ground.up.url}; }} }} }}\n"
        )
        front = subprocess.Popen(
            [program(), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"],
            stderr=subprocess.DEVNULL,
        )
        url = f"https://localhost:{port}"
        try:
            eventually(lambda: listens(port), 10)
            ground.arguments = ("--edge", url)
            with ground.spec(
                service__public_url=url,
                balancer__tls__certificate=f"{folder}/cert.pem",
                balancer__tls__key=f"{folder}/key.pem",
            ):
                yield
        finally:
            ground.arguments = ()
            front.terminate()
            front.wait(10)


@contextmanager
def losing_lines(ground: Ground, status: int | None, **settings: str) -> Iterator[None]:
    """Log lines go to one who does not take them, faster than it would."""
    with collector(status) as url:
        environ = {
            "PHOTO_API_LOG_LOKI_URL": url,
            "PHOTO_API_LOG_QUEUE": "100",
            "PHOTO_API_LOG_TIMEOUT": "1",
            **settings,
        }
        with ground.replaced(**environ) as one:
            for _ in range(3):
                requests(f"http://{one['name']}:{one['port']}", "/api/photos/", 2.0)
                time.sleep(2)
            yield


@contextmanager
def another_release(ground: Ground, version: str) -> Iterator[None]:
    """One instance is of another release, and all have been there for hours."""
    folder = ground.up.data.parent / f"release-{version}"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        f"import photo_api.contract\nphoto_api.contract.RELEASE = {version!r}\n"
    )
    with ground.replaced(PYTHONPATH=str(folder)):
        earlier = "- interval '5 hours'"
        ground.ask(
            f"UPDATE instances SET started_at = started_at {earlier},"
            f" changed_at = changed_at {earlier}"
        )
        ground.ask(f"UPDATE instance_events SET at = at {earlier}")
        yield


@contextmanager
def other_proxies(ground: Ground, networks: str) -> Iterator[None]:
    """An instance trusts these, and requests come."""
    with ground.replaced(PHOTO_API_TRUSTED_PROXIES=networks):
        ground.bodies("/api/photos/", 3.0)
        yield


@contextmanager
def nobody_maintains(ground: Ground, *, holder: str) -> Iterator[None]:
    """The lease of who sweeps and counts is held by one that does nothing, for two hours now."""
    ground.ask(
        "UPDATE leases SET holder = $1, token = token + 1,"
        " expires_at = now() + interval '4 minutes' WHERE name = 'maintenance'",
        holder,
    )
    ground.ask("UPDATE statistics SET at = at - interval '2 hours'")
    time.sleep(6)
    try:
        yield
    finally:
        ground.ask("UPDATE leases SET expires_at = now() WHERE name = 'maintenance'")
        time.sleep(10)


@contextmanager
def no_job_workers(ground: Ground) -> Iterator[None]:
    """All job workers stand still for so long that the fleet's numbers are old."""
    pids = [pid for one in ground.serving() for pid in family(one["pid"], "job_worker")]
    with stopped(pids):
        ground.ask("UPDATE statistics SET at = at - interval '1 hour'")
        time.sleep(6)
        yield
    time.sleep(8)


@contextmanager
def dated(ground: Ground, **keys: str) -> Iterator[None]:
    """Where keys have to be dated, one instance has these."""
    full = {f"PHOTO_API_{name}": value for name, value in keys.items()}
    with ground.spec(objectives__oldest_key=400), ground.replaced(**full):
        yield


NO_THUMBNAIL = "UPDATE photos SET renditions = 'pending', thumbnail_key = NULL WHERE id IN ({ids})"
GIVEN_UP = (
    "UPDATE photos SET renditions = 'failed', renditions_error = 'bytes_missing',"
    " thumbnail_key = NULL WHERE id IN ({ids})"
)

FAULTS = (
    Fault(
        "secret-default",
        "a key that is a sentence",
        lambda ground: ground.replaced(**development(SECRET_KEYS=f"fleet:{SENTENCE}")),
    ),
    Fault(
        "secret-default",
        "a key of one letter, 40 times",
        lambda ground: ground.replaced(**development(JWT_KEYS=f"fleet:{'k' * 40}")),
    ),
    Fault(
        "secret-equal",
        "one secret for both keys",
        lambda ground: ground.replaced(
            **development(JWT_KEYS=f"a:{RANDOM}", SECRET_KEYS=f"b:{RANDOM}")
        ),
    ),
    Fault(
        "secret-equal",
        "an old key that is also the other one",
        lambda ground: ground.replaced(
            **development(JWT_KEYS=f"a:{RANDOM},old:{OTHER}", SECRET_KEYS=f"b:{OTHER}")
        ),
    ),
    Fault(
        "proxies-unset",
        "an instance trusts no proxy",
        lambda ground: ground.replaced(PHOTO_API_TRUSTED_PROXIES=""),
    ),
    Fault(
        "proxies-unset",
        "an instance trusts a network where no balancer is",
        lambda ground: other_proxies(ground, "192.0.2.0/24"),
        patience=10,
    ),
    Fault(
        "proxies-open",
        "an instance trusts every network of the internet",
        lambda ground: ground.replaced(PHOTO_API_TRUSTED_PROXIES=EVERYBODY),
    ),
    Fault(
        "proxies-open",
        "nginx believes everybody's X-Forwarded-For",
        lambda ground: ground.nginx(
            (
                r"^    server_tokens off;",
                "    set_real_ip_from 0.0.0.0/0;\n    real_ip_header X-Forwarded-For;\n"
                "    server_tokens off;",
            )
        ),
        slow=True,
    ),
    Fault(
        "proxies-open",
        "the spec trusts everybody",
        lambda ground: ground.spec(balancer__networks=("0.0.0.0/0",)),
    ),
    Fault(
        "key-old",
        "a key that signs, of January 2024",
        lambda ground: dated(ground, JWT_KEYS=f"2024-01:{RANDOM}"),
    ),
    Fault(
        "key-old",
        "a key that seals, of 3 May 2023",
        lambda ground: dated(ground, SECRET_KEYS=f"2023-05-03:{RANDOM}"),
    ),
    Fault(
        "key-undated",
        "keys whose ids tell no date",
        lambda ground: ground.spec(objectives__oldest_key=400),
        slow=True,
    ),
    Fault(
        "key-undated",
        "a key of month 13",
        lambda ground: dated(ground, JWT_KEYS=f"2026-13:{RANDOM}", SECRET_KEYS=f"2026-10:{OTHER}"),
    ),
    Fault(
        "bucket-cors",
        "no CORS rules",
        lambda ground: bucket(ground, [("DELETE", "?cors=", b"")]),
    ),
    Fault(
        "bucket-cors",
        "CORS rules without PUT",
        lambda ground: bucket(ground, [("PUT", "?cors=", rules("GET HEAD", "*"))]),
    ),
    Fault(
        "bucket-cors",
        "CORS rules for another origin",
        lambda ground: bucket(
            ground, [("PUT", "?cors=", rules("GET HEAD PUT", "https://old.example.org"))]
        ),
    ),
    Fault(
        "bucket-public",
        "strangers list the bucket",
        lambda ground: bucket(ground, [("PUT", "?policy=", policy(ground, "s3:ListBucket"))]),
    ),
    Fault(
        "bucket-public",
        "strangers read and list the bucket",
        lambda ground: bucket(
            ground, [("PUT", "?policy=", policy(ground, "s3:GetObject", "s3:ListBucket"))]
        ),
    ),
    Fault(
        "store-down",
        "an instance has another address of the store",
        lambda ground: ground.replaced(PHOTO_API_S3_ENDPOINT="http://127.0.0.1:9"),
        patience=20,
    ),
    Fault("store-down", "the store stands still", store_stands_still, patience=20),
    Fault(
        "store-down",
        "an instance has a key that the store refuses",
        lambda ground: ground.replaced(PHOTO_API_S3_SECRET_KEY=RANDOM),
        patience=20,
    ),
    Fault(
        "cdn-failed",
        "the edge refuses every image",
        lambda ground: edge_says(ground, "503"),
        patience=90,
    ),
    Fault(
        "cdn-failed",
        "the edge answers with other bytes than the object's",
        lambda ground: edge_says(ground, "200 other"),
        patience=90,
    ),
    Fault(
        "maintenance-stopped",
        "the lease is held by one that does nothing",
        lambda ground: nobody_maintains(ground, holder="gone"),
    ),
    Fault("maintenance-stopped", "all job workers stand still", no_job_workers),
    Fault(
        "orphans-grow",
        "3,000 objects are due for two days, and nobody can delete them",
        lambda ground: kept_objects(ground, 3000, "2 days"),
        patience=20,
    ),
    Fault(
        "orphans-grow",
        "70 objects are due for nine hours, and nobody can delete them",
        lambda ground: kept_objects(ground, 70, "9 hours"),
        patience=20,
    ),
    Fault("jobs-dead", "a job of another kind is dead", broken_file, COUNTED_WITHIN),
    Fault("jobs-dead", "25 jobs are dead", lambda ground: dead_jobs(ground, 25), COUNTED_WITHIN),
    Fault(
        "queue-old",
        "jobs of two hours ago whose rows a forgotten session holds",
        lambda ground: held_jobs(ground, "renditions", "2 hours"),
        COUNTED_WITHIN,
    ),
    Fault(
        "queue-old",
        "all job workers stand still, and renditions wait for two hours",
        lambda ground: nobody_works(ground, "renditions", "2 hours"),
        COUNTED_WITHIN,
    ),
    Fault(
        "queue-old",
        "jobs of a day ago of a kind that no instance knows",
        lambda ground: old_jobs(ground, "of_tomorrow", "1 day"),
        COUNTED_WITHIN,
    ),
    Fault(
        "renditions-missing",
        "thumbnails of two photos are gone",
        lambda ground: without_thumbnails(ground, NO_THUMBNAIL),
    ),
    Fault(
        "renditions-missing",
        "a photo's file was not there when its thumbnail was made",
        lambda ground: without_thumbnails(ground, GIVEN_UP, 1),
    ),
    Fault("certificate-due", "three days left", lambda g: https(g, "localhost", -80, 3)),
    Fault("certificate-due", "ended yesterday", lambda g: https(g, "localhost", -90, -1)),
    Fault(
        "certificate-due",
        "for another name",
        lambda ground: https(ground, "photos.example.com", -10, 80),
    ),
    Fault(
        "log-lines-lost",
        "a collector that does not answer, and a small queue",
        lambda ground: losing_lines(ground, None),
        patience=15,
    ),
    Fault(
        "log-lines-lost",
        "a collector that refuses lines for good",
        lambda ground: losing_lines(ground, 400),
        patience=15,
    ),
    Fault(
        "versions-mixed",
        "one instance of an older release, for hours",
        lambda ground: another_release(ground, "0.0.9"),
    ),
    Fault(
        "versions-mixed",
        "one instance of a newer release, for hours",
        lambda ground: another_release(ground, "0.2.0rc1"),
    ),
)
