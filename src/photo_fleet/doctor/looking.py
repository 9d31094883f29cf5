"""Takes all looks of a visit, and has the rules judge what was seen."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photo_fleet.doctor.finding import Finding, Unknown
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen

LONGEST_LOOK = 30.0
"""Seconds for one look, whatever it asks."""
LONGEST_VISIT = 50.0
"""Seconds for all of them."""


@dataclass(frozen=True, slots=True)
class Look:
    """One kind of thing to look at: `take` sees it, or raises `Unseen`. It is given what was seen
    before it, in the order in which looks are listed by stage."""

    kind: type[Any]
    name: str
    take: Callable[[Reach, Seen], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`judge` finds what is wrong under `code`; it raises `Unseen` when it cannot tell, also after
    it has found something. A rule that does not concern a fleet finds nothing."""

    code: str
    judge: Callable[[Seen], Iterator[Finding]]


async def look_around(
    reach: Reach, stages: Sequence[Sequence[Look]], say: Callable[[str], None]
) -> Seen:
    """Take all looks: those of a stage at once, each for `LONGEST_LOOK` at most, and none beyond
    `LONGEST_VISIT`. `say` is told what is being looked at."""
    looks: dict[type[Any], object | Unseen] = {}
    at, until = time.time(), time.monotonic() + LONGEST_VISIT
    for stage in stages:
        seen = Seen(reach.spec, at, dict(looks))
        say(", ".join(look.name for look in stage))
        found = await asyncio.gather(*(_take(look, reach, seen, until) for look in stage))
        looks |= dict(zip((look.kind for look in stage), found, strict=True))
    return Seen(reach.spec, at, looks)


async def _take(look: Look, reach: Reach, seen: Seen, until: float) -> object | Unseen:
    longest = min(LONGEST_LOOK, max(0.0, until - time.monotonic()))
    try:
        async with asyncio.timeout(longest):
            return await look.take(reach, seen)
    except Unseen as unseen:
        return unseen
    except TimeoutError:
        return Unseen(f"{look.name}: no answer within {longest:.0f} s", "photo-fleet doctor -v")
    except Exception as bug:  # of one look: what the others see is told all the same
        return _fault_of_ours(look.name, bug)


def judge(seen: Seen, rules: Sequence[Rule]) -> tuple[list[Finding], list[Unknown]]:
    """What all rules say: findings with errors first, otherwise in the order of the rules."""
    findings: list[Finding] = []
    unknown: list[Unknown] = []
    for rule in rules:
        try:
            findings += rule.judge(seen)
        except Unseen as unseen:
            unknown.append(Unknown(rule.code, str(unseen), unseen.command))
        except Exception as bug:  # of one rule
            ours = _fault_of_ours(rule.code, bug)
            unknown.append(Unknown(rule.code, str(ours), ours.command))
    return sorted(findings, key=lambda found: found.level != "error"), unknown


def _fault_of_ours(name: str, bug: Exception) -> Unseen:
    """Without its message, which may quote what was read."""
    frame = traceback.extract_tb(bug.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return Unseen(
        f"{name}: the doctor itself failed ({type(bug).__name__} at {place}); please report this",
        "photo-fleet doctor --json",
    )
