"""Every acknowledged link is opened again, as a visitor does, and shows the album as it is."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from photo_fleet.drill.clients.person import Person
from photo_fleet.drill.clients.transport import Call
from photo_fleet.drill.evidence.tables import Tables
from photo_fleet.drill.ledger import Creation, Ledger

AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class View:
    """What a link showed: an album's name and the photos in it, in order; or why it did not."""

    name: str = ""
    photos: tuple[int, ...] = ()
    problem: str = ""


async def open_all(people: Iterable[Person]) -> Mapping[int, View]:
    """By share. None of these requests is in the load's ledger."""
    few = asyncio.Semaphore(AT_ONCE)

    async def of_one(owner: Person) -> dict[int, View]:
        async with few, owner.newcomer(Ledger()) as visitor:
            return {share: await _open(visitor, token) for share, token in owner.links.items()}

    parts = await asyncio.gather(*map(of_one, people))
    return {share: view for part in parts for share, view in part.items()}


async def _open(visitor: Person, token: str) -> View:
    answer = await visitor.fetch(Call("check", "GET", f"/share/{token}"))
    if not answer.ok:
        return View(problem=f"the API answered {answer.status}" if answer.status else "no answer")
    told = answer.json()
    return View(told["album_name"], tuple(item["id"] for item in told["photos"]))


def links_lost(creations: Iterable[Creation], views: Mapping[int, View]) -> Iterator[str]:
    """What opening alone can tell: acknowledged links, which nobody revokes, that lead nowhere."""
    for item in creations:
        if item.what == "share" and item.id is not None:
            view = views.get(item.id, View(problem="nobody opened it"))
            if view.problem:
                yield f"share {item.id} of {item.client} was acknowledged: {view.problem}"


def views_differ(tables: Tables, views: Mapping[int, View]) -> Iterator[str]:
    """Links that show another album than there is."""
    names = {row["id"]: row["name"] for row in tables.albums}
    photos = {row["album_id"]: tuple(row["photos"]) for row in tables.members}
    for row in tables.shares:
        view, album = views.get(row["id"]), row["album_id"]
        if view is not None and not view.problem:
            if view.name != names.get(album):
                yield f"share {row['id']} shows another name than album {album} has"
            if view.photos != photos.get(album, ()):
                yield f"share {row['id']} shows other photos than album {album} has, or in disorder"
