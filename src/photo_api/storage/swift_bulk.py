"""What Swift says of several deletions in one request, whose own status is always 200."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from photo_api.storage.base import StoreRefused, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Bulk:
    """Its whole status, that of each object that was not deleted, and whether some were missing."""

    status: str
    failed: Sequence[str]
    missing: bool

    @classmethod
    def of(cls, body: bytes) -> Self:
        """Raises `StoreUnavailable` for what tells nothing."""
        try:
            told = json.loads(body)
            errors = [str(status) for _, status in told["Errors"]]
            status, not_found = str(told["Response Status"]), int(told.get("Number Not Found", 0))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise StoreUnavailable("the answer to a bulk deletion is not one to go by") from None
        failed = [error for error in errors if not error.startswith("404")]
        if not errors and not status.startswith(("200", "404")):
            failed = [status]
        return cls(status, failed, bool(not_found) or len(errors) > len(failed))

    @property
    def refused(self) -> bool:
        """Whether the token was, which the request itself does not show."""
        return any(error.startswith("401") for error in self.failed)

    def check(self) -> None:
        """Raises `StoreRefused`, or `StoreUnavailable`, where not all are gone."""
        if self.failed:
            refused = any(error.startswith(("401", "403")) for error in self.failed)
            kind = StoreRefused if refused else StoreUnavailable
            raise kind(f"bulk deletion: {len(self.failed)} left ({self.failed[0][:40]})")
