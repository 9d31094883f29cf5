"""What who has no key may do, and pages of which origins may use URLs."""

from photo_api.provisioning.proof.attack import Attack, never
from photo_api.provisioning.proof.outcomes import Outcome, all_of, refused, served, taken
from photo_api.provisioning.proof.stage import TYPE, Stage
from photo_api.provisioning.proof.uploads import CONTENT, OTHER
from photo_base.origins import ANY, as_stores_know
from photo_base.preflight import STRANGER, leave, preflight, sent_for


async def closed_to_lists(stage: Stage) -> Outcome:
    await stage.store.put_bytes(stage.photo(), CONTENT, content_type=TYPE)
    container = f"{stage.base}/{stage.place('').partition('/')[0]}"
    query = "limit=1" if stage.is_swift else "list-type=2&max-keys=1"
    return refused(await stage.ask("GET", f"{container}?{query}"), "a list without a key")


async def closed_to_readers(stage: Stage) -> Outcome:
    key = stage.photo()
    await stage.store.put_bytes(key, CONTENT, content_type=TYPE)
    outcomes = [
        refused(await stage.ask(method, stage.address(key)), f"{method} without a key")
        for method in ("GET", "HEAD")
    ]
    return all_of(outcomes)


async def closed_to_writers(stage: Stage) -> Outcome:
    staged, photo = stage.staging(), stage.photo()
    await stage.store.put_bytes(photo, CONTENT, content_type=TYPE)
    sent = {"Content-Type": TYPE}
    return all_of(
        [
            refused(await stage.ask("PUT", stage.address(staged), sent, OTHER), "PUT"),
            refused(await stage.ask("PUT", stage.address(photo), sent, OTHER), "PUT to a photo"),
            refused(await stage.ask("DELETE", stage.address(photo)), "DELETE"),
            served(await stage.as_owner("GET", photo), CONTENT, "it is there"),
        ]
    )


async def pages_read(stage: Stage) -> Outcome:
    """Also a page that the service has sent on to the store, whose origin browsers call null."""
    key = stage.photo()
    await stage.store.put_bytes(key, CONTENT, content_type=TYPE)
    url = stage.read_url(key)
    outcomes = []
    for origin in (*_pages(stage), "null"):
        answer = await stage.ask("GET", url, {"Origin": origin})
        got = taken(answer, f"GET by a page of {origin}")
        allowed = answer.headers.get("access-control-allow-origin", "")
        if got.state == "holds" and allowed not in (origin, ANY):
            got = Outcome("fails", f"a page of {origin} may not read what it GETs")
        outcomes += [got, await _asked(stage, url, origin, "GET")]
    return all_of(outcomes)


async def pages_upload(stage: Stage) -> Outcome:
    outcomes = []
    for origin in _pages(stage):
        outcomes.append(await _asked(stage, _upload_url(stage), origin, "PUT"))
        answer = await stage.upload(stage.staging(), CONTENT, {"Origin": origin})
        outcomes.append(taken(answer, f"PUT by a page of {origin}"))
    return all_of(outcomes)


async def strange_pages(stage: Stage) -> Outcome:
    answered = await _asked(stage, _upload_url(stage), STRANGER, "PUT")
    if answered.state == "unknown":
        return answered
    may = answered.state == "holds"
    return Outcome("fails" if may else "holds", answered.seen)


async def _asked(stage: Stage, url: str, origin: str, method: str) -> Outcome:
    answer = await stage.ask("OPTIONS", url, preflight(origin, method))
    if answer.status >= 500 or answer.status == 429:
        return Outcome("unknown", f"the store answers a preflight with {answer.status}")
    may = 200 <= answer.status < 300 and leave(answer.headers, origin, method)
    told = f"a page of {origin} is {'' if may else 'not '}given leave to {method}"
    return Outcome("holds" if may else "fails", told)


def _upload_url(stage: Stage) -> str:
    return stage.sign(stage.staging(), len(CONTENT)).url


def _pages(stage: Stage) -> list[str]:
    return list(dict.fromkeys(map(sent_for, stage.settings.pages)))


def _has_pages(stage: Stage) -> bool:
    return bool(stage.settings.pages)


def _not_for_all(stage: Stage) -> bool:
    return ANY not in as_stores_know(stage.settings.pages)


ATTACKS = (
    Attack(
        "closed-lists",
        "nothing is listed without a key",
        "everybody learns which objects there are: take public access away",
        closed_to_lists,
    ),
    Attack(
        "closed-reads",
        "nothing is read without a key",
        "everybody who guesses a key sees photos: take public access away",
        closed_to_readers,
    ),
    Attack(
        "closed-writes",
        "nothing is written or deleted without a key",
        "everybody can write into the store: take public access away",
        closed_to_writers,
    ),
    Attack(
        "pages-read",
        "pages of configured origins read photos",
        "front ends cannot read photos by script; photo-api storage init",
        pages_read,
        applies=_has_pages,
    ),
    Attack(
        "pages-upload",
        "pages of configured origins upload",
        "browsers cannot upload to the store; photo-api storage init",
        pages_upload,
        applies=_has_pages,
    ),
    Attack(
        "pages-strangers",
        "pages of other origins do not upload",
        "a page that has got hold of an upload URL can use it; photo-api storage init --exact",
        strange_pages,
        needed=never,
        applies=_not_for_all,
    ),
)
