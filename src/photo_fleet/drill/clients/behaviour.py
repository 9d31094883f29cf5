"""What people do: each act sends one request or a few, and remembers what came of them."""

import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import orjson

from photo_fleet.drill.clients.person import Person
from photo_fleet.drill.clients.pictures import is_rendition
from photo_fleet.drill.clients.transport import Answer, Call
from photo_fleet.drill.ledger import DELETION, Change

Act = Callable[[Person, random.Random, float], Awaitable[None]]

UNKNOWN_PHOTO = 2**53 - 1
PAGES = (10, 50)
NEWEST_LINKS = 20
FEWEST_PHOTOS = 3
"""What nobody deletes below, so that there is always something to look at."""


async def list_photos(person: Person, chance: random.Random, due: float) -> None:
    """A page of the newest photos."""
    limit = chance.choice(PAGES)
    call = Call("list_photos", "GET", f"/photos/?limit={limit}", fits=_is_list)
    await person.act(call, chance, due=due, once=True)


async def list_albums(person: Person, chance: random.Random, due: float) -> None:
    """All albums, or one with its photos."""
    if chance.random() < 0.5:
        call = Call("list_albums", "GET", "/albums/", fits=_is_list)
    else:
        path = f"/albums/{person.inbox}?limit=50"
        call = Call("list_albums", "GET", path, fits=_has("id", person.inbox))
    await person.act(call, chance, due=due, once=True)


async def thumbnail(person: Person, chance: random.Random, due: float) -> None:
    """A small picture, by redirect."""
    await look_at(person, chance, due, "thumbnail", "thumbnail")


async def look_at(
    person: Person,
    chance: random.Random,
    due: float | None,
    kind: str,
    size: str,
    *,
    photo: int | None = None,
    reads: float = 0.0,
) -> Answer | None:
    """Ask for an image and follow the redirect to the store; None when there is no photo or no
    redirect, as until a thumbnail is made. Which photo is up to chance unless it is given."""
    if photo is None:
        if not person.photos:
            return None
        photo = chance.choice(list(person.photos))
    asked = photo
    digest = person.photos[asked]

    def is_gone(status: int) -> bool:
        return status in (403, 404) and person.is_leaving(asked)

    def fits(_: Mapping[str, str], body: bytes) -> bool:
        if size != "original":
            return is_rendition(body)
        return hashlib.sha256(body).hexdigest() == digest

    path = f"/photos/{asked}/image?size={size}"
    call = Call(kind, "GET", path, (302,), provoked=is_gone, fits=_leads_on)
    redirect = await person.act(call, chance, due=due, once=True)
    if not redirect.ok:
        return None
    address = redirect.headers["Location"]
    call = Call(kind, "GET", address, target="store", provoked=is_gone, fits=fits, reads=reads)
    return await person.act(call, chance, once=True)


async def edit_album(person: Person, chance: random.Random, due: float) -> None:
    """New name and description, both the same, so that one without the other would show."""
    text = person.ledger.mint()
    content = {"name": text, "description": text}
    path = f"/albums/{person.arranged}"
    call = Call("edit_album", "PATCH", path, fits=_has("name", text), json=content)
    edit = person.ledger.edit(person.name, person.arranged, "name", text=text)
    answer = await person.act(call, chance, due=due)
    if answer.ok:
        person.ledger.edited(edit, answer.request)


async def arrange_album(person: Person, chance: random.Random, due: float) -> None:
    """Put some photos into an album, or take them out."""
    if not person.photos:
        return
    some = chance.sample(list(person.photos), min(3, len(person.photos)))
    method = chance.choice(("POST", "DELETE"))
    path = f"/albums/{person.arranged}/photos"
    content = {"photo_ids": some}
    call = Call("arrange_album", method, path, fits=_counts_up_to(len(some)), json=content)
    what: Change = "add" if method == "POST" else "remove"
    edit = person.ledger.edit(person.name, person.arranged, what, photos=some)
    answer = await person.act(call, chance, due=due)
    if answer.ok:
        person.ledger.edited(edit, answer.request)


async def create_album(person: Person, chance: random.Random, due: float | None) -> None:
    """An album that stays empty."""
    await new_album(person, chance, due)


