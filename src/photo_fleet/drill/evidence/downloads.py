"""Every acknowledged upload is fetched again, as its owner does, and its thumbnail too."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
    by_owner: dict[str, list[int]] = defaultdict(list)
    for item in uploads:
        if not item.deleted:
            by_owner[item.client].append(item.photo_id)
    few = asyncio.Semaphore(AT_ONCE)

    async def of_one(owner: Person) -> dict[int, Download]:
        async with few:
            return await _download(owner, by_owner[owner.name])

    owners = [person for person in people if person.name in by_owner]
    parts = await asyncio.gather(*map(of_one, owners))
    return {photo: found for part in parts for photo, found in part.items()}


async def _download(owner: Person, photos: list[int]) -> dict[int, Download]:
    async with owner.newcomer(Ledger()) as again:
        again.email = owner.email
        if not await again.log_in():
            return dict.fromkeys(photos, Download(None, "its owner cannot log in"))
        return {photo: await _fetch(again, photo) for photo in photos}


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
