"""The result of a check, as supervisor and workers send it to each other."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

STALE = {"database": 5.0, "storage": 30.0}
"""Seconds after which a result is too old to count: the supervisor or its worker hangs."""


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency as a check found it. `at` is on the monotonic clock, which all processes of a
    machine share; `error` says why it is not `ok`."""

    ok: bool
    latency_ms: float
    at: float
    error: str | None = None

    @property
    def age(self) -> float:
        """Seconds since the check."""
        return time.monotonic() - self.at

    def body(self) -> dict[str, Any]:
        """As health answers show it."""
        body = {
            "ok": self.ok,
            "latency_ms": round(self.latency_ms, 1),
            "age_ms": round(self.age * 1000),
        }
        return body if self.error is None else {**body, "error": self.error}


def believed(name: str, check: Check | None) -> Check:
    """The last result for a dependency, or one that says why there is none to be relied on."""
    if check is None:
        return Check(False, 0, time.monotonic(), "not looked at yet")
    if check.age > STALE[name]:
        return Check(False, check.latency_ms, check.at, "not looked at any more")
    return check


def result_of(check: Check) -> str:
    """`ok`, or one of a few words for why it failed."""
    error = check.error or ""
    if check.ok:
        return "ok"
    if error.startswith("no answer"):
        return "timeout"
    if error.startswith("schema incomplete"):
        return "schema"
    if "Authorization" in error or "Password" in error or error.startswith("StoreRefused"):
        return "refused"
    return "unavailable"


def found(started: float, error: str | None) -> Check:
    """The result of a check that began at `started` (monotonic) and ends now."""
    now = time.monotonic()
    return Check(error is None, (now - started) * 1000, now, error)


def to_line(checks: Mapping[str, Check]) -> str:
    """As JSON, for the control channel."""
    return json.dumps({name: asdict(check) for name, check in checks.items()})


def from_line(line: str) -> dict[str, Check]:
    """What `to_line` wrote."""
    return {name: Check(**fields) for name, fields in json.loads(line).items()}
