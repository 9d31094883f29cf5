"""Processes that are started late: during a drain, or when none could be started for a while."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from photo_api.cloud.identity import identify
from photo_api.health.readiness import WITHOUT_WORKERS
from photo_api.registry.registration import Registration
from photo_api.settings.secrets import SecretFiles
from photo_api.supervisor.supervisor import Supervisor
from tests.own_stage import ask
from tests.service import Service, eventually, serving

WEB = "photo_api.web_worker"
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
    [jobs] = service.children("photo_api.job_worker")
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
        own.children("photo_api.job_worker")[0].kill()
        eventually(lambda: state(own) == "starting", 20)
        assert "a process cannot be started; trying again" in own.log
        python.with_name("away").rename(python)
        eventually(own.is_healthy, 30)
        eventually(lambda: state(own) == "ready", 20)
        eventually(lambda: own.children("photo_api.job_worker"), 20)
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


@contextmanager
def serving_with_a_fork_limit(
    environ: dict[str, str], folder: Path
) -> Iterator[tuple[Service, int, Callable[[int], None]]]:
    """(a service whose processes are counted under a user id of their own, that id, how to limit
    what its supervisor may start)."""
    uid = 60_000 + os.getpid() % 5000
    python, file = folder / "python", folder / "limit"
    command = f"{sys.executable} -m tests.lifecycle.fork_limited {uid} {file}"
    python.write_text(f'#!/bin/sh\nshift 2\nexec {command} "$@"\n')
    python.chmod(0o755)
    with serving(environ, folder / "service.log", python=str(python)) as service:

        def limit(count: int) -> None:
            file.write_text(str(count))
            service.process.send_signal(signal.SIGUSR1)

        eventually(service.is_healthy, 30)
        yield service, uid, limit


def threads_of(uid: int) -> int:
    """What the limit counts."""
    count = 0
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if process.uids().real == uid:
                count += process.num_threads()
    return count


@pytest.mark.long
@pytest.mark.skipif(os.getuid() != 0, reason="only root may run a service as another user")
def test_workers_killed_while_no_process_can_be_forked_come_back(
    service: Service, environ: dict[str, str], tmp_path: Path
) -> None:
    """First there is no room for a process, then for one but not for the thread that waits for
    it."""
    with serving_with_a_fork_limit(environ, tmp_path) as (own, uid, limit):
        eventually(lambda: state(own) == "ready")
        limit(0)
        for module in (WEB, "photo_api.job_worker"):
            own.children(module)[0].kill()
        eventually(lambda: state(own) == "starting", 20)
        assert "Resource temporarily unavailable" in own.log
        limit(threads_of(uid) + 1)
        if sys.version_info < (3, 12):
            eventually(lambda: "can't start new thread" in own.log, 20)
        time.sleep(max(0.0, 4 - WITHOUT_WORKERS))
        limit(10_000)
        eventually(own.is_healthy, 30)
        eventually(lambda: state(own) == "ready", 20)
        eventually(lambda: own.children("photo_api.job_worker"), 20)
        assert own.stop() == 0


def supervisor(environ: dict[str, str]) -> Supervisor:
    """Of no processes."""
    secrets = SecretFiles(environ)
    identity = identify(secrets.settings.lifecycle, str(uuid4()))
    return Supervisor(secrets, identity, host="127.0.0.1", port=0, workers=0, jobs=False)


@pytest.mark.parametrize("how", ["by an error", "early"])
async def test_a_watching_task_that_ends_ends_the_instance_with_its_reason(
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    async def end(*_: object) -> None:
        if how == "by an error":
            raise RuntimeError("a bug")

    monkeypatch.setattr("photo_api.supervisor.supervisor._keep_house", end)
    async with asyncio.timeout(30):
        assert await supervisor(environ).run() == 1
    [record] = [one for one in caplog.records if "the supervisor failed" in one.message]
    assert record.exc_info
    assert ("a bug" if how == "by an error" else "ended") in str(record.exc_info[1])


async def test_an_error_of_the_registry_in_a_drain_is_told(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written = Registration.flush

    async def flush(registry: Registration, *time_box: float) -> bool:
        task = asyncio.current_task()
        if task and getattr(task.get_coro(), "cr_code", None) is flush.__code__:
            raise RuntimeError("a bug of the registry")
        return await written(registry, *time_box)

    monkeypatch.setattr(Registration, "flush", flush)
    stopping = supervisor(environ)
    asyncio.get_running_loop().call_later(0.5, stopping.stop, "the end of the test")
    async with asyncio.timeout(30):
        assert await stopping.run() == 1
    errors = [one.exc_info[1] for one in caplog.records if one.exc_info]
    assert "a bug of the registry" in [str(error) for error in errors]
