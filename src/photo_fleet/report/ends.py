"""How instances left, by their receipts. Pure."""

from collections import Counter
from dataclasses import replace

from photo_fleet.report.boots import Boot
from photo_fleet.report.coverage import registry_gaps
from photo_fleet.report.history import History
from photo_fleet.report.item import Item, Judgement, table

FORCED = ("killed", "broken_off", "failed")
"""Endings of a receipt that cut what was under way, or of which nobody knows what they cut."""
SLOWER = 60.0
"""Seconds beyond the grace after which a drain that has not ended never will."""


def drains(history: History) -> Judgement:
    """Clean ones, forced ones, and instances that left without any."""
    registry, gaps = history.registry, registry_gaps(history)
    ended = [one for one in registry.boots if one.ended is not None and one.ended >= history.start]
    sorts: dict[str, list[Boot]] = {}
    for one in ended:
        sorts.setdefault(_sort(one), []).append(one)
    grace = history.spec.drain.grace + SLOWER
    endless = [
        one
        for one in registry.boots
        if one.draining is not None and one.ended is None and history.end - one.draining > grace
    ]
    cut = sum(one.requests_cut or 0 for one in ended)
    faults = [f"{cut} requests were cut"] if cut else []
    faults += [
        f"{len(sorts[sort])} {meaning} ({_names(sorts[sort])})"
        for sort, meaning in (("forced", "were forced"), ("lost", "left without a drain"))
        if sort in sorts
    ]
    faults += [f"{len(endless)} never ended ({_names(endless)})"] if endless else []
    if unknown := sorts.get("unknown"):
        gaps.append(f"of {len(unknown)} ends nobody knows how they went ({_names(unknown)})")
    count = Counter({sort: len(boots) for sort, boots in sorts.items()})
    answer = f"{count['clean']} clean, {count['forced']} forced, {count['lost']} lost, {cut} cut"
    worst_first = sorted(ended, key=lambda one: (_sort(one) == "clean", -(one.ended or 0)))
    rows = [_row(one) for one in worst_first]
    shown = table(("instance", "ending", "who wanted it", "requests cut", "seconds"), rows)
    return Judgement(answer, faults, gaps, (shown,) if rows else ())


def _row(one: Boot) -> tuple[str, ...]:
    return (
        one.instance,
        one.ending or "not known",
        one.cause or "not known",
        "not known" if one.requests_cut is None else str(one.requests_cut),
        "–" if one.ended is None or one.draining is None else f"{one.ended - one.draining:.1f}",
    )


def _sort(one: Boot) -> str:
    if one.ending == "lost":
        return "lost"
    if one.ending in FORCED or one.requests_cut:
        return "forced"
    return "clean" if one.ending == "drained" and one.requests_cut is not None else "unknown"


def _names(boots: list[Boot]) -> str:
    names = list(dict.fromkeys(one.instance for one in boots))
    return ", ".join(names[:3]) + ("…" if len(names) > 3 else "")


def drill(history: History) -> Judgement:
    """The same over a month, in which at least one has to have left: else nobody has seen it."""
    found = drains(history)
    if found.faults or found.gaps or not found.answer.startswith("0 clean"):
        return found
    return replace(found, gaps=["no instance left: end one, and look at its drain"])


DRAINS = Item(
    "drains",
    "Did any drain cut requests or not end?",
    "compare the numbers that are in force with what a drain needs",
    "photo-fleet doctor --only cuts",
    drains,
)
LEAVING = Item(
    "leaving",
    "Does an instance still leave without a trace?",
    "end one at an hour of little load, and look at its drain",
    'photo-api drain --cause "monthly drill"',
    drill,
)
