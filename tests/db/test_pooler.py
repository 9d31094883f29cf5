"""The whole service behind a real PgBouncer that gives a connection for each transaction."""

import asyncio
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from photo_api.db.connect import ONE_PLAN, connect
from photo_api.db.pool import open_database
from photo_base.postgres import is_refusal
from photo_local.privileges import server_account
from tests.db.clusters import Cluster, settings, tied
from tests.service import Service, cli, eventually, free_port, jpeg, migrate_once, put

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.needs("pgbouncer")


@contextmanager
def running_pooler(cluster: Cluster, folder: Path) -> Iterator[str]:
    """The address of a PgBouncer whose settings are the usual ones; three connections to the
    server, so that requests take turns on them."""
    server_account().make_folder(folder)
    port = free_port()
    users, config = folder / "users.txt", folder / "pgbouncer.ini"
    lines = [
        "[databases]",
        f"photo_api = host=127.0.0.1 port={cluster.port} dbname=photo_api",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = scram-sha-256",
        f"auth_file = {users.name}",
        "pool_mode = transaction",
        "default_pool_size = 3",
    ]
    for path, text in (
        (users, f'"photo_api" "{cluster.password}"\n'),
        (config, "\n".join(lines) + "\n"),
    ):
        path.touch(mode=0o600)
        path.write_text(text)
        server_account().own(path)
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(
            [*tied("INT"), "pgbouncer", config.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            cwd=folder,
            start_new_session=True,
        )
    url = cluster.url.replace(cluster.place, f"127.0.0.1:{port}")
    try:
        eventually(lambda: asyncio.run(_answers(url)), 20)
        yield url
    finally:
        process.kill()
        process.wait(10)


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=5, statement_cache_size=0)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


