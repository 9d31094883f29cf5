"""Reads what a report needs, bounded in time, points, rows and bytes, and all of it by the times
that are asked about: `--at` a past moment gives what it would have given then."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import asyncpg

from photo_base.postgres import FAILURES, only_reading, reason
from photo_fleet.balancer.database_address import Unusable
from photo_fleet.dashboard.prometheus import Asked, Prometheus, shown_address
from photo_fleet.dashboard.readings import Answer, Unread
from photo_fleet.dashboard.units import told
from photo_fleet.dashboard.window import Window
from photo_fleet.replay.measured import read_traffic
from photo_fleet.replay.traffic import BadTraffic, Traffic
from photo_fleet.report import metrics, queries
from photo_fleet.report.boots import steps
from photo_fleet.report.history import Count, Fails, History, Measured, Reaction, Registered, Wanted
from photo_fleet.report.line import PERIODS
from photo_fleet.report.own_series import JOBS, TOLD, Ambiguous, Own, own_series

DAY = 86400.0
BASELINE = 7 * DAY
"""Seconds before the time looked at that restarts are compared with."""

LONGEST_METRICS = 60.0
LONGEST_REGISTRY = 20.0
CONNECTING = 5.0
"""Seconds for each visit of a source."""
LONGEST_REPORT = 150.0
"""Seconds for all of them, however many there are: what has not come by then is unknown."""
LONGEST_REPLAY = 15.0
"""Seconds of these that are left for replaying the month's traffic when it has come."""
STEP, SCRAPES = 60.0, 4
"""Of that traffic: seconds of a step, which is longer where fewer scrapes than these are in it."""

MOST_REACTIONS = 12
BEFORE_A_STEP, AFTER_A_STEP = 1200.0, 900.0
"""Seconds around the start of an instance that are looked at closely, besides its rule's own."""

DRIVER = {
    "statement_cache_size": 0,  # a pooler in front may know nothing of prepared statements
    "server_settings": {"application_name": "photo-fleet report"},
}

Say = Callable[[str], None]


async def read_history(wanted: Wanted, say: Say) -> History:
    """All that there is, and why the rest could not be had, within `LONGEST_REPORT`. `say` is told
    how far it is."""
    until = time.monotonic() + LONGEST_REPORT
    found = await _registry(wanted)
    registered = found if isinstance(found, Registered) else None
    month = Window(wanted.end - PERIODS["monthly"], wanted.end)
    server, window = _Server(wanted, until, say), replace(month, start=wanted.start)
    await server.look_for_own(window, registered)
    measured = await server.measured(window, metrics.BY_PERIOD[wanted.period])
    budget = Measured(month, {})
    if wanted.period == "daily":
        budget = await server.measured(month, metrics.of_objectives(wanted.spec.objectives))
    history = History(wanted, wanted.start - BASELINE, measured, budget, registered)
    if registered is None:
        history = replace(history, registry_problem=str(found))
    elif wanted.period == "weekly":
        history = replace(history, reactions=await _reactions(history, server))
    if wanted.period == "monthly":
        lived = replace(measured.window, start=max(wanted.start, history.born))
        counted = await server.traffic(lived)
        told_of = {"counted_problem": counted} if isinstance(counted, str) else {"counted": counted}
        history = replace(history, **told_of)
    return replace(history, sources=tuple(_sources(history, server.own.left_out)))


class _Server:
    """The Prometheus that was named, which is asked until `until` of the monotonic clock."""

    def __init__(self, wanted: Wanted, until: float, say: Say) -> None:
        self._wanted = wanted
        self._until = until
        self._say = say
        self._problem = "" if wanted.prometheus else "nobody told its address (--prometheus)"
        self.own = Own() if wanted.job is None else Own(wanted.job)

    async def look_for_own(self, window: Window, registered: Registered | None) -> None:
        """From then on ask for this fleet's series alone."""
        if self._problem or self._wanted.job is not None:
            return
        _, answers = await self._read(window, [TOLD, JOBS])
        if all(answer.problem for answer in answers.values()):
            self._problem = answers[TOLD].problem  # to ask for the rest would only take its time
            return
        try:
            self.own = own_series(answers[TOLD], answers[JOBS], registered)
        except Ambiguous as error:
            self._problem = str(error)

    async def measured(self, window: Window, questions: metrics.Questions) -> Measured:
        """The answers to these; one that was not had is an answer with its problem."""
        window = replace(window, job=self.own.job, instance=self.own.instance)
        if self._problem:
            why = Answer(problem=self._problem)
            return Measured(window, dict.fromkeys(questions, why))
        asked = metrics.with_step(questions, window)
        window, answers = await self._read(window, list(dict.fromkeys(asked.values())))
        return Measured(window, {name: answers[one] for name, one in asked.items()})

    async def traffic(self, window: Window) -> Traffic | str:
        """The requests of each step, or why they could not be had."""
        if self._problem:
            return self._problem
        every = int(STEP * math.ceil(SCRAPES * window.interval / STEP))
        if window.seconds < every:
            return f"the fleet is younger than {told(every, 's')}"
        left = min(LONGEST_METRICS, self._until - LONGEST_REPLAY - time.monotonic())
        try:
            return await read_traffic(self._wanted.prometheus, window, every, self._say, left)
        except (BadTraffic, Unread) as error:
            return str(error)

    async def _read(
        self, window: Window, asked: list[Asked]
    ) -> tuple[Window, Mapping[Asked, Answer]]:
        left = min(LONGEST_METRICS, self._until - time.monotonic())
        return await Prometheus(self._wanted.prometheus, left).read(window, asked, self._say)


