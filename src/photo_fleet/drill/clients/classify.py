"""How a request ended, as a pure function of what its client saw."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import orjson

from photo_fleet.drill.records import Outcome

BUSY = (429, 503)
NOT_YET = (404, 409)
"""What is being made, and a key that is still in use."""


@dataclass(slots=True)
class Seen:
    """What a client has seen of one request so far. `status` is None when no head of an answer
    came, `error` names what broke it off, `timed_out` says that it was the client's patience.
    `expected` are the statuses of success, `provoked` says that this status is the client's own
    doing, `contract` that errors must have the body that the API's contract gives them (the store's
    have another)."""

    expected: Collection[int]
    status: int | None = None
    error: str | None = None
    timed_out: bool = False
    provoked: bool = False
    retry_after: bool = False
    error_code: str | None = None
    body_fits: bool = True
    contract: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


def outcome_of(seen: Seen) -> tuple[Outcome, str]:
    """The outcome and what is to be told of it. An answer that breaks off is cut, no answer in
    time is lost. Refused are the 4xx that the client provoked, and 404, 409, 429 and 503 that say
    when to come again; all with the contract's error body. Every other 4xx and 5xx, and a success
    with a wrong body, has failed."""
    if seen.error is not None:
        if seen.status is not None:
            return Outcome.CUT, f"{seen.status}, then {seen.error}"
        return (Outcome.LOST if seen.timed_out else Outcome.FAILED), seen.error
    if seen.status in seen.expected:
        if seen.body_fits:
            return Outcome.OK, ""
        return Outcome.FAILED, f"{seen.status} with a wrong body"
    return _refusal(seen)


def _refusal(seen: Seen) -> tuple[Outcome, str]:
    told = f"{seen.status} {seen.error_code or 'without an error body'}"
    if not seen.contract:
        told = f"{seen.status} {seen.error_code or 'of the store'}"
    elif seen.error_code is None:
        return Outcome.FAILED, told
    if seen.provoked:
        return Outcome.REFUSED, told
    if seen.status in (*BUSY, *NOT_YET):
        if seen.retry_after:
            return Outcome.REFUSED, told
        if seen.status in BUSY:
            return Outcome.FAILED, f"{told} without Retry-After"
    return Outcome.FAILED, told


def error_code(body: bytes) -> str | None:
    """The `code` of the contract's error body, or None if this is not one."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(told, dict) or not {"detail", "code", "request_id"} <= told.keys():
        return None
    return str(told["code"])
