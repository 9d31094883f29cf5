"""What answers of a store prove. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from photo_api.storage.plain_requests import PlainAnswer

State = Literal["holds", "fails", "unknown"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether something holds, and by what that was seen."""

    state: State
    seen: str


SILENT = (408, 429, 498)
"""Client errors that say nothing of what was asked for."""

UPLOADERS = frozenset(
    (
        *("x-delete-at", "x-delete-after", "content-encoding", "content-language", "expires"),
        *("content-disposition", "cache-control", "access-control-allow-origin"),
        *("x-object-manifest", "x-static-large-object", "x-symlink-target", "x-amz-tagging-count"),
    )
)
"""Headers of an object that only an uploader can have put there: none is set in a copy."""
METADATA = ("x-object-meta-", "x-amz-meta-")


def refused(answer: PlainAnswer, what: str) -> Outcome:
    """By the store, to who may not."""
    status = answer.status
    if 200 <= status < 300:
        return Outcome("fails", f"{what} is answered {status}")
    if 400 <= status < 500 and status not in SILENT:
        return Outcome("holds", f"{what}: {status}")
    return Outcome("unknown", f"{what}: the store answers {status}")


def taken(answer: PlainAnswer, what: str) -> Outcome:
    """What must be possible."""
    status = answer.status
    if 200 <= status < 300:
        return Outcome("holds", f"{what}: {status}")
    if 400 <= status < 500 and status not in SILENT:
        return Outcome("fails", f"{what} is refused with {status}")
    return Outcome("unknown", f"{what}: the store answers {status}")


def served(answer: PlainAnswer, content: bytes, what: str, status: int = 200) -> Outcome:
    """These bytes."""
    outcome = taken(answer, what)
    if outcome.state != "holds":
        return outcome
    if answer.body != content:
        return Outcome("fails", f"{what}: other bytes, {len(answer.body)} of them")
    if answer.status != status:
        return Outcome("fails", f"{what} is answered {answer.status}, not {status}")
    return outcome


def header(answer: PlainAnswer, name: str, *wanted: str) -> Outcome:
    """One of the answer has all of these in it."""
    found = answer.headers.get(name.lower(), "")
    if all(part in found for part in wanted):
        return Outcome("holds", f"{name}: {found[:80]}")
    return Outcome("fails", f"{name} is {found[:80] or 'missing'}, without {' and '.join(wanted)}")


def fresh(headers: Mapping[str, str], content_type: str, sent: str) -> Outcome:
    """A copy's headers have our type and nothing of what came with the source."""
    theirs = sorted(one for one in headers if one in UPLOADERS or one.startswith(METADATA))
    if theirs:
        return Outcome("fails", f"after {sent} the copy has {', '.join(theirs)}")
    found = headers.get("content-type", "")
    if found != content_type:
        return Outcome("fails", f"after {sent} the copy's type is {found[:80] or 'missing'}")
    return Outcome("holds", f"nothing of {sent} is on the copy")


def all_of(outcomes: Sequence[Outcome]) -> Outcome:
    """What fails first, else what is unknown, else that all hold."""
    for state in ("fails", "unknown"):
        found = [one for one in outcomes if one.state == state]
        if found:
            return found[0]
    return Outcome("holds", "; ".join(dict.fromkeys(one.seen for one in outcomes)))