async def new_album(person: Person, chance: random.Random, due: float | None) -> int | None:
    """Its id, or None."""
    made = await album_under_key(person, chance, due)
    return None if made is None else made[0]


async def album_under_key(
    person: Person, chance: random.Random, due: float | None
) -> tuple[int, Call] | None:
    """Its id, and the call that must give the very same album again; None when it was refused."""
    name = person.ledger.mint()
    call = Call(
        "create_album",
        "POST",
        "/albums/",
        (201,),
        key=name,
        fits=_has("name", name),
        json={"name": name},
    )
    person.ledger.intend(name, person.name, "album", name)
    answer = await person.act(call, chance, due=due)
    if not answer.ok:
        return None
    album: int = answer.json()["id"]
    person.ledger.created(name, "album", album)
    return album, replace(call, fits=_has("id", album))


async def create_share(person: Person, chance: random.Random, due: float | None) -> None:
    """A link to the arranged album."""
    key = person.ledger.mint()
    call = Call(
        "create_share",
        "POST",
        f"/albums/{person.arranged}/share",
        (201,),
        key=key,
        fits=_has("album_id", person.arranged),
        json={"expires_in_days": 30},
    )
    person.ledger.intend(key, person.name, "share", str(person.arranged))
    answer = await person.act(call, chance, due=due)
    if answer.ok:
        person.ledger.created(key, "share", answer.json()["id"])
        person.links[answer.json()["id"]] = answer.json()["token"]


async def view_share(person: Person, chance: random.Random, due: float) -> None:
    """A visitor with a link."""
    if person.links:
        token = chance.choice(list(person.links.values())[-NEWEST_LINKS:])
        await view_link(person, token, chance, due)


async def view_link(person: Person, token: str, chance: random.Random, due: float) -> None:
    """A visitor with this one."""
    call = Call("view_share", "GET", f"/share/{token}", fits=_has_photos)
    await person.visit(call, chance, due)


async def delete_photo(person: Person, chance: random.Random, due: float) -> None:
    """One of the photos, for good. Only a repeated deletion may find that it was carried out
    already. Where nginx repeats it, its log tells (`accounts.attributed`)."""
    if len(person.photos) <= FEWEST_PHOTOS:
        return
    photo = chance.choice(list(person.photos))
    del person.photos[photo]
    person.deleting.add(photo)
    person.ledger.delete_asked(photo)
    call = Call(DELETION, "DELETE", f"/photos/{photo}", (204,))
    again = replace(call, expected=(204, 404))
    answer = await person.act(call, chance, due=due, again=again)
    if answer.ok or answer.status == 404:
        person.ledger.deleted(photo)


async def missing(person: Person, chance: random.Random, due: float) -> None:
    """A photo that there is not: clients make mistakes."""
    path = f"/photos/{UNKNOWN_PHOTO}"
    call = Call("missing", "GET", path, provoked=lambda status: status == 404)
    await person.act(call, chance, due=due, once=True)


async def refresh(person: Person, _: random.Random, due: float) -> None:
    """Another access token."""
    await person.refresh(due)


async def login(person: Person, _: random.Random, due: float) -> None:
    """The same person at another device."""
    await person.log_in(due)


async def sign_up(person: Person, _: random.Random, due: float) -> None:
    """Somebody new."""
    async with person.newcomer() as newcomer:
        await newcomer.sign_up(due)


def _is_list(_: Mapping[str, str], body: bytes) -> bool:
    return isinstance(orjson.loads(body), list)


def _has_photos(_: Mapping[str, str], body: bytes) -> bool:
    return isinstance(orjson.loads(body)["photos"], list)


def _leads_on(headers: Mapping[str, str], _: bytes) -> bool:
    return bool(headers["Location"])


def _has(name: str, value: object) -> Callable[[Mapping[str, str], bytes], bool]:
    return lambda _, body: bool(orjson.loads(body)[name] == value)


def _counts_up_to(most: int) -> Callable[[Mapping[str, str], bytes], bool]:
    return lambda _, body: 0 <= orjson.loads(body)["count"] <= most
