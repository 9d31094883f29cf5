import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.embedded.servers import all_gone, embedded, eventually, run_embedded, working_below


async def test_its_one_line_tells_where_everything_is(data: Path) -> None:
    with embedded(data) as command:
        connection = await asyncpg.connect(command.addresses["database_url"])
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        pids = {process.pid for process in command.family()}
        assert set(command.addresses["pids"].values()) <= pids


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_of_it(data: Path, number: signal.Signals) -> None:
    with embedded(data) as command:
        family = command.family()
        command.process.send_signal(number)
        assert command.process.wait(5) == 0
        assert all_gone(family, 1)


def test_the_end_of_its_input_ends_all_of_it(data: Path) -> None:
    with embedded(data) as command:
        family = command.family()
        assert command.process.stdin is not None
        command.process.stdin.close()
        assert command.process.wait(5) == 0
        assert all_gone(family, 1)
        command.process.stdin = None


def test_kill_9_leaves_no_process(data: Path) -> None:
    with embedded(data) as command:
        family = command.family()
        command.process.kill()
        assert all_gone(family, 5)


def test_kill_9_of_its_parent_leaves_no_process(data: Path) -> None:
    program = (
        "import subprocess, sys; subprocess.run([sys.executable, '-m',"
        f" 'photo_local.command', '--test', '--data', {str(data)!r}], stdin=0)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline()
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) > 3
        parent.kill()
        assert all_gone(family, 5)
    parent.wait()


def test_a_signal_while_it_starts_ends_all_of_it(data: Path) -> None:
    process = run_embedded(data, "--with-parent")
    assert eventually(lambda: (data / "postgres" / "cluster.new").exists(), 5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)
    assert process.returncode == 0
    assert not working_below(data)


def test_a_refusal_is_one_readable_line(data: Path) -> None:
    with embedded(data):
        process = run_embedded(data)
        _, complaint = process.communicate(timeout=10)
    assert process.returncode == 1
    assert b"another photo-api runs on" in complaint
    assert b"Traceback" not in complaint


@pytest.mark.skipif(os.geteuid() != 0, reason="all the other tests run as an ordinary user then")
async def test_it_runs_as_an_ordinary_user() -> None:
    account = pwd.getpwnam("daemon")
    # Reading anywhere is granted because the interpreter may be installed in root's home.
    ordinary = (
        *("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    )
    home = Path(tempfile.mkdtemp())
    os.chown(home, account.pw_uid, account.pw_gid)
    try:
        with embedded(home / "data", prefix=ordinary) as command:
            for pid in command.addresses["pids"].values():
                assert psutil.Process(pid).uids().effective == account.pw_uid
            connection = await asyncpg.connect(command.addresses["database_url"])
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
        assert not working_below(home)
    finally:
        shutil.rmtree(home)
