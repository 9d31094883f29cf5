"""`photo-api drain` on the machine itself, and what the service manager hears."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from photo_api.supervisor.control_socket import RunDirectoryError, control_socket
from tests.lifecycle.test_drain import StartService
from tests.own_stage import ask
from tests.service import Service, cli, eventually, free_port


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


def _socket(service: Service, run_dir: Path) -> Path:
    path = run_dir / f"{service.process.pid}.sock"
    eventually(path.exists)
    return path


def _drain(service: Service, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return cli(service.environ, "drain", *arguments)


def test_a_drain_by_command_is_a_drain_by_signal(
    start_service: StartService, run_dir: Path
) -> None:
    service = start_service(RUN_DIR=str(run_dir))
    path = _socket(service, run_dir)
    assert path.stat().st_mode & 0o777 == 0o600
    assert run_dir.stat().st_mode & 0o777 == 0o700
    eventually(lambda: '"message":"ready"' in service.log)
    told = _drain(service, "--cause", "kernel update")
    assert told.returncode == 0, told.stderr
    assert "It has ended." in told.stdout
    assert service.process.wait(5) == 0
    assert not path.exists()
    rows = ask(
        service.environ,
        "SELECT state, cause FROM instances WHERE port = $1 ORDER BY started_at DESC LIMIT 1",
        int(service.url.rsplit(":", 1)[1]),
    )
    assert tuple(rows[0]) == ("stopped", "kernel update")


def test_a_socket_that_cannot_be_removed_spoils_no_drain(
    start_service: StartService, run_dir: Path
) -> None:
    """As on a disk that is read-only by now. A folder in its place is refused likewise."""
    service = start_service(RUN_DIR=str(run_dir))
    path = _socket(service, run_dir)
    eventually(lambda: '"message":"ready"' in service.log)
    path.unlink()
    path.mkdir()
    assert service.stop() == 0
    assert '"ending":"drained"' in service.log


async def test_a_socket_of_before_that_cannot_be_removed_is_told(run_dir: Path) -> None:
    """The instance starts all the same, as where a folder cannot be used."""
    (run_dir / f"{os.getpid()}.sock").mkdir(mode=0o700, parents=True)
    with pytest.raises(RunDirectoryError, match="PHOTO_API_RUN_DIR"):
        async with control_socket(run_dir, dict, lambda _: None):
            pass


def test_of_several_instances_one_is_named(start_service: StartService, run_dir: Path) -> None:
    one, other = (start_service(RUN_DIR=str(run_dir)) for _ in range(2))
    paths = [_socket(service, run_dir) for service in (one, other)]
    (run_dir / "999999.sock").touch()  # left behind by one that was killed
    unclear = _drain(one)
    assert unclear.returncode == 2
    assert all(str(service.process.pid) in unclear.stderr for service in (one, other))
    named = _drain(one, "--pid", str(other.process.pid), "--json")
    assert named.returncode == 0, named.stderr
    steps = [json.loads(line) for line in named.stdout.splitlines()]
    assert (steps[-1]["pid"], steps[-1]["ended"]) == (other.process.pid, True)
    assert other.process.wait(5) == 0
    assert one.process.poll() is None
    assert [path.exists() for path in paths] == [True, False]


def test_without_an_instance_it_says_so(environ: dict[str, str], tmp_path: Path) -> None:
    nobody = cli(environ | {"PHOTO_API_RUN_DIR": str(tmp_path / "none")}, "drain")
    assert nobody.returncode == 2
    assert "No instance answers" in nobody.stderr


def test_a_folder_that_is_anothers_is_not_used(start_service: StartService, tmp_path: Path) -> None:
    """Somebody else's folder under our name could hold a socket that says what it likes."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, -1)
    service = start_service(RUN_DIR=str(theirs))
    eventually(lambda: "is not ours" in service.log)
    assert not list(theirs.iterdir())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20)
        yield listening


def test_the_service_manager_hears_of_readiness_and_stopping(
    manager: socket.socket, environ: dict[str, str]
) -> None:
    told = environ | {"NOTIFY_SOCKET": manager.getsockname()}
    command = [sys.executable, "-m", "photo_api.cli", "serve", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(command, env=told, stderr=subprocess.DEVNULL)
    try:
        assert manager.recv(1000).decode().splitlines()[0] == "READY=1"
        process.terminate()
        assert manager.recv(1000).decode().splitlines()[0] == "STOPPING=1"
        assert process.wait(10) == 0
    finally:
        process.kill()


def test_of_two_that_start_on_one_port_at_the_same_moment_one_goes(
    environ: dict[str, str], service: Service
) -> None:
    command = [sys.executable, "-m", "photo_api.cli", "serve", "--no-jobs"]
    place = ["--host", "127.0.0.1", "--port", str(free_port())]
    both = [
        subprocess.Popen([*command, *place], env=environ, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        eventually(lambda: any(one.poll() is not None for one in both), 20)
        [gone] = [one for one in both if one.poll() is not None]
        told = gone.communicate()[1]
        assert gone.returncode == 1
        assert "Cannot listen on 127.0.0.1" in told
        [stays] = [one for one in both if one is not gone]
        stays.terminate()
        stays.communicate(timeout=20)
        assert stays.returncode == 0
    finally:
        for one in both:
            one.kill()


def test_one_that_stands_still_drains_as_soon_as_it_goes_on(
    start_service: StartService, run_dir: Path
) -> None:
    service = start_service(RUN_DIR=str(run_dir))
    _socket(service, run_dir)
    service.process.send_signal(signal.SIGSTOP)
    told = _drain(service, "--pid", str(service.process.pid))
    assert (told.returncode, told.stderr) == (1, "")
    assert "It does not answer, and drains as soon as it reads this" in told.stdout
    service.process.send_signal(signal.SIGCONT)
    assert service.process.wait(20) == 0
