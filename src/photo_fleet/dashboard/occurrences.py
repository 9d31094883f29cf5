"""From the answers of events to what happened when. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from photo_fleet.dashboard.panel import Event
from photo_fleet.dashboard.prometheus import Asked
from photo_fleet.dashboard.readings import Answer, Series, named
from photo_fleet.dashboard.window import Window

MOST = 200


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event. Times are in epoch seconds; `until` is when it was last seen."""

    event: Event
    text: str
    at: float
    until: float


def occurrences(
    events: Sequence[Event], answers: Mapping[Asked, Answer], window: Window
) -> list[Occurrence]:
    """The last `MOST` of them, in order of time."""
    found = [
        one
        for event in events
        for series in answers.get(Asked(event.expr), Answer()).series
        for one in (_moments if event.at_value else _times)(event, series, window)
    ]
    return sorted(set(found), key=lambda one: (one.at, one.event.title, one.text))[-MOST:]


def _moments(event: Event, series: Series, window: Window) -> list[Occurrence]:
    text = named(event.text, series.labels)
    moments = {value / 1000 for _, value in series.values}
    inside = (at for at in moments if window.start <= at <= window.end)
    return [Occurrence(event, text, at, at) for at in inside]


def _times(event: Event, series: Series, window: Window) -> list[Occurrence]:
    text, found = named(event.text, series.labels), list[Occurrence]()
    for at, _ in series.values:
        if found and at - found[-1].until <= 1.5 * window.step:
            found[-1] = Occurrence(event, text, found[-1].at, at)
        else:
            found.append(Occurrence(event, text, at, at))
    return found
