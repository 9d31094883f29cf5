"""Which moment a person means, and how moments are told, whatever the zone of the machine."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from photo_fleet.report.times import ending, moment, span

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 10, 25, 12, 0, tzinfo=BERLIN).timestamp()
"""The day on which clocks were put back there, from 03:00 to 02:00."""


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("2026-10-25T11:30:00+01:00", "2026-10-25T10:30:00Z"),
        ("2026-10-25T10:30Z", "2026-10-25T10:30:00Z"),
        ("2026-10-25 08:00", "2026-10-25T07:00:00Z"),
        ("2026-10-24T08:00", "2026-10-24T06:00:00Z"),
        ("20261024T080000", "2026-10-24T06:00:00Z"),
        ("2026-10-25T02:30+02:00", "2026-10-25T00:30:00Z"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30:00Z"),
        ("2026-10-24", "2026-10-24T22:00:00Z"),
        ("2026-03-29", "2026-03-29T22:00:00Z"),
        ("2026-03-28", "2026-03-28T23:00:00Z"),
        ("yesterday", "2026-10-24T22:00:00Z"),
        ("2026-10-25T12:00", "2026-10-25T11:00:00Z"),
    ],
)
def test_an_end_is_what_a_person_means(told: str, meant: str) -> None:
    assert ending(told, NOW) == datetime.fromisoformat(meant)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("2026-10-25T12:01", "is in the future: it is 2026-10-25 12:00 CET here"),
        ("2026-10-25T11:30Z", "is in the future"),
        ("2027-01-01", "has not ended"),
        ("2026-10-25", "has not ended: name a time of it, or a day before"),
        ("9999-12-31", "has not ended"),
        ("9999-12-31T23:59:59-23:59", "is no time"),
        ("0001-01-01", "is before 2000"),
        ("0001-01-01T00:00", "is no time"),
        ("1999-12-31T23:59Z", "is before 2000"),
        ("2026-10-25T02:30", "comes twice as clocks change on that day: write +01:00 or +02:00"),
        ("2026-03-29T02:30", "is left out as clocks change on that day: write +01:00 or +02:00"),
        ("", "is no time as 2026-11-26T08:00"),
        ("tomorrow", "is no time"),
        ("2026-02-30", "is no time"),
        ("2026-10-24T08:00+99:00", "is no time"),
        ("1792800000", "is no time"),
        ("2026-10-24T08:00" * 1000, "is no time"),
        ("\u0662026-10-24", "is no time"),
        ("\x1b[2J", "is no time"),
    ],
)
def test_what_is_no_end_is_said(told: str, reason: str) -> None:
    with pytest.raises(ValueError, match="^" + reason.replace("+", r"\+")):
        ending(told, NOW)


def test_a_day_that_begins_late_begins_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its midnight was left out."""
    monkeypatch.setenv("TZ", "America/Sao_Paulo")
    time.tzset()
    end = ending("2018-11-03", NOW)
    assert end == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert span(0, end.timestamp(), end.tzinfo or UTC).endswith(" 01:00 UTC-02:00")


def test_a_period_over_a_change_of_clocks_is_as_long_as_any() -> None:
    """A day is 24 hours back, and both of its ends are told in one zone."""
    end = ending("2026-10-25T11:00", NOW)
    start = end - timedelta(days=1)
    told = span(start.timestamp(), end.timestamp(), end.tzinfo or UTC)
    assert told == "2026-10-24 11:00 to 2026-10-25 11:00 CET (UTC+01:00)"


def test_zones_have_names_and_distances() -> None:
    for zone, name in (
        (UTC, "UTC"),
        (timezone(timedelta(hours=9)), "UTC+09:00"),
        (timezone(timedelta(hours=9), "KST"), "KST (UTC+09:00)"),
        (timezone(-timedelta(hours=3, minutes=30)), "UTC-03:30"),
        (BERLIN, "CEST (UTC+02:00)"),
    ):
        assert span(0, 1_780_000_000, zone).endswith(" " + name)
    assert moment(0, UTC) == "1970-01-01 00:00"
