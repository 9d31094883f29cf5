"""What who has an upload URL may do with it."""

import io
import tarfile
from hashlib import sha256

from photo_api.provisioning.proof.attack import Attack, never, on_s3
from photo_api.provisioning.proof.outcomes import Outcome, all_of, refused, served, taken
from photo_api.provisioning.proof.stage import EXPIRES_IN, TYPE, NotTaken, Stage
from photo_api.storage.base import ObjectMissing

CONTENT = b"\xff\xd8\xff an upload that is thrown away " * 8
OTHER = CONTENT[::-1]
LONG_AGO = -86400.0


async def honest(stage: Stage) -> Outcome:
    return taken(await stage.upload(stage.staging(), CONTENT), "PUT of what was announced")


async def _larger(stage: Stage) -> tuple[str, Outcome]:
    key = stage.staging()
    signed = stage.sign(key, len(CONTENT))
    answer = await stage.ask("PUT", signed.url, signed.headers, CONTENT + b"!")
    return key, refused(answer, "PUT of one byte more")


async def size_bound(stage: Stage) -> Outcome:
    return (await _larger(stage))[1]


async def size_seen(stage: Stage) -> Outcome:
    key, answered = await _larger(stage)
    if answered.state != "fails":
        return answered
    size = (await stage.store.head(key)).size
    told = f"{len(CONTENT) + 1} bytes came, HEAD tells {size}"
    return Outcome("holds" if size == len(CONTENT) + 1 else "fails", told)


async def type_bound(stage: Stage) -> Outcome:
    answer = await stage.upload(stage.staging(), CONTENT, {"Content-Type": "text/html"})
    return refused(answer, "PUT as text/html")


async def digest_bound(stage: Stage) -> Outcome:
    signed = stage.signer.upload(
        stage.staging(),
        content_type=TYPE,
        size=len(CONTENT),
        sha256=sha256(CONTENT).digest(),
        expires_in=EXPIRES_IN,
    )
    return refused(await stage.ask("PUT", signed.url, signed.headers, OTHER), "PUT of other bytes")


async def method_bound(stage: Stage) -> Outcome:
    key = stage.staging()
    signed = stage.sign(key, len(CONTENT))
    put = taken(await stage.ask("PUT", signed.url, signed.headers, CONTENT), "PUT")
    if put.state != "holds":
        raise NotTaken(put.seen)
    target = stage.photo()
    outcomes = []
    for method, headers in (
        ("GET", {}),
        ("POST", {"Content-Type": TYPE}),
        ("COPY", {"Destination": stage.place(target)}),
        ("DELETE", {}),
    ):
        outcomes.append(refused(await stage.ask(method, signed.url, headers), method))
    return all_of(outcomes)


async def place_bound(stage: Stage) -> Outcome:
    key, other, photo = stage.staging(), stage.staging(), stage.photo()
    signed = stage.sign(key, len(CONTENT))
    query = signed.url.partition("?")[2]
    return all_of(
        [
            refused(
                await stage.ask("PUT", f"{stage.address(to)}?{query}", signed.headers, CONTENT),
                f"PUT to {what}",
            )
            for to, what in ((other, "another upload"), (photo, "a photo"))
        ]
    )


async def expired(stage: Stage) -> Outcome:
    signed = stage.signer_at(LONG_AGO).upload(
        stage.staging(), content_type=TYPE, size=len(CONTENT), sha256=None, expires_in=EXPIRES_IN
    )
    return refused(await stage.ask("PUT", signed.url, signed.headers, CONTENT), "PUT a day late")


async def no_pointers(stage: Stage) -> Outcome:
    """What points to a photo is refused, or it is bytes as others are."""
    photo = stage.photo()
    await stage.store.put_bytes(photo, OTHER, content_type=TYPE)
    place = stage.place(photo)
    outcomes = []
    for sent, query in (
        ({"X-Copy-From": place}, ""),
        ({"X-Object-Manifest": place}, ""),
        ({"X-Symlink-Target": place}, ""),
        ({"x-amz-copy-source": f"/{place}"}, ""),
        ({"x-amz-website-redirect-location": "https://evil.example"}, ""),
        ({}, "&multipart-manifest=put"),
    ):
        what = next(iter(sent), query.lstrip("&"))
        outcomes.append(await _pointed(stage, sent, query, what))
    return all_of(outcomes)


async def _pointed(stage: Stage, sent: dict[str, str], query: str, what: str) -> Outcome:
    key = stage.staging()
    signed = stage.sign(key, len(CONTENT))
    url = signed.url + query
    put = refused(await stage.ask("PUT", url, {**signed.headers, **sent}, CONTENT), what)
    if put.state != "fails":
        return put
    return served(await stage.as_owner("GET", key), CONTENT, f"{what}, its bytes")


async def not_unpacked(stage: Stage) -> Outcome:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            member = tarfile.TarInfo("evil.jpg")
            member.size = len(CONTENT)
            archive.addfile(member, io.BytesIO(CONTENT))
        content = file.getvalue()
    key = stage.staging()
    inside = f"{key}/evil.jpg"
    stage.kept.append(inside)
    signed = stage.sign(key, len(content))
    answer = await stage.ask("PUT", f"{signed.url}&extract-archive=tar", signed.headers, content)
    try:
        await stage.store.head(inside)
    except ObjectMissing:
        return Outcome("holds", f"PUT with extract-archive: {answer.status}, nothing was unpacked")
    return Outcome("fails", "an archive was unpacked into objects")


ATTACKS = (
    Attack(
        "upload",
        "a signed URL takes what was announced",
        "clients cannot upload to the store; photo-api storage check may say why",
        honest,
    ),
    Attack(
        "upload-size-seen",
        "the store tells the size that came",
        "a photo could be larger than was declared: do not use this store",
        size_seen,
    ),
    Attack(
        "upload-size",
        "a body of another size than was declared is refused",
        "who has an upload URL may store up to 5 GB by it, until the sweep: confirming refuses it",
        size_bound,
        needed=never,
    ),
    Attack(
        "upload-type",
        "another type than was declared is refused",
        "what is staged may claim any type; a photo has the type of its bytes all the same",
        type_bound,
        needed=never,
    ),
    Attack(
        "upload-digest",
        "other bytes than those of the declared SHA-256 are refused",
        "they are noticed when confirming, and not before",
        digest_bound,
        needed=never,
        applies=on_s3,
    ),
    Attack(
        "upload-method",
        "an upload URL reads, changes and deletes nothing",
        "who has an upload URL can do more than upload: do not use this store",
        method_bound,
    ),
    Attack(
        "upload-elsewhere",
        "an upload URL is for its own object alone",
        "who has one upload URL can write over photos: do not use this store",
        place_bound,
    ),
    Attack(
        "upload-expired",
        "an upload URL ends",
        "old URLs can be used for ever; look at the store's clock",
        expired,
    ),
    Attack(
        "upload-pointer",
        "an upload cannot point to another object",
        "an upload may show another's photo, or change after it was confirmed: take slo, dlo,"
        " symlink and copy out of what TempURL lets through, or do not use this store",
        no_pointers,
    ),
    Attack(
        "upload-archive",
        "an upload is not unpacked",
        "an upload URL makes many objects: put bulk behind tempurl in the proxy's pipeline",
        not_unpacked,
    ),
)
