"""Acts that bring photos in or take big ones out: directly to the store, through the server, fast
and slow."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from photo_fleet.drill.clients.behaviour import look_at
from photo_fleet.drill.clients.person import Person
from photo_fleet.drill.clients.pictures import LARGEST, SMALLEST, Picture, picture
from photo_fleet.drill.clients.transport import Call

BOUNDARY = "a-border-between-parts"
Seconds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Grant:
    """What the service told of an upload that it lets in directly, and the photo it is for."""

    told: Mapping[str, Any]
    photo: Picture


async def direct_upload(person: Person, chance: random.Random, due: float | None) -> None:
    """Presign, PUT to the store, confirm; half of the clients declare a checksum."""
    grant = await granted_upload(person, chance, due)
    if grant is not None and await put(person, chance, grant):
        await confirm(person, chance, grant)


async def granted_upload(person: Person, chance: random.Random, due: float | None) -> Grant | None:
    """The first step of a direct upload; None when it was refused."""
    title = person.ledger.mint()
    photo = picture(title, chance)
    declared = photo if chance.random() < 0.5 else replace(photo, sha256="")
    told = await _presign(person, chance, due, title, declared)
    return None if told is None else Grant(told, photo)


async def confirm(person: Person, chance: random.Random, grant: Grant) -> None:
    """The last one: the photo counts as acknowledged from here on."""
    photo_id: int = grant.told["photo_id"]
    call = _confirm(grant, fits=lambda _, body: orjson.loads(body)["photo_id"] == photo_id)
    edit = person.ledger.edit(person.name, person.inbox, "add", photos=[photo_id])
    answer = await person.act(call, chance)
    if answer.ok:
        digest = grant.photo.sha256
        person.ledger.edited(edit, answer.request)
        person.ledger.acknowledge(photo_id, person.name, digest)
        person.photos[photo_id] = digest


async def careless_upload(person: Person, chance: random.Random, due: float | None) -> None:
    """Something else than was declared, of the declared size: it must not become a photo."""
    title = person.ledger.mint()
    text = chance.randbytes(SMALLEST)
    told = await _presign(person, chance, due, title, Picture(text, ""))
    if told is None:
        return
    grant = Grant(told, Picture(text, ""))
    if await put(person, chance, grant):
        await person.act(
            _confirm(grant, expected=(), provoked=lambda status: status == 409), chance
        )


async def upload(person: Person, chance: random.Random, due: float | None) -> None:
    """Through the server."""
    await upload_through(person, chance, due, "upload")


async def slow_upload(
    person: Person, chance: random.Random, due: float | None, seconds: Seconds
) -> None:
    """Through the server, over a bad line."""
    await upload_through(person, chance, due, "slow_upload", takes=chance.uniform(*seconds))


async def slow_download(
    person: Person, chance: random.Random, due: float | None, seconds: Seconds
) -> None:
    """An original, over a bad line."""
    await look_at(person, chance, due, "slow_download", "original", reads=chance.uniform(*seconds))


async def upload_through(
    person: Person, chance: random.Random, due: float | None, kind: str, takes: float = 0.0
) -> None:
    """A form with a photo, sent over `takes` seconds."""
    title = person.ledger.mint()
    photo = picture(title, chance, LARGEST if takes else None)

    def fits(_: Mapping[str, str], body: bytes) -> bool:
        return bool(orjson.loads(body)["file_size"] == len(photo.data))

    call = Call(
        kind,
        "POST",
        "/photos/",
        (201,),
        key=title,
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        body=form(person.inbox, title, photo.data),
        fits=fits,
        takes=takes,
    )
    person.ledger.intend(title, person.name, "photo", title)
    edit = person.ledger.edit(person.name, person.inbox, "add")
    answer = await person.act(call, chance, due=due)
    if answer.ok:
        photo_id: int = answer.json()["id"]
        person.ledger.edited(edit, answer.request, [photo_id])
        person.ledger.created(title, "photo", photo_id)
        person.ledger.acknowledge(photo_id, person.name, photo.sha256)
        person.photos[photo_id] = photo.sha256


def _confirm(grant: Grant, **more: Any) -> Call:
    told = {"photo_id": grant.told["photo_id"]}
    return Call("confirm", "POST", "/photos/confirm", json=told, **more)


async def put(person: Person, chance: random.Random, grant: Grant) -> bool:
    """The second step: the bytes, to the address that was given; whether the store has them."""
    call = Call(
        "put",
        "PUT",
        grant.told["upload_url"],
        (200, 201, 204),
        target="store",
        headers=grant.told["upload_headers"],
        body=grant.photo.data,
    )
    return (await person.act(call, chance)).ok


async def _presign(
    person: Person, chance: random.Random, due: float | None, title: str, photo: Picture
) -> dict[str, Any] | None:
    """The grant; a photo without digest is declared without one."""
    content = {
        "album_id": person.inbox,
        "filename": "photo.jpg",
        "content_type": "image/jpeg",
        "file_size": len(photo.data),
        "title": title,
    }
    if photo.sha256:
        content["sha256"] = photo.sha256
    call = Call(
        "presign",
        "POST",
        "/photos/presigned-url",
        key=title,
        fits=lambda _, body: bool(orjson.loads(body)["upload_url"]),
        json=content,
    )
    person.ledger.intend(title, person.name, "photo", title)
    answer = await person.act(call, chance, due=due)
    if not answer.ok:
        return None
    person.ledger.created(title, "photo", answer.json()["photo_id"])
    return dict(answer.json())


def form(album: int, title: str, data: bytes) -> bytes:
    """A multipart form as a browser sends it."""
    fields = {"album_id": str(album), "title": title}
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return "".join([*parts, file]).encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()
