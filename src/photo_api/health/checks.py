"""The result of a check, as supervisor and workers send it to each other."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


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
