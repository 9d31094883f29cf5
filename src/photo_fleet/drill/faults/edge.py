"""The API and the store are both away, and what the edge has is served: images whose URLs were
handed out before, and to nobody whose URL has ended."""

import asyncio
import base64
import hashlib
import random
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from signal import SIGINT
from urllib.parse import urlsplit

import httpx

from photo_api.contract import HEALTH_PATH
from photo_fleet.drill.clients import behaviour
from photo_fleet.drill.clients.person import Person
from photo_fleet.drill.clients.transport import Call
from photo_fleet.drill.clients.uploading import upload
from photo_fleet.drill.faults.outages import database_answers, ended
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.ledger import Ledger
from photo_fleet.drill.records import Fault
from photo_fleet.drill.stage.http_relay import NORMAL, Behaviour
from photo_fleet.drill.stage.process_tree import stopped

NAME = "edge-alone"
VISITOR = 901
"""A number that no client of a load has."""

PHOTOS = 4
SIZES = ("original", "thumbnail", "preview")
LOOK = 0.5
TIME_LIMIT = 5.0
LONGEST_MAKING = 30.0
"""Seconds until the renditions of a photo are there."""

NO_BYTES = hashlib.sha256(b"").hexdigest()
EXPIRES = re.compile(r"(?<=expires=)\d+")
SIGNATURE = re.compile(r"(?<=md5=)[\w-]+")


@dataclass(frozen=True, slots=True)
class Handed:
    """An image's address, as the API gave it out, and its bytes' digest."""

    url: str
    sha256: str


async def serve_alone(scene: Scene, *, seconds: float) -> Fault:
    """Somebody looks at photos, and goes on to while nothing but nginx is there."""
    handed = await _looked_at(scene)
    began = scene.now()
    unkept: dict[str, None] = {}
    async with (
        _nothing_behind(scene),
        httpx.AsyncClient(timeout=TIME_LIMIT, trust_env=False) as http,
    ):
        await scene.until(lambda: _is_away(scene, http))
        while scene.now() < began + seconds:
            for one in handed:
                unkept |= dict.fromkeys(await _not_served(http, one))
            unkept |= dict.fromkeys(await _not_refused(scene, http, handed[0]))
            await asyncio.sleep(LOOK)
    return scene.span(NAME, began, unkept=tuple(unkept))


async def _looked_at(scene: Scene) -> list[Handed]:
    """Addresses of new photos in every size, each fetched once. Raises `LookupError`."""
    chance = random.Random(scene.chance.random())
    async with Person(VISITOR, scene.stage.url, Ledger()) as person:
        if not await person.sign_up():
            raise LookupError("the edge's visitor was not taken in")
        person.inbox = await behaviour.new_album(person, chance, None) or 0
        for _ in range(PHOTOS):
            await upload(person, chance, None)
        if len(person.photos) != PHOTOS:
            raise LookupError("the photos for the edge were not taken")
        return [
            await _handed(scene, person, photo, size) for photo in person.photos for size in SIZES
        ]


async def _handed(scene: Scene, person: Person, photo: int, size: str) -> Handed:
    found: list[Handed] = []

    async def is_there() -> bool:
        call = Call("check", "GET", f"/photos/{photo}/image?size={size}", (302,))
        redirect = await person.fetch(call)
        if not redirect.ok:
            return False
        url = redirect.headers["Location"]
        image = await person.fetch(Call("check", "GET", url, target="store"))
        found.append(Handed(url, hashlib.sha256(image.body).hexdigest()))
        return image.ok

    await scene.until(is_there, LONGEST_MAKING)
    return found[-1]


@asynccontextmanager
async def _nothing_behind(scene: Scene) -> AsyncIterator[None]:
    """No database, without which the API serves nothing, and no store."""
    stage = scene.stage
    try:
        await stage.relay.behave(Behaviour("refuse"))
        with stopped([stage.keeper_pid]):  # which else would start it again
            await ended(scene, stage.database_pid, SIGINT)
            yield
    finally:
        await stage.relay.behave(NORMAL)
        await database_answers(scene)


async def _is_away(scene: Scene, http: httpx.AsyncClient) -> bool:
    """Whether neither the API nor the store serves anybody."""
    try:
        is_ready = (await http.get(f"{scene.stage.url}{HEALTH_PATH}")).is_success
    except httpx.HTTPError:
        is_ready = False
    return not is_ready and not await scene.stage.store_answers()


async def _not_served(http: httpx.AsyncClient, one: Handed) -> list[str]:
    """What is wrong with the answer."""
    status, digest = await _asked(http, one.url)
    path = urlsplit(one.url).path
    if status != 200:
        return [f"{path} was handed out before, and is answered by {status}"]
    return [f"{path} came with other bytes"] if digest != one.sha256 else []


async def _not_refused(scene: Scene, http: httpx.AsyncClient, one: Handed) -> list[str]:
    """Whom the edge lets in who has no right to it."""
    return [
        f"{urlsplit(url).path} is answered by {status}, and not by {due}: {what}"
        for url, due, what in _worthless(one, scene.stage.cdn_secret)
        if (status := (await _asked(http, url))[0]) != due
    ]


def _worthless(one: Handed, secret: str) -> Iterator[tuple[str, int, str]]:
    parts = urlsplit(one.url)
    past = str(int(time.time()) - 60)
    told: Mapping[str, str] = dict(part.partition("=")[::2] for part in parts.query.split("&"))
    stores = parts.query.partition(f"&filename={told['filename']}&")[2]
    signed = f"{past}{parts.path} {told['filename']} {stores} {secret}"
    made = hashlib.md5(signed.encode(), usedforsecurity=False).digest()
    valid = base64.urlsafe_b64encode(made).decode().rstrip("=")
    yield SIGNATURE.sub(valid, EXPIRES.sub(past, one.url)), 410, "it has expired"
    yield EXPIRES.sub(str(int(told["expires"]) + 600), one.url), 403, "it was lengthened"
    yield one.url.partition("?")[0], 403, "it has no signature"


async def _asked(http: httpx.AsyncClient, url: str) -> tuple[int, str]:
    """Status and digest; 0 for no answer."""
    try:
        answer = await http.get(url)
    except httpx.HTTPError:
        return 0, NO_BYTES
    return answer.status_code, hashlib.sha256(answer.content).hexdigest()
