"""PostgreSQL over TLS with an authority of one's own: proven to be the server that is meant, or not
spoken to, and why."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from photo_api.db.connect import connect
from photo_api.db.pool import DatabaseUnavailable, open_database
from photo_api.telemetry.failures import bug
from photo_base.postgres import FAILURES, UntrustedServer
from photo_fleet.balancer.registry_link import connect_to_registry
from photo_fleet.group.registry_view import Registry
from photo_local.privileges import server_account
from tests.certificates import Authority
from tests.db.clusters import Cluster, running_cluster, settings
from tests.service import Service, cli, eventually, serving

pytestmark = pytest.mark.needs("postgres")

SESSIONS = """
    SELECT string_agg(application_name || CASE WHEN ssl THEN '' ELSE ' in plain text' END, ', ')
    FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename <> 'postgres'
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def tls(ours: Authority) -> Iterator[Cluster]:
    """Debian's server, since the embedded one has no TLS; nobody gets in without."""
    programs = Path(sorted(glob("/usr/lib/postgresql/*/bin"))[-1])
    with ExitStack() as open_now:
        # Debian's programs go back to their working directory by its path, as no root.
        folder = Path(open_now.enter_context(TemporaryDirectory()))
        folder.chmod(0o711)
        running = open_now.enter_context(running_cluster(folder / "cluster", programs))
        running.stop()
        files = [running.folder / "server.crt", running.folder / "server.key"]
        for made, file in zip(ours.server("127.0.0.1"), files, strict=True):
            shutil.copy(made, file)
            file.chmod(0o600)
            server_account().own(file)
        rules = running.folder / "pg_hba.conf"
        access = ("hostssl all photo_api all", "host all postgres all")  # psql has no HOME here
        rules.write_text("".join(f"{who} scram-sha-256\n" for who in access))
        running.start("-c", "ssl=on")
        yield running


def checked(url: str, authority: object) -> str:
    return f"{url}?sslmode=verify-full&sslrootcert={authority}"


@pytest.fixture
def url(tls: Cluster, ours: Authority) -> str:
    return checked(tls.url, ours.certificate)


@pytest.mark.slow
def test_everything_that_a_service_says_is_encrypted(
    tls: Cluster, url: str, start_service: Callable[..., Service]
) -> None:
    service = start_service(DATABASE_URL=url)
    with service.new_user() as user:
        assert user.rendered(user.upload()["id"])["renditions"] == "ready"
    eventually(lambda: "photo-api listen" in tls.sql(SESSIONS))
    sessions = tls.sql(SESSIONS).split(", ")
    assert {"photo-api web", "photo-api jobs", "photo-api probe"} < set(sessions)
    assert not [name for name in sessions if "plain" in name]
    assert "Traceback" not in service.log


async def test_a_fleet_reads_its_registry(tls: Cluster, url: str, ours: Authority) -> None:
    migrated = cli(
        {
            "PATH": os.environ["PATH"],
            "PHOTO_API_MODE": "development",
            "PHOTO_API_DATABASE_URL": url,
            "PHOTO_API_S3_ENDPOINT": "http://127.0.0.1:1",
            "PHOTO_API_JWT_KEYS": "a:" + "a" * 32,
            "PHOTO_API_SECRET_KEYS": "b:" + "b" * 32,
        },
        "migrate",
    )
    assert migrated.returncode == 0, migrated.stderr
    connection = await connect_to_registry(url)
    assert await connection.fetchval("SELECT count(*) FROM instances") >= 0
    await connection.close()
    registry = Registry(lambda: url)
    assert await registry.look() is not None
    registry.close()


WRONG = {
    "another authority": "its certificate is refused: unable to get local issuer certificate",
    "another name": "its certificate is refused: Hostname mismatch",
    "no such file": "sslrootcert: /no/such/ca.pem cannot be read",
    "no TLS": "it speaks no TLS",
}


@pytest.fixture(params=WRONG)
def wrong(
    request: pytest.FixtureRequest,
    tls: Cluster,
    ours: Authority,
    theirs: Authority,
    cluster: Cluster,
) -> tuple[str, str]:
    """An address, and what is to be told of it."""
    urls = {
        "another authority": checked(tls.url, theirs.certificate),
        "another name": checked(tls.url, ours.certificate).replace("127.0.0.1", "localhost"),
        "no such file": checked(tls.url, "/no/such/ca.pem"),
        "no TLS": checked(cluster.url, ours.certificate),
    }
    return urls[request.param], WRONG[request.param]


async def test_who_is_not_proven_is_told_and_not_taken_for_an_outage(
    wrong: tuple[str, str],
) -> None:
    url, told = wrong
    for connecting in (
        lambda: connect(settings(url), "tests", timeout=5),
        lambda: connect_to_registry(url),
    ):
        with pytest.raises(UntrustedServer, match=told) as refused:
            await connecting()
        assert isinstance(refused.value, FAILURES)
        assert bug(refused.value) is None, "a traceback tells an operator nothing"
    async with open_database(settings(url), "tests") as db:
        with pytest.raises(DatabaseUnavailable, match=f"UntrustedServer: {told}"):
            await db.fetchval("SELECT 1")


async def test_one_of_several_servers_may_be_an_impostor(
    tls: Cluster, url: str, ours: Authority
) -> None:
    """The name that the certificate does not have is not asked again in plain text."""
    both = url.replace(tls.place, f"localhost:{tls.port},{tls.place}")

    connection = await connect(settings(both), "tests", timeout=8)
    assert connection._addr[0] == "127.0.0.1"  # type: ignore[attr-defined]
    await connection.close()


@pytest.mark.slow
def test_a_service_and_its_commands_say_why(
    tls: Cluster, theirs: Authority, environ: dict[str, str], tmp_path: Path
) -> None:
    url = checked(tls.url, theirs.certificate)
    environ = environ | {"PHOTO_API_DATABASE_URL": url}
    why = f"UntrustedServer: {WRONG['another authority']}"
    migrated = cli(environ, "migrate")
    assert migrated.returncode == 1
    assert f"Cannot migrate: {why}" in migrated.stderr
    assert tls.password not in migrated.stderr
    with serving(environ, tmp_path / "log") as service:
        for line in ("registry not written", "waiting for the schema", "taken to be down"):
            told = re.compile(f"{line}[^\n]*{why}")
            eventually(partial(_says, service, told), 30)
        found = httpx.get(f"{service.url}/health").json()["checks"]["database"]
        assert found["error"] == "UntrustedServer"
        assert "Traceback" not in service.log
        assert tls.password not in service.log


def _says(service: Service, line: re.Pattern[str]) -> bool:
    return line.search(service.log) is not None