async def _reactions(history: History, server: _Server) -> list[Reaction]:
    """The minutes around the latest steps in which the group grew."""
    if history.registered is None or history.registered.left_out:
        return []
    found = steps(history.registered.boots, history.start, history.end)
    grown = [one for one in found if one.change > 0][-MOST_REACTIONS:]
    rules = [rule for rule in history.spec.group.policies if rule.is_scale_out]
    before = BEFORE_A_STEP + max((rule.duration for rule in rules), default=0.0)
    around: list[Reaction] = []
    for step in reversed(grown):
        end = min(step.at + AFTER_A_STEP, history.end)
        window = replace(history.measured.window, start=step.at - before, end=end)
        around.append(Reaction(step, await server.measured(window, metrics.AROUND_A_STEP)))
    return around


async def _registry(wanted: Wanted) -> Registered | str:
    """What it tells, or why it tells nothing."""
    if wanted.database is None:
        return "nobody told its address (--database-url)"
    try:
        async with only_reading(
            wanted.database(),
            DRIVER,
            connecting=CONNECTING,
            reading=LONGEST_REGISTRY,
            statement=LONGEST_REGISTRY,
        ) as db:
            return await _told(db, wanted)
    except TimeoutError:
        return f"no answer within {LONGEST_REGISTRY:g} s"
    except asyncpg.UndefinedTableError:
        return "it is not migrated yet, or by an older release"
    except asyncpg.InsufficientPrivilegeError:
        return "the role may not read it (photo-fleet role)"
    except (*FAILURES, Unusable) as error:
        return str(error) if isinstance(error, Unusable) else reason(error)


async def _told(db: Any, wanted: Wanted) -> Registered:
    since, start, end = map(queries.moment, (wanted.start - BASELINE, wanted.start, wanted.end))
    first = await db.fetchrow(queries.FIRST)
    boots = await db.fetch(queries.BOOTS, since, end)
    events = await db.fetch(queries.EVENTS, since, start, end)
    fails = await db.fetch(queries.FAILS, start, end)
    left_out = ""
    if len(boots) > queries.MOST_BOOTS:
        left_out = f"more than {queries.MOST_BOOTS} boots, which are too many to look at"
    return Registered(
        tuple(queries.boot_of(row, wanted.end) for row in boots),
        {row["event"]: Count(row["before"], row["during"]) for row in events},
        tuple(Fails(row["hour"].timestamp(), *list(row)[1:]) for row in fails),
        None if first["first"] is None else first["first"].timestamp(),
        first["now"].timestamp() - queries.KEPT_DAYS * DAY,
        left_out,
        len(fails) > queries.MOST_FAILS,
    )


def _sources(history: History, left_out: str) -> list[str]:
    wanted, window = history.wanted, history.measured.window
    where = f"Prometheus {shown_address(wanted.prometheus)}" if wanted.prometheus else "Prometheus"
    answered = [name for name, answer in history.measured.answers.items() if answer.whole]
    problems = list(
        dict.fromkeys(
            answer.problem or answer.warning
            for answer in history.measured.answers.values()
            if not answer.whole
        )
    )
    found = f"{where}: {len(answered)} of {len(history.measured.answers)} questions answered"
    found += f", scraped every {told(window.interval, 's')}" if answered else ""
    found += f", without {left_out}" if left_out else ""
    told_of = [found + "".join(f"; {problem}" for problem in problems[:3])]
    if history.registered is None:
        return [*told_of, f"registry: {history.registry_problem}"]
    boots = len(history.registered.boots)
    days = BASELINE / DAY
    return [*told_of, f"registry: {boots} boots, with those of {days:g} days before"]
