"""Secrets change in their files while an instance serves: a role's password, the store's keys, the
keys of tokens. No process of it is started again for that."""

import asyncio
import json
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from photo_api.cloud.identity import identify
from photo_api.settings.secrets import LiveSettings, Look, SecretFiles
from photo_api.supervisor import secrets
from photo_api.supervisor.supervisor import Supervisor
from tests.own_stage import ask, own_database
from tests.secret_stage import Folder, Keys, Role, new_pair, rotating
from tests.service import Service, User, eventually, jpeg, put, running_service

WEB, JOBS = "photo_api.web_worker", "photo_api.job_worker"
LONG = 40.0
"""Far more than the 10 s between two looks."""

OLD, NEW = "9f3c1d5e7a8b4260c1d2e3f4a5b69788", "71c04b5dd2e8f39a6be1007c2f48d935"
SEALING = "4b1f09c7e2d85a36f0917c4de8b35a62"
TOKEN = "c05d7be8134f92a67de1084bf3a95c21"


@dataclass
class Stage:
    """One instance, and what it gets in with."""

    service: Service
    files: Folder
    role: Role
    keys: Keys
    pair: tuple[str, str]
    settings: dict[str, str]
    """With an access that stays."""
    spoken: list[str]
    """Every secret that there ever was."""

    def pids(self) -> set[int]:
        return {one.pid for module in (WEB, JOBS) for one in self.service.children(module)}

    def events(self) -> list[str]:
        rows = ask(
            self.settings, "SELECT cause FROM instance_events WHERE event = 'secrets_changed'"
        )
        return [row["cause"] for row in rows]

    def logged(self, text: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.service.log.splitlines() if text in line]
        return [line for line in lines if text in line["message"]]

    def rotate_password(self, *, now: bool) -> None:
        """`now`: sessions are cut off before the file is written, so everybody is refused."""
        self.role.change_password()
        self.spoken.append(self.role.password)
        if now:
            self.role.cut_off()
            eventually(lambda: not self.service.is_healthy(), LONG)
        self.files.write("DATABASE_URL", self.role.url)

    def give_keys(self, pair: tuple[str, str]) -> None:
        self.spoken.append(pair[1])
        self.pair = pair
        self.files.write("S3_ACCESS_KEY", pair[0])
        self.files.write("S3_SECRET_KEY", pair[1])

    def __enter__(self) -> "Stage":
        return self


