"""What is done to a broken stage besides the faults of the catalogue: what no fleet should have to
stand, and what clients do that a sound one refuses."""

import asyncio
import base64
import hmac
import json
import random
import time
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import httpx

from photo_fleet.drill.clients import behaviour
from photo_fleet.drill.clients.person import Person
from photo_fleet.drill.clients.transport import Call
from photo_fleet.drill.faults.promotions import promote
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.ledger import Ledger
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.process_tree import command_line
from photo_fleet.drill.stage.stage import Stage

CARELESS = 900
"""A number that no client of a load has."""

NEVER_SENT = 3
KEPT_WAITING = 20.0
LOOK = 0.1
TOKEN_SECONDS = 60
LAG, DEAD = 6.0, 2.0
"""Seconds of work that a standby lacks, and for which nobody is the primary."""

FINISHED = """
SELECT object_key FROM photos
WHERE status = 'ready' AND thumbnail_key IS NOT NULL ORDER BY id LIMIT 1
"""


async def confirm_without_upload(scene: Scene) -> Fault:
    """A client confirms photos that it never sent to the store."""
    began = scene.now()
    url, chance = scene.stage.url, random.Random(scene.chance.random())
    async with Person(CARELESS, url, Ledger()) as person:
        if not await person.sign_up():
            raise LookupError("the careless client was not taken in")
        album = await behaviour.new_album(person, chance, None)
        for _ in range(NEVER_SENT):
            content = {
                "album_id": album,
                "filename": "photo.jpg",
                "content_type": "image/jpeg",
                "file_size": 1000,
            }
            granted = await person.fetch(
                Call("presign", "POST", "/photos/presigned-url", json=content)
            )
            if not granted.ok:
                raise LookupError(f"presigning gave {granted.status}")
            photo = {"photo_id": granted.json()["photo_id"]}
            await person.fetch(Call("confirm", "POST", "/photos/confirm", json=photo))
    return scene.span("confirm-without-upload", began)


async def remove_object(scene: Scene) -> Fault:
    """An acknowledged photo's original vanishes from the store, past the service: through the
    store's own files, with a token by the key that root finds beside them."""
    began, stage = scene.now(), scene.stage
    async with asyncio.timeout(KEPT_WAITING):
        while not (rows := await stage.query(FINISHED)):
            await asyncio.sleep(LOOK)
    path = f"/buckets/{stage.addresses.bucket}/{rows[0]['object_key']}"
    headers = {"Authorization": f"Bearer {filer_token(stage.store_pid)}"}
    async with httpx.AsyncClient(timeout=10, trust_env=False, headers=headers) as http:
        answer = await http.delete(f"http://127.0.0.1:{_filer_port(stage)}{path}")
    if answer.status_code != 204:
        raise LookupError(f"the store's files answered {answer.status_code}")
    return scene.span("remove-object", began)


async def promote_with_untold_lag(scene: Scene) -> Fault:
    """What is promoted followed the primary asynchronously, and no longer at the end; for how long,
    the drill is not told."""
    return replace(await promote(scene, "untold-lag", DEAD, lag=LAG), behind=None)


HARM: Mapping[str, Callable[[Scene], Awaitable[Fault]]] = {
    "confirm-without-upload": confirm_without_upload,
    "remove-object": remove_object,
    "untold-lag": promote_with_untold_lag,
}
"""By name, as steps of a scenario."""


def _filer_port(stage: Stage) -> int:
    for word in command_line(stage.store_pid).split():
        if word.startswith("-filer.port="):
            return int(word.partition("=")[2])
    raise LookupError("the store has no files of its own")


def filer_token(pid: int) -> str:
    """With which the files of the store `pid` are changed for a minute: a JWT by its own key."""
    found = tomllib.loads(Path(f"/proc/{pid}/cwd/security.toml").read_text())
    key: str = found["jwt"]["filer_signing"]["key"]
    head, claims = {"alg": "HS256", "typ": "JWT"}, {"exp": int(time.time()) + TOKEN_SECONDS}
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in (head, claims))
    seal = _base64url(hmac.digest(key.encode(), signed, "sha256"))
    return b".".join((signed, seal)).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
