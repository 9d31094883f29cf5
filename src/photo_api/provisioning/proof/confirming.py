"""What a confirmed photo has of its upload: the bytes, and nothing else."""

import asyncio

from photo_api.provisioning.proof.attack import Attack, on_swift
from photo_api.provisioning.proof.outcomes import Outcome, all_of, fresh, served, taken
from photo_api.provisioning.proof.stage import TYPE, NotTaken, Stage
from photo_api.provisioning.proof.uploads import CONTENT, OTHER
from photo_api.storage.base import ObjectChanged, ObjectMissing

SENT = (
    {"X-Delete-After": "600"},
    {"X-Delete-At": "4102444800"},
    {"Content-Encoding": "gzip"},
    {"Content-Disposition": 'attachment; filename="evil.exe"'},
    {"Cache-Control": "public, max-age=31536000"},
    {"Content-Language": "xx"},
    {"Expires": "Thu, 01 Jan 1970 00:00:00 GMT"},
    {"X-Object-Meta-Evil": "yes"},
    {"x-amz-meta-evil": "yes"},
    {"x-amz-tagging": "evil=yes"},
    {"Content-Type": "text/html"},
)
LIVES = (1, 4, 16)
"""Seconds; the longer ones for a store that is slow."""


async def nothing_else(stage: Stage) -> Outcome:
    outcomes, taken_as = [], []
    for sent in SENT:
        [name] = sent
        try:
            _, target = await stage.confirmed(CONTENT, sent)
        except NotTaken:
            continue
        taken_as.append(name)
        outcomes.append(fresh((await stage.as_owner("HEAD", target)).headers, TYPE, name))
    if not outcomes:
        return Outcome("holds", "no upload with such headers was taken")
    found = all_of(outcomes)
    if found.state != "holds":
        return found
    return Outcome("holds", f"nothing is left of {', '.join(taken_as)}")


async def lasts(stage: Stage) -> Outcome:
    for seconds in LIVES:
        try:
            _, target = await stage.confirmed(CONTENT, {"X-Delete-After": str(seconds)})
        except NotTaken as error:
            return Outcome("holds", str(error))
        except ObjectMissing:
            continue  # it was gone before it was copied
        await asyncio.sleep(seconds + 1.1)  # Swift counts whole seconds
        try:
            await stage.store.head(target)
        except ObjectMissing:
            return Outcome("fails", "the copy of an upload with X-Delete-After has deleted itself")
        return Outcome("holds", f"the copy outlives an upload with X-Delete-After: {seconds}")
    return Outcome("unknown", f"what lives for {LIVES[-1]} s is gone before it is copied")


async def same_bytes(stage: Stage) -> Outcome:
    _, target = await stage.confirmed(CONTENT)
    return served(await stage.as_owner("GET", target), CONTENT, "the copy")


async def changed_source(stage: Stage) -> Outcome:
    source, target = stage.staging(), stage.photo()
    await stage.store.put_bytes(source, CONTENT, content_type=TYPE)
    etag = (await stage.store.head(source)).etag
    await stage.store.put_bytes(source, OTHER, content_type=TYPE)
    try:
        await stage.store.copy(source, target, content_type=TYPE, etag=etag)
    except ObjectChanged:
        return Outcome("holds", "a copy with the ETag from before is refused (412)")
    return Outcome("fails", "a copy was made though the ETag was another")


async def written_over(stage: Stage) -> Outcome:
    source, target = await stage.confirmed(CONTENT)
    again = taken(await stage.upload(source, OTHER), "PUT by the same URL")
    read = await stage.ask("GET", stage.read_url(target))
    return all_of([served(read, CONTENT, f"the photo, after {again.seen}")])


ATTACKS = (
    Attack(
        "copy",
        "a copy has the bytes of its source",
        "no upload can be confirmed",
        same_bytes,
    ),
    Attack(
        "copy-headers",
        "nothing that an upload carried is on the photo",
        "photos may be shown as HTML, or delete themselves: do not use this store; on Swift COPY"
        " has to obey X-Fresh-Metadata",
        nothing_else,
    ),
    Attack(
        "copy-lasts",
        "a photo does not delete itself",
        "an uploader can have an acknowledged photo deleted: do not use this store",
        lasts,
        applies=on_swift,
    ),
    Attack(
        "copy-if-match",
        "a copy with another ETag than the source has is refused",
        "bytes that were not looked at may become a photo (they are compared afterwards)",
        changed_source,
    ),
    Attack(
        "overwrite",
        "a PUT after the confirmation changes nothing",
        "an uploader can change a photo that others have seen: do not use this store",
        written_over,
    ),
)