@pytest.fixture(scope="module")
def stage(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("secrets")
    with (
        own_database(stack, environ | {"PHOTO_API_LOG_LEVEL": "DEBUG"}) as settings,
        rotating(stack, settings, folder) as (files, role, keys, pair),
        running_service(files.settings, tmp_path_factory.mktemp("log"), "--workers", "2") as own,
    ):
        first = [role.password, pair[1], OLD, settings["PHOTO_API_OPS_TOKEN"]]
        found = Stage(own, files, role, keys, pair, settings, first)
        yield found
        for secret in found.spoken:
            assert secret not in own.log, "a secret was logged"


@pytest.fixture
def user(stage: Stage) -> Iterator[User]:
    with stage.service.new_user() as user:
        yield user


def works(user: User) -> bool:
    """A request of each kind: database, store, renditions."""
    answer = user.post_photo()
    return answer.status_code == 201 and user.rendered(answer.json()["id"])["renditions"] == "ready"


def every_worker(ask: Callable[[], bool]) -> bool:
    """Whether it is so for 30 new connections, which two workers share."""
    return all(ask() for _ in range(30))


def test_a_password_changes_while_two_workers_serve(stage: Stage, user: User) -> None:
    assert works(user)
    before = stage.pids()
    assert len(before) == 3
    stage.rotate_password(now=True)
    eventually(stage.service.is_healthy, LONG)
    eventually(lambda: works(user), LONG)
    assert stage.pids() == before, "nothing was started again"
    eventually(lambda: stage.events() == ["DATABASE_URL"], LONG)
    [line] = stage.logged("secrets changed")
    assert line["secrets"] == ["DATABASE_URL"]


def key_of(url: str) -> str:
    [credential] = parse_qs(urlsplit(url).query)["X-Amz-Credential"]
    return credential.split("/")[0]


def test_keys_of_the_store_change_after_they_were_refused(stage: Stage, user: User) -> None:
    """The old ones work no more before the new ones are there."""
    album, new = user.album()["id"], new_pair()
    photo = user.upload(album_id=album)
    stage.keys.set(new)
    eventually(lambda: not stage.keys.taken(*stage.pair), LONG)
    refused = eventually(lambda: _refused(user.post_photo(album_id=album)), LONG)
    assert refused is not None
    assert refused.status_code == 503
    assert user.api.get(f"/photos/{photo['id']}").status_code == 200, "it is not taken for gone"
    stage.give_keys(new)
    eventually(lambda: works(user), LONG)


def _refused(answer: httpx.Response) -> httpx.Response | None:
    return None if answer.status_code == 201 else answer


@pytest.mark.slow
def test_a_worker_that_only_signs_follows_too(stage: Stage, user: User) -> None:
    """Nobody refuses it. Half of a pair waits."""
    album, data, new, old = user.album()["id"], jpeg(), new_pair(), stage.pair
    stage.keys.set(old, new)
    eventually(lambda: stage.keys.taken(*new), LONG)
    stage.files.write("S3_ACCESS_KEY", new[0])
    eventually(lambda: stage.logged("has changed alone: waiting for"), LONG)
    assert key_of(user.presign(album, data)["upload_url"]) == old[0]
    stage.give_keys(new)

    def signs() -> bool:
        with httpx.Client(base_url=user.api.base_url, headers=user.api.headers) as fresh:
            body = {"album_id": album, "filename": "a.jpg", "content_type": "image/jpeg"}
            answer = fresh.post("/photos/presigned-url", json=body | {"file_size": len(data)})
            return key_of(answer.raise_for_status().json()["upload_url"]) == new[0]

    eventually(lambda: every_worker(signs), LONG)
    stage.keys.set(new)
    eventually(lambda: not stage.keys.taken(*old), LONG)
    presigned = user.presign(album, data)
    assert put(presigned, data).is_success
    assert user.confirm(presigned["photo_id"]).is_success
    assert works(user)


@pytest.mark.long
def test_keys_of_tokens_rotate(stage: Stage, user: User) -> None:
    """A token is good for as long as its key is listed. What cannot be used changes nothing."""
    stage.spoken += [NEW, SEALING]
    link = user.api.post(f"/albums/{user.album()['id']}/share", json={}).json()["token"]
    eventually(lambda: len(stage.pids()) == 3, LONG)  # ready is an instance with its first worker
    before, ancient = stage.pids(), user.tokens["access_token"]
    stage.files.write("JWT_KEYS", "hunter2hunter2hunter2hunter2hunter2hunter2")
    stage.files.write("SECRET_KEYS", f"s2:{SEALING},{stage.settings['PHOTO_API_SECRET_KEYS']}")
    stage.files.write("OPS_TOKEN", TOKEN)
    eventually(lambda: stage.events()[-1:] == ["SECRET_KEYS, OPS_TOKEN"], LONG)
    assert "hunter2" not in stage.service.log
    stage.files.write("JWT_KEYS", f"k2:{NEW},{stage.settings['PHOTO_API_JWT_KEYS']}")
    eventually(lambda: stage.events()[-1:] == ["JWT_KEYS"], LONG)
    operator = {"Authorization": f"Bearer {TOKEN}"}

    def knows_both() -> bool:
        answer = httpx.get(f"{stage.service.url}/health/detailed", headers=operator).json()
        ids = answer.get("config", {"jwt_key_ids": []})
        return bool(ids["jwt_key_ids"] == ["k2", "k1"] and ids["secret_key_ids"] == ["s2", "s1"])

    eventually(lambda: every_worker(knows_both), LONG)
    assert me(stage, ancient) == 200
    assert httpx.get(f"{stage.service.url}/api/share/{link}").status_code == 200
    assert user.login().status_code == 200
    stage.files.write("JWT_KEYS", f"k2:{NEW}")
    eventually(lambda: every_worker(lambda: me(stage, ancient) == 401), LONG)
    told = [line["message"] for line in stage.logged("a secret stays as it was")]
    assert len([one for one in told if "JWT_KEYS" in one]) == 1, "once for each content"
    assert stage.pids() == before


def me(stage: Stage, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{stage.service.url}/api/auth/me", headers=headers).status_code


def test_a_child_that_is_born_later_has_what_its_supervisor_has(stage: Stage, user: User) -> None:
    """Also when its files say something else by then, that is not usable."""
    stage.files.write("DATABASE_URL", "half of an addr")
    before = stage.pids()
    for child in (*stage.service.children(WEB), *stage.service.children(JOBS)):
        child.kill()
    eventually(lambda: len(stage.pids()) == 3 and not stage.pids() & before, LONG)
    eventually(stage.service.is_healthy, LONG)
    eventually(lambda: works(user), LONG)
    stage.files.write("DATABASE_URL", stage.role.url)


async def test_a_file_system_that_hangs_holds_up_nothing_else(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a network's may; a stand-in for it, since such files cannot be had everywhere."""
    looks, released = queue.Queue[None](), threading.Event()

    def hang(*_: object, **__: object) -> Look:
        looks.put(None)
        released.wait(60)
        return Look()

    monkeypatch.setattr(SecretFiles, "look", hang)
    watch = secrets.SecretWatch(files := SecretFiles(environ), LiveSettings(files.settings))
    running = asyncio.create_task(watch.run(lambda _: None, lambda *_: None))
    await asyncio.to_thread(looks.get, timeout=20)
    running.cancel()
    await asyncio.wait([running], timeout=20)
    assert running.cancelled()
    released.set()


@pytest.mark.slow
async def test_sighup_has_the_files_looked_at(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "INTERVAL", 3600.0)
    files = Folder(tmp_path, {name: text for name, text in environ.items() if name != "PATH"})
    found = SecretFiles(files.settings)
    identity = identify(found.settings.lifecycle, str(uuid4()))
    supervisor = Supervisor(found, identity, host="127.0.0.1", port=0, workers=0, jobs=False)
    running = asyncio.create_task(supervisor.run())
    async with asyncio.timeout(60):
        while signal.getsignal(signal.SIGHUP) in (signal.SIG_DFL, signal.SIG_IGN):
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)  # the first look is over, and the next in an hour
        files.write("OPS_TOKEN", TOKEN)
        await asyncio.sleep(2)
        assert found.settings.lifecycle.ops_token == environ["PHOTO_API_OPS_TOKEN"]
        os.kill(os.getpid(), signal.SIGHUP)
        while found.settings.lifecycle.ops_token != TOKEN:
            await asyncio.sleep(0.05)
        supervisor.stop("the test is over")
        await running