@pytest.fixture(scope="module")
def pooler(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_pooler(cluster, tmp_path_factory.mktemp("pooler")) as url:
        yield url


@pytest.fixture
def service(
    cluster: Cluster, pooler: str, start_service: Callable[..., Service]
) -> Iterator[Service]:
    """Migrated and served through the pooler, with more connections than it has to the server."""
    service = start_service(
        DATABASE_URL=pooler,
        DATABASE_POOLER="transaction",
        DATABASE_DIRECT_URL=cluster.url,
        DATABASE_POOL="8",
        USER_CACHE="0",
    )
    yield service
    assert "prepared statement" not in service.log
    assert "Traceback" not in service.log


def test_photos_are_uploaded_and_renditions_made(service: Service) -> None:
    with service.new_user() as user:
        album = user.album()["id"]
        photo = user.upload(album_id=album)["id"]
        assert user.rendered(photo)["renditions"] == "ready"
        content = jpeg()
        presigned = user.presign(album, content)
        assert put(presigned, content).is_success
        assert user.confirm(presigned["photo_id"]).status_code == 200
        assert user.rendered(presigned["photo_id"])["renditions"] == "ready"
        assert len(user.api.get("/photos/").json()) == 2


def test_many_at_once_share_few_connections(cluster: Cluster, service: Service) -> None:
    with service.new_user() as user, ThreadPoolExecutor(12) as people:
        album = user.album()["id"]

        def visit(number: int) -> list[int]:
            api = user.api
            return [
                api.get("/auth/me").status_code,
                api.post("/albums/", json={"name": f"album {number}"}).status_code,
                api.patch(f"/albums/{album}", json={"name": f"name {number}"}).status_code,
                api.get("/albums/").status_code,
                api.get("/photos/").status_code,
            ]

        visits = list(people.map(visit, range(60)))
        assert visits == [[200, 201, 200, 200, 200]] * 60
    through = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'photo-api web'"
    assert int(cluster.sql(through)) <= 3


def test_listening_goes_past_the_pooler(cluster: Cluster, service: Service) -> None:
    listening = "SELECT max(client_port) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    eventually(lambda: cluster.sql(listening))
    jobs = service.children("photo_api.job_worker")[0]
    ports = [item.laddr.port for item in jobs.net_connections() if item.laddr]
    assert int(cluster.sql(listening)) in ports, "PostgreSQL has this very socket's other end"


async def test_json_is_decoded_on_connections_without_prepared_statements(
    cluster: Cluster, pooler: str
) -> None:
    pooled = settings(
        pooler, pooler="transaction", direct_url=cluster.url, pool_size=8, pool_wait=60
    )
    async with open_database(pooled, "tests") as database:

        async def ask(number: int) -> object:
            async with database.transaction() as connection:
                await connection.execute("SELECT pg_sleep(0.001)")
                return await connection.fetchval("SELECT $1::jsonb", {"number": number})

        answers = await asyncio.gather(*(ask(number) for number in range(200)))
        assert answers == [{"number": number} for number in range(200)]
        assert await database.fetchval("SHOW timezone") == "UTC"


async def test_a_session_is_one_though_there_is_a_pooler(cluster: Cluster, pooler: str) -> None:
    pooled = settings(pooler, pooler="transaction", direct_url=cluster.url)
    connection = await connect(pooled, "tests", timeout=10, session=True)
    try:
        assert await connection.fetchval("SELECT pg_try_advisory_lock(7)")
        assert connection.get_server_pid() == await connection.fetchval("SELECT pg_backend_pid()")
    finally:
        await connection.close()


def test_what_needs_a_session_does_without_the_pooler(environ: dict[str, str]) -> None:
    """Its lock and its temporary table would be another transaction's, or gone."""
    migrate_once(environ)
    nobody = {
        "PHOTO_API_DATABASE_URL": f"postgresql://a:b@127.0.0.1:{free_port()}/c",
        "PHOTO_API_DATABASE_POOLER": "transaction",
        "PHOTO_API_DATABASE_DIRECT_URL": environ["PHOTO_API_DATABASE_URL"],
    }
    done = cli(environ | nobody, "reconcile", "--json")
    assert '"objects"' in done.stdout, done.stderr


async def test_the_pooler_refuses_what_is_not_sent_to_it(cluster: Cluster, pooler: str) -> None:
    """Why a pooled connection is told less: this is what PgBouncer says to the rest."""
    with pytest.raises(asyncpg.PostgresError, match="unsupported startup parameter"):
        await (await connect(settings(pooler), "tests", timeout=10)).close()


def test_the_role_has_one_plan_for_all_where_the_pooler_refuses_to_be_asked(
    cluster: Cluster, tmp_path: Path
) -> None:
    guide = (ROOT / "docs/operations.md").read_text()
    [told] = re.findall(r"ALTER ROLE photo_api SET plan_cache_mode = \w+", guide)

    async def plan_mode(url: str) -> object:
        pooled = settings(url, pooler="transaction", direct_url=cluster.url)
        async with open_database(pooled, "tests") as database:
            return await database.fetchval("SHOW plan_cache_mode")

    cluster.sql(told)
    try:
        with running_pooler(cluster, tmp_path / "pooler") as url:
            assert asyncio.run(plan_mode(url)) == ONE_PLAN
    finally:
        cluster.sql("ALTER ROLE photo_api RESET plan_cache_mode")


async def test_a_pooler_that_refuses_a_password_is_told_from_one_that_is_away(
    cluster: Cluster, pooler: str
) -> None:
    wrong = pooler.replace(cluster.password, "wrong")
    with pytest.raises(asyncpg.PostgresError) as refused:
        await connect(settings(wrong, pooler="transaction"), "tests", timeout=5)
    assert is_refusal(refused.value), (type(refused.value), refused.value.sqlstate)
    nobody = settings(f"postgresql://a:b@127.0.0.1:{free_port()}/c")
    with pytest.raises(ConnectionRefusedError) as away:
        await connect(nobody, "tests", timeout=5)
    assert not is_refusal(away.value)
