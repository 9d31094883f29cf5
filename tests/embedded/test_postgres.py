import asyncio
import os
import pwd
import signal
import stat
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from photo_base.processes import CannotStart
from photo_local.machine_folders import ACCOUNT
from photo_local.ports import free_port
from photo_local.postgres import SOCKET_PATH_LIMIT, Postgres
from tests.embedded.servers import confinement

Start = Callable[..., Awaitable[Postgres]]


@pytest.fixture
async def start(data: Path) -> AsyncIterator[Start]:
    """Start a server below the data directory; all of them are stopped after the test."""
    started: list[Postgres] = []

    async def start(folder: Path = data, password: str = "a 'word", **options: object) -> Postgres:
        postgres = Postgres(folder, password, durable=False, **options)  # type: ignore[arg-type]
        started.append(postgres)
        await postgres.start()
        return postgres

    yield start
    for postgres in started:
        await postgres.stop()


async def ask(postgres: Postgres, statement: str, *, superuser: bool = False) -> object:
    connection = await asyncpg.connect(postgres.superuser_url if superuser else postgres.url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_a_stop_keeps_rows(start: Start) -> None:
    postgres = await start()
    await ask(postgres, "CREATE TABLE kept AS SELECT 7 AS number")
    await postgres.stop()
    await postgres.start()
    assert await ask(postgres, "SELECT number FROM kept") == 7


async def test_the_database_belongs_to_an_ordinary_role(start: Start) -> None:
    postgres = await start()
    assert await ask(postgres, "SELECT current_user || current_database()") == "photo_api" * 2
    assert await ask(postgres, "SHOW is_superuser") == "off"
    assert await ask(postgres, "SHOW is_superuser", superuser=True) == "on"


async def test_kill_9_is_mended_with_all_rows_though_a_backend_computes_on(start: Start) -> None:
    postgres = await start()
    await ask(postgres, "CREATE TABLE kept AS SELECT 7 AS number")
    busy = asyncio.create_task(ask(postgres, "SELECT count(*) FROM generate_series(1, 1e12)"))
    await asyncio.sleep(0.2)
    before = time.monotonic()
    os.kill(postgres.pid, signal.SIGKILL)
    assert await postgres.died() == -signal.SIGKILL
    await postgres.start()
    assert time.monotonic() - before < 4
    assert await ask(postgres, "SELECT number FROM kept") == 7
    with suppress(asyncpg.PostgresError, OSError):
        await busy


async def test_a_stop_does_not_wait_for_a_long_query(start: Start) -> None:
    postgres = await start()
    busy = asyncio.create_task(ask(postgres, "SELECT pg_sleep(60)"))
    await asyncio.sleep(0.2)
    before = time.monotonic()
    await postgres.stop()
    assert time.monotonic() - before < 1.5
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await busy


async def test_an_interrupted_initdb_is_begun_anew(data: Path, start: Start) -> None:
    program = (
        "import asyncio, pathlib; from photo_local.postgres import Postgres;"
        f"asyncio.run(Postgres(pathlib.Path({str(data)!r}), 'pw').start())"
    )
    interrupted = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    while not (data / "cluster.new" / "base").exists():
        assert interrupted.returncode is None
        await asyncio.sleep(0.01)
    interrupted.kill()
    await interrupted.wait()
    assert not (data / "cluster").exists()
    assert await ask(await start(), "SELECT 1") == 1
    assert not (data / "cluster.new").exists()


async def test_a_pid_file_that_names_another_program_is_no_obstacle(
    data: Path, start: Start
) -> None:
    postgres = await start()
    await postgres.stop()
    for place in (data / "cluster/postmaster.pid", postgres.socket_dir / ".s.PGSQL.5432.lock"):
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"{os.getpid()}\n{data / 'cluster'}\n1\n5432\n")
    await postgres.start()
    assert await ask(postgres, "SELECT 1") == 1


async def test_a_server_that_an_earlier_run_left_behind_is_replaced(start: Start) -> None:
    former = await start()
    await ask(former, "CREATE TABLE kept AS SELECT 7 AS number")
    present = await start()
    assert await former.died() == -signal.SIGKILL
    assert await ask(present, "SELECT number FROM kept") == 7


async def test_a_deep_data_directory_gets_a_short_private_socket_folder(
    data: Path, start: Start
) -> None:
    postgres = await start(data / ("deep" * 20) / ("deeper" * 10))
    assert len(str(postgres.socket_dir)) < SOCKET_PATH_LIMIT - 20
    assert stat.S_IMODE(postgres.socket_dir.stat().st_mode) == 0o700
    assert await ask(postgres, "SELECT 1") == 1
    await postgres.stop()
    assert not postgres.socket_dir.exists()


async def test_it_listens_on_tcp_only_when_asked(start: Start, data: Path) -> None:
    closed = await start()
    assert await ask(closed, "SHOW listen_addresses") == ""
    opened = await start(data / "tcp", port=free_port())
    assert "@127.0.0.1:" in opened.url
    assert await ask(opened, "SHOW listen_addresses") == "127.0.0.1"


async def test_options_reach_the_server(start: Start) -> None:
    options = {"shared_preload_libraries": "pg_stat_statements"}
    postgres = await start(max_connections=37, options=options)
    assert await ask(postgres, "SHOW max_connections") == "37"
    await ask(postgres, "CREATE EXTENSION pg_stat_statements", superuser=True)


async def test_a_lost_password_is_explained(start: Start) -> None:
    await (await start(password="first")).stop()
    with pytest.raises(CannotStart, match="restore that file"):
        await start(password="second")


async def test_a_start_that_fails_shows_the_log(data: Path, start: Start) -> None:
    with pytest.raises(CannotStart, match="no_such_option"):
        await start(options={"no_such_option": "1"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another account")
async def test_for_root_it_runs_as_an_account_of_its_own_without_capabilities(start: Start) -> None:
    postgres = await start()
    assert confinement(postgres.pid) == ({ACCOUNT}, {0}, "1")
    assert await ask(postgres, "SELECT pg_read_file('PG_VERSION')", superuser=True) == "18\n"
    with tempfile.NamedTemporaryFile("w", dir="/var/tmp", delete=False) as secret:
        secret.write("root's alone")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(postgres, f"SELECT pg_read_file('{secret.name}')", superuser=True)
    finally:
        Path(secret.name).unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
async def test_a_folder_of_the_release_before_is_taken_over(
    data: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres = await start()
    await ask(postgres, "CREATE TABLE kept AS SELECT 7 AS number")
    await postgres.stop()
    nobody = pwd.getpwnam("nobody").pw_uid
    for place in (data, *data.rglob("*")):
        os.chown(place, nobody, nobody)
    theirs = data / "cluster" / "roots"
    theirs.touch()
    (data / "cluster" / "link").symlink_to(theirs)
    await postgres.start()
    assert await ask(postgres, "SELECT number FROM kept") == 7
    assert f"belongs to the account {ACCOUNT}" in capsys.readouterr().err
    assert theirs.stat().st_uid == 0
