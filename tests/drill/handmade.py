"""Records that are written by hand, so that a test says exactly what happened."""

from dataclasses import replace
from itertools import count
from typing import Any

from photo_fleet.drill.records import (
    Discrepancies,
    Fault,
    Outcome,
    Record,
    Request,
    Sample,
    Upload,
)

HIT, OTHER = "10.0.0.1", "10.0.0.2"
BEGAN, ENDED = 10.0, 20.0


class Requests:
    """Makes requests with ids of their own."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def make(self, sent: float, ended: float | None = None, **changed: Any) -> Request:
        """One that was served by `OTHER` within 20 ms, unless said otherwise."""
        plain = Request(
            id=f"r{next(self._numbers)}",
            client="127.2.0.1",
            kind="list",
            method="GET",
            target="api",
            due=sent,
            sent=sent,
            ended=sent + 0.02 if ended is None else ended,
            outcome=Outcome.OK,
            status=200,
            instance=OTHER,
        )
        return replace(plain, **changed)


def bad(outcome: Outcome, status: int | None = None, **more: Any) -> dict[str, Any]:
    """How a request ended otherwise than well."""
    return {"outcome": outcome, "status": status, **more}


def quiet_run(*more: Request, fault: Fault | None = None, **changed: Any) -> Record:
    """Thirty seconds in which all is served, a fault from 10 s to 20 s at `HIT`, and `more`."""
    make = Requests().make
    served = [make(second + 0.5) for second in range(30)]
    served += [make(second + 0.7, kind="thumbnail", target="store") for second in range(30)]
    record = Record(
        scenario="by-hand",
        seed=1,
        requests=(*served, *more),
        uploads=(Upload(1, "127.2.0.1", "ab" * 32, 3.0),),
        faults=(fault or Fault("scale", BEGAN, ENDED, HIT),),
        samples=tuple(Sample(float(at), {"ready": 2, "draining": at % 2}) for at in range(31)),
        discrepancies=Discrepancies(),
    )
    return replace(record, **changed)
