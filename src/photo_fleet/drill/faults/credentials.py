"""Credentials rotate under load: those of the database and of the object store, in the files that
the instances read, by the order of steps of the operator's guide."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from signal import SIGHUP
from stat import S_IMODE
from urllib.parse import urlsplit, urlunsplit

from photo_base.processes import send
from photo_base.whole_file import PRIVATE, replace
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.process_tree import command_line
from photo_fleet.drill.stage.stage import Stage, rows_of
from photo_fleet.local_fleet.launcher import READABLE

ROLE = "photo_api_drill"
LONGEST_LOOK = 15.0
"""Seconds in which a sound instance has taken over what its files hold."""

URLS_IN_HAND = 5.0
"""Seconds for which clients use a URL that was signed with the key from before."""

RELOADED = 1.0
"""Seconds after SIGHUP in which SeaweedFS has read its keys."""

CONFIG = "-s3.config="

ALL_TAKEN = """
SELECT bool_and(EXISTS (
    SELECT FROM instance_events e
    WHERE e.boot_id = i.boot_id AND e.event = 'secrets_changed' AND e.at > $1
)) AS taken FROM instances i WHERE i.state = 'ready'
"""

# Idle for a while: a pool with a newer password replaces its connection before it uses it.
DRIVE_OUT = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE usename = $1 AND application_name <> 'photo-fleet drill' AND state = 'idle'
AND state_change < now() - interval '2 seconds'
"""


async def rotate_credentials(scene: Scene, *, seconds: float) -> Fault:
    """A second role and a second key are made, and written to the files; then the first ones are
    locked for so many seconds, and everything goes back in the same way."""
    began, stage = scene.now(), scene.stage
    names = (*_database(""), *_store("", ""))
    before = {name: (_folder(stage) / name).read_text(encoding="utf-8") for name in names}
    async with _second_role(stage) as url, _second_key(stage) as (access, secret):
        await _take_over(scene, {**_database(url), **_store(access, secret)})
        async with _first_ones_locked(stage, (access, secret)):
            await asyncio.sleep(seconds)
        await _take_over(scene, before)
    return scene.span("rotate-credentials", began)


def _database(url: str) -> dict[str, str]:
    return {"database-url": url}


def _store(access: str, secret: str) -> dict[str, str]:
    return {"s3-access-key": access, "s3-secret-key": secret}


def _folder(stage: Stage) -> Path:
    """Of the secrets that the stage's instances read."""
    return stage.folder / "secrets"


async def _take_over(scene: Scene, texts: dict[str, str]) -> None:
    """Until all instances have them and nobody uses a URL of before; a fleet that does not look is
    not waited for any longer."""
    [[moment]] = await scene.stage.query("SELECT now()")
    for name, text in texts.items():
        replace(_folder(scene.stage) / name, text, READABLE)

    async def taken() -> bool:
        [[all_have]] = await scene.stage.query(ALL_TAKEN, moment)
        return bool(all_have)

    with suppress(TimeoutError):
        await scene.until(taken, LONGEST_LOOK)
    await asyncio.sleep(URLS_IN_HAND)


@asynccontextmanager
async def _second_role(stage: Stage) -> AsyncIterator[str]:
    """Its address while it may log in. It works as the first role."""
    parts, password = urlsplit(stage.database_url), secrets.token_urlsafe(24)
    first, host = _login(stage), parts.netloc.rpartition("@")[2]
    await stage.as_superuser(
        f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}' IN ROLE {first}",
        f"ALTER ROLE {ROLE} SET role = '{first}'",
    )
    try:
        yield urlunsplit(parts._replace(netloc=f"{ROLE}:{password}@{host}"))
    finally:
        await rows_of(stage.addresses.superuser_url, DRIVE_OUT, ROLE)
        await stage.as_superuser(f"DROP ROLE {ROLE}")


@asynccontextmanager
async def _second_key(stage: Stage) -> AsyncIterator[tuple[str, str]]:
    """One that the store takes beside the first."""
    pair = secrets.token_hex(10), secrets.token_hex(20)
    first = stage.addresses.access_key, stage.addresses.secret_key
    await _store_takes(stage, first, pair)
    try:
        yield pair
    finally:
        await _store_takes(stage, first)


@asynccontextmanager
async def _first_ones_locked(stage: Stage, second_key: tuple[str, str]) -> AsyncIterator[None]:
    first, password = _login(stage), urlsplit(stage.database_url).password
    key = stage.addresses.access_key, stage.addresses.secret_key
    try:
        await stage.as_superuser(f"ALTER ROLE {first} PASSWORD '{secrets.token_urlsafe(24)}'")
        await _store_takes(stage, second_key)
        await rows_of(stage.addresses.superuser_url, DRIVE_OUT, first)
        yield
    finally:
        await stage.as_superuser(f"ALTER ROLE {first} PASSWORD '{password}'")
        await _store_takes(stage, key, second_key)


async def _store_takes(stage: Stage, *pairs: tuple[str, str]) -> None:
    """These keys and no others, as SeaweedFS reads them again on SIGHUP."""
    pid = stage.store_pid
    [path] = [word for word in command_line(pid).split() if word.startswith(CONFIG)]
    file = Path(f"/proc/{pid}/cwd") / path.removeprefix(CONFIG)
    await asyncio.to_thread(_write_keys, file, pairs)
    send([pid], SIGHUP)
    await asyncio.sleep(RELOADED)


def _write_keys(file: Path, pairs: Sequence[tuple[str, str]]) -> None:
    """For the same readers as before: root's store has an account of its own."""
    before = file.stat()
    config = json.loads(file.read_text(encoding="utf-8"))
    [identity] = config["identities"]
    identity["credentials"] = [
        {"accessKey": access, "secretKey": secret} for access, secret in pairs
    ]
    replace(file, json.dumps(config), PRIVATE)
    os.chown(file, before.st_uid, before.st_gid)
    file.chmod(S_IMODE(before.st_mode))


def _login(stage: Stage) -> str:
    return str(urlsplit(stage.database_url).username)
