"""Processes that are started late: during a drain, or when none could be started for a while."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from photo_api.lifecycle.identity import identify
from photo_api.lifecycle.supervisor import Supervisor
from photo_api.settings.secrets import SecretFiles
from tests.own_stage import ask
from tests.service import Service, eventually, serving

WEB = "photo_api.lifecycle.worker"
StartService = Callable[..., Service]


def health(service: Service) -> httpx.Response | None:
    try:
        return httpx.get(f"{service.url}/health", timeout=5)
    except httpx.HTTPError:
        return None


def state(service: Service) -> str:
    # One database for all tests: the row is found by the port.
    port = int(service.url.rsplit(":", 1)[1])
    query = "SELECT state FROM instances WHERE port = $1 ORDER BY started_at DESC LIMIT 1"
    [row] = ask(service.environ, query, port)
    return str(row["state"])


def draining(answer: httpx.Response | None) -> bool:
    return answer is not None and (
        answer.status_code == 503
        and answer.headers["Connection"] == "close"
        and answer.json()["status"] == "draining"
    )


def test_what_is_started_during_a_drain_drains_from_its_birth(start_service: StartService) -> None:
    service = start_service(LAME_DUCK="8", GRACE="60")
    [worker] = service.children(WEB)
    [jobs] = service.children("photo_api.jobs.process")
    service.process.send_signal(signal.SIGTERM)
    eventually(lambda: draining(health(service)))
    service.process.send_signal(signal.SIGHUP)
    eventually(lambda: "not replaced while draining" in service.log)
    worker.kill()
    jobs.kill()
    first = eventually(lambda: health(service), 20)
    assert draining(first)
    assert service.children(WEB) != [worker], "a successor answers"
    while service.process.poll() is None:
        answer = health(service)
        assert answer is None or draining(answer), answer.text
        time.sleep(0.05)
    assert service.process.returncode == 0
    lines = [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]
    drain = next(n for n, line in enumerate(lines) if line.get("message") == "draining")
    assert not [line for line in lines[drain:] if line.get("message") == "holds the lease"]


@contextmanager
def serving_from_own_venv(environ: dict[str, str], folder: Path) -> Iterator[tuple[Service, Path]]:
    """A service whose interpreter can be taken away, at this path."""
    python = folder / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.executable).resolve())
    for name in ("pyvenv.cfg", "lib"):
        (folder / "venv" / name).symlink_to(Path(sys.prefix) / name)
    with serving(environ, folder / "service.log", python=str(python)) as service:
        eventually(service.is_healthy, 30)
        yield service, python


def test_workers_that_cannot_be_replaced_at_once_are_replaced_later(
    service: Service, environ: dict[str, str], tmp_path: Path
) -> None:
    """The interpreter is gone for a while, as when an environment is replaced or no process can be
    forked. Meanwhile the instance is not ready."""
    with serving_from_own_venv(environ, tmp_path) as (own, python):
        eventually(lambda: state(own) == "ready")
        python.rename(python.with_name("away"))
        own.children(WEB)[0].kill()
        own.children("photo_api.jobs.process")[0].kill()
        eventually(lambda: state(own) == "starting", 20)
        assert "a process cannot be started; trying again" in own.log
        python.with_name("away").rename(python)
        eventually(own.is_healthy, 30)
        eventually(lambda: state(own) == "ready", 20)
        eventually(lambda: own.children("photo_api.jobs.process"), 20)
        port = int(own.url.rsplit(":", 1)[1])
        events = ask(
            environ,
            "SELECT e.event FROM instance_events e JOIN instances i USING (boot_id)"
            " WHERE i.port = $1 ORDER BY e.id",
            port,
        )
        assert "without_workers" in [row["event"] for row in events]
        assert own.stop() == 0


@pytest.mark.slow
def test_workers_are_replaced_when_processes_can_be_forked_again(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """Another process of the same user has used up what that may have. Root is bound by no such
    limit, so where the tests run as root somebody else is used, who may read what root may."""
    root = os.getuid() == 0
    other = (
        "setpriv --reuid=64999 --regid=64999 --clear-groups --inh-caps=+dac_override"
        " --ambient-caps=+dac_override"
    )
    python = tmp_path / "python"
    limit = len(psutil.pids()) * (0 if root else 20) + 60
    who = other if root else ""
    python.write_text(f'#!/bin/sh\nexec {who} prlimit --nproc={limit} {sys.executable} "$@"\n')
    python.chmod(0o755)
    environ = environ | {"HOME": str(tmp_path)}
    with serving(environ, tmp_path / "log", "--no-jobs", python=str(python)) as own:
        eventually(lambda: live(own), 30)
        greedy = f"for i in $(seq {limit}); do sleep 60 & done; wait"
        with subprocess.Popen(
            [*who.split(), "sh", "-c", greedy], process_group=0, stderr=subprocess.DEVNULL
        ) as hog:
            eventually(lambda: len(psutil.Process(hog.pid).children()) >= limit)
            own.children(WEB)[0].kill()
            refused = "a process cannot be started; trying again"
            eventually(lambda: own.log.count(refused) >= 4, 20)
            assert not own.children(WEB)
            os.killpg(hog.pid, signal.SIGKILL)
        eventually(lambda: live(own), 30)


def live(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/health/live", timeout=5).is_success
    except httpx.HTTPError:
        return False


async def test_a_watching_task_that_fails_ends_the_instance_with_its_reason(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = SecretFiles(environ)
    identity = identify(secrets.settings.lifecycle, str(uuid4()))
    supervisor = Supervisor(secrets, identity, host="127.0.0.1", port=0, workers=0, jobs=False)

    async def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(supervisor, "_serve_control", fail)
    async with asyncio.timeout(30):
        assert await supervisor.run() == 1
    [record] = [one for one in caplog.records if "the supervisor failed" in one.message]
    assert record.exc_info
    assert "a bug" in str(record.exc_info[1])
