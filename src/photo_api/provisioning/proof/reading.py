"""What who has a URL to a photo may do with it."""

from photo_api.delivery.opening import open_signer
from photo_api.provisioning.proof.attack import Attack, on_swift
from photo_api.provisioning.proof.outcomes import Outcome, all_of, header, refused, served
from photo_api.provisioning.proof.stage import TYPE, Stage
from photo_api.provisioning.proof.uploads import CONTENT, LONG_AGO, OTHER
from photo_api.storage.url_keys import UrlKeys, UrlKeySource

WINDOW = 60


async def _photo(stage: Stage, content: bytes = CONTENT) -> str:
    key = stage.photo()
    await stage.store.put_bytes(key, content, content_type=TYPE)
    return key


async def read(stage: Stage) -> Outcome:
    answer = await stage.ask("GET", stage.read_url(await _photo(stage)))
    got = served(answer, CONTENT, "GET")
    if got.state != "holds":
        return got
    return all_of(
        [
            header(answer, "Content-Type", TYPE),
            header(answer, "Content-Disposition", "inline", "photo.jpg"),
        ]
    )


async def ranges(stage: Stage) -> Outcome:
    url = stage.read_url(await _photo(stage))
    part = await stage.ask("GET", url, {"Range": "bytes=2-5"})
    got = served(part, CONTENT[2:6], "GET of bytes 2 to 5", 206)
    if got.state != "holds":
        return got
    return header(part, "Content-Range", f"bytes 2-5/{len(CONTENT)}")


async def head(stage: Stage) -> Outcome:
    key = await _photo(stage)
    url = stage.signer.read(key, filename="photo.jpg", method="HEAD").url
    answer = await stage.ask("HEAD", url)
    got = served(answer, b"", "HEAD")
    if got.state != "holds":
        return got
    return header(answer, "Content-Length", str(len(CONTENT)))


async def method_bound(stage: Stage) -> Outcome:
    key = await _photo(stage)
    url = stage.read_url(key)
    outcomes = [
        refused(await stage.ask("PUT", url, {"Content-Type": TYPE}, OTHER), "PUT"),
        refused(await stage.ask("POST", url, {"Content-Type": TYPE}), "POST"),
        refused(await stage.ask("DELETE", url), "DELETE"),
    ]
    return all_of([*outcomes, served(await stage.as_owner("GET", key), CONTENT, "it is there")])


async def place_bound(stage: Stage) -> Outcome:
    query = stage.read_url(await _photo(stage)).partition("?")[2]
    other = await _photo(stage, OTHER)
    answer = await stage.ask("GET", f"{stage.address(other)}?{query}")
    return refused(answer, "GET of another photo")


async def expired(stage: Stage) -> Outcome:
    key = await _photo(stage)
    url = stage.signer_at(LONG_AGO).read(key, filename="photo.jpg").url
    return refused(await stage.ask("GET", url), "GET a day late")


async def second_key(stage: Stage) -> Outcome:
    """While one key replaces the other, URLs by both must work."""
    swift = stage.settings.swift
    return await _by_keys(stage, swift.url_keys[1], "by the second key")


async def staging_key(stage: Stage) -> Outcome:
    key = await _photo(stage)
    answer = await stage.ask("GET", _url(stage, stage.settings.swift.staging_url_keys[0], key))
    return refused(answer, "GET of a photo by the key of uploads")


async def _by_keys(stage: Stage, secret: str, what: str) -> Outcome:
    key = await _photo(stage)
    return served(await stage.ask("GET", _url(stage, secret, key)), CONTENT, f"GET {what}")


def _url(stage: Stage, secret: str, key: str) -> str:
    keys = UrlKeys(secret, secret, stage.digest)
    return open_signer(stage.settings, UrlKeySource(keys), WINDOW).read(key, filename="photo").url


def _has_two(stage: Stage) -> bool:
    return stage.is_swift and len(stage.settings.swift.url_keys) > 1


ATTACKS = (
    Attack(
        "read",
        "a signed URL shows a photo, with its type and name",
        "clients see no photos; PHOTO_API_DELIVERY=stream may do without",
        read,
    ),
    Attack(
        "read-range",
        "a part of a photo can be read",
        "uploads cannot be confirmed: their first bytes tell their type",
        ranges,
    ),
    Attack(
        "read-head",
        "HEAD tells the size",
        "clients that ask for headers get errors",
        head,
    ),
    Attack(
        "read-method",
        "a URL to read changes and deletes nothing",
        "whoever sees a photo can change it: do not use this store",
        method_bound,
    ),
    Attack(
        "read-elsewhere",
        "a URL to read is for its own photo alone",
        "whoever sees one photo sees all: do not use this store",
        place_bound,
    ),
    Attack(
        "read-expired",
        "a URL to read ends",
        "links that were revoked go on to work; look at the store's clock",
        expired,
    ),
    Attack(
        "read-second-key",
        "URLs by the second key work",
        "while keys change, URLs are refused; photo-api storage init sets both",
        second_key,
        applies=_has_two,
    ),
    Attack(
        "read-staging-key",
        "the key of uploads reads no photo",
        "the account has a key of its own, or both containers have the same: take it away",
        staging_key,
        applies=on_swift,
    ),
)
