"""What others made may be of a kind that nobody thought of."""

import time
from uuid import uuid4

import asyncpg

from photo_fleet.report.history import History, Wanted
from photo_fleet.report.item import Item, Judgement, line_of
from photo_fleet.report.reading import read_history
from photo_fleet.spec.fleet import Fleet

EVENT = """
    INSERT INTO instance_events (at, boot_id, instance, event)
    VALUES ('4000-01-01 BC', $1, 'far', 'started')
"""


def test_what_is_not_understood_is_unknown() -> None:
    def judge(history: History) -> Judgement:
        raise OverflowError("too far")

    line = line_of(Item("code", "Well?", "", "", judge), None)  # type: ignore[arg-type]
    assert line.verdict == "unknown"
    assert "OverflowError: too far" in line.why_unknown


async def test_a_registry_of_a_year_that_no_calendar_has_is_unknown(
    registry: str, reader: str
) -> None:
    db = await asyncpg.connect(registry)
    try:
        await db.execute(EVENT, uuid4())
        wanted = Wanted("daily", Fleet(), time.time(), database=lambda: reader)
        history = await read_history(wanted, lambda _: None)
        assert "not understood" in history.registry_problem
    finally:
        await db.execute("DELETE FROM instance_events WHERE instance = 'far'")
        await db.close()
