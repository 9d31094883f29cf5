"""`photo-api dev` as a whole: what `make run` starts."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from photo_base.embedded import EmbeddedAddresses
from photo_base.processes import CannotStart
from photo_local.dev import Options, service_environment
from photo_local.ports import free_port
from photo_local.secrets import load_or_create
from tests.embedded.servers import all_gone, eventually, working_below


@dataclass(frozen=True)
class Dev:
    process: subprocess.Popen[str]
    url: str
    data: Path

    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def family(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def server(self, program: str) -> psutil.Process | None:
        """The running postmaster (`postgres`) or store (`weed`)."""
        for child in psutil.Process(self.process.pid).children():
            # Helpers of a start come and go while one looks.
            with suppress(psutil.NoSuchProcess):
                if child.name() == program:
                    return child
        return None

    def has_another(self, program: str, killed: psutil.Process) -> bool:
        return self.server(program) not in (None, killed)


@contextmanager
def starting(data: Path, **environ: str) -> Iterator[Dev]:
    """The command, killed at the end; its children end with it."""
    port = free_port()
    own = {"PORT": str(port), "S3_PORT": str(free_port()), "DATA": str(data), **environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "photo_api.cli", "dev"],
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    try:
        yield Dev(process, f"http://127.0.0.1:{port}", data)
    finally:
        process.kill()
        process.communicate(timeout=10)


@contextmanager
def serving(data: Path, **environ: str) -> Iterator[Dev]:
    with starting(data, **environ) as dev:
        assert eventually(dev.healthy, 15)
        yield dev


def test_ctrl_c_ends_everything(data: Path) -> None:
    with serving(data) as dev:
        family = dev.family()
        assert len(family) > 5
        os.killpg(dev.process.pid, signal.SIGINT)
        assert dev.process.wait(5) == 0
        assert all_gone(family, 0.5)


def test_kill_9_leaves_no_process(data: Path) -> None:
    with serving(data) as dev:
        family = dev.family()
        dev.process.kill()
        assert all_gone(family, 5)


def test_a_killed_server_is_mended(data: Path) -> None:
    with serving(data) as dev:
        for program in ("postgres", "weed"):
            killed = dev.server(program)
            assert killed is not None, program
            killed.kill()
            assert eventually(partial(dev.has_another, program, killed), 8), program
            assert eventually(dev.healthy, 8), program


def test_a_store_that_cannot_be_kept_ends_everything_with_the_reason(data: Path) -> None:
    with serving(data) as dev:
        family = dev.family()
        (data / "postgres" / "cluster" / "global" / "pg_control").unlink()
        postgres = dev.server("postgres")
        assert postgres is not None
        postgres.kill()
        assert dev.process.wait(14) == 1
        assert all_gone(family, 0.5)
        assert dev.process.stdout is not None
        assert "PostgreSQL ended 6 times in a minute" in dev.process.stdout.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["postgres/cluster.new", "logs/seaweed.log"])
def test_a_signal_while_it_starts_ends_everything(
    data: Path, number: signal.Signals, moment: str
) -> None:
    with starting(data) as dev:
        assert eventually((data / moment).exists, 5)
        dev.process.send_signal(number)
        assert dev.process.wait(5) == 0
        assert not working_below(data)


def refusal(data: Path, **environ: str) -> tuple[int, str]:
    with starting(data, **environ) as dev:
        printed, _ = dev.process.communicate(timeout=12)
        return dev.process.returncode, printed


def test_a_taken_port_is_found_before_anything_starts(data: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        code, printed = refusal(data, PORT=str(port))
    assert (code, data.exists()) == (1, False)
    assert printed.startswith(f"photo-api dev: PORT {port} is taken")


def test_a_taken_s3_port_is_named(data: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        code, printed = refusal(data, S3_PORT=str(port))
    assert code == 1
    assert f"S3_PORT {port} is taken" in printed
    assert "Traceback" not in printed


def test_a_misspelt_setting_is_refused_and_nothing_is_left(data: Path) -> None:
    code, printed = refusal(data, PHOTO_API_TYPO="1")
    assert code == 2
    assert "PHOTO_API_TYPO is not a setting" in printed
    assert not working_below(data)


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"HOST": "0.0.0.0"}, "needs PUBLIC_URL"),
        ({"PORT": "http"}, "PORT=http must be a whole number"),
        ({"PORT": "0"}, "PORT=0 must be a whole number"),
        ({"S3_PORT": "8000"}, "must differ"),
        ({"WORKERS": "-1"}, "WORKERS=-1"),
        ({"PUBLIC_URL": "photos.example"}, "PUBLIC_URL=photos.example is no address"),
    ],
)
def test_what_cannot_work_is_refused(environ: dict[str, str], complaint: str) -> None:
    with pytest.raises(CannotStart, match=complaint):
        Options.parse(environ)


@pytest.fixture
def environment(tmp_path: Path) -> Callable[[dict[str, str]], dict[str, str]]:
    """The service's environment for what a caller has set."""
    addresses = EmbeddedAddresses(
        database_url="postgresql://ours",
        superuser_url="",
        s3_endpoint="http://127.0.0.1:1",
        s3_public_endpoint="http://127.0.0.1:1",
        bucket="photos",
        region="us-east-1",
        access_key="key",
        secret_key="secret",
        pids={},
    )
    secrets = load_or_create(tmp_path / "secrets.json")
    return lambda environ: service_environment(environ, Options.parse(environ), addresses, secrets)


def test_the_caller_may_set_all_but_addresses(
    environment: Callable[[dict[str, str]], dict[str, str]],
) -> None:
    made = environment(
        {
            "PHOTO_API_DRAIN_WAIT": "9",
            "PHOTO_API_JWT_KEYS_FILE": "keys",
            "PHOTO_API_DATABASE_URL": "postgresql://theirs",
            "PHOTO_API_S3_SECRET_KEY_FILE": "theirs",
        }
    )
    assert made["PHOTO_API_DRAIN_WAIT"] == "9"
    assert made["PHOTO_API_LAME_DUCK"] == "0"
    assert made["PHOTO_API_DATABASE_URL"] == "postgresql://ours"
    assert "PHOTO_API_JWT_KEYS" not in made
    assert "PHOTO_API_S3_SECRET_KEY_FILE" not in made


def test_another_host_is_announced_under_its_public_url(
    environment: Callable[[dict[str, str]], dict[str, str]],
) -> None:
    made = environment({"HOST": "0.0.0.0", "PUBLIC_URL": "http://192.0.2.7:8000/"})
    assert made["PHOTO_API_PUBLIC_URL"] == "http://192.0.2.7:8000"
    assert made["PHOTO_API_CORS_ORIGINS"].split(",")[0] == "http://192.0.2.7:8000"


def test_front_ends_of_any_port_here_are_allowed_besides_those_that_the_caller_names(
    environment: Callable[[dict[str, str]], dict[str, str]],
) -> None:
    made = environment({"PHOTO_API_CORS_ORIGINS": "https://front.example.org"})
    allowed = made["PHOTO_API_CORS_ORIGINS"].split(",")
    assert {"http://localhost:*", "http://127.0.0.1:*", "https://front.example.org"} <= set(allowed)
