"""Every acknowledged upload is fetched again, as its owner does, and its thumbnail too."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from photo_fleet.drill.clients.person import Person
from photo_fleet.drill.clients.pictures import is_rendition
from photo_fleet.drill.clients.transport import Answer, Call
from photo_fleet.drill.ledger import Ledger
from photo_fleet.drill.records import Upload

AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Download:
    """What came: the digest (hex) of the bytes, or why there are none, and whether a thumbnail was
    served in the form that thumbnails have."""

    sha256: str | None
    problem: str = ""
    is_small: bool = True


async def download_all(
    people: Iterable[Person], uploads: Iterable[Upload]
) -> Mapping[int, Download]:
    """By photo. None of these requests is in the load's ledger; deleted photos are left out."""
    by_name = {person.name: person for person in people}
    ordered = sorted(uploads, key=lambda item: item.client)
    few = asyncio.Semaphore(AT_ONCE)

    async def of_one(name: str, mine: list[Upload]) -> dict[int, Download]:
        async with few:
            return await _download(by_name[name], mine)

    parts = await asyncio.gather(
        *(
            of_one(name, [item for item in group if not item.deleted])
            for name, group in groupby(ordered, key=lambda item: item.client)
        )
    )
    return {photo: found for part in parts for photo, found in part.items()}


async def _download(owner: Person, uploads: list[Upload]) -> dict[int, Download]:
    if not uploads:
        return {}
    async with owner.newcomer(Ledger()) as again:
        again.email = owner.email
        if not await again.log_in():
            return {item.photo_id: Download(None, "its owner cannot log in") for item in uploads}
        return {item.photo_id: await _fetch(again, item.photo_id) for item in uploads}


async def _fetch(owner: Person, photo_id: int) -> Download:
    found, problem = await _image(owner, photo_id, "original")
    if problem:
        return Download(None, problem)
    thumbnail, problem = await _image(owner, photo_id, "thumbnail")
    is_small = not problem and is_rendition(thumbnail)
    return Download(hashlib.sha256(found).hexdigest(), is_small=is_small)


async def _image(owner: Person, photo_id: int, size: str) -> tuple[bytes, str]:
    """Its bytes, or why there are none."""
    redirect = await owner.fetch(
        Call("check", "GET", f"/photos/{photo_id}/image?size={size}", (302,))
    )
    if not redirect.ok:
        return b"", _problem("the API", redirect)
    found = await owner.fetch(Call("check", "GET", redirect.headers["Location"], target="store"))
    return (found.body, "") if found.ok else (b"", _problem("the store", found))


def _problem(who: str, answer: Answer) -> str:
    return f"{who} answered {answer.status}" if answer.status else f"no answer of {who}"
