"""Reads what a report needs, bounded in time, points, rows and bytes, and all of it by the times
that are asked about: `--at` a past moment gives what it would have given then."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import asyncpg

from photo_base.postgres import FAILURES, only_reading, reason
from photo_fleet.balancer.database_address import Unusable
from photo_fleet.dashboard.prometheus import Prometheus, shown_address
from photo_fleet.dashboard.readings import Answer
from photo_fleet.dashboard.units import told
from photo_fleet.dashboard.window import Window
from photo_fleet.report import metrics, queries
from photo_fleet.report.boots import steps
from photo_fleet.report.history import Count, Fails, History, Measured, Reaction, Registered, Wanted
from photo_fleet.report.line import PERIODS

DAY = 86400.0
BASELINE = 7 * DAY
"""Seconds before the time looked at that restarts are compared with."""

LONGEST_METRICS = 60.0
LONGEST_REGISTRY = 20.0
CONNECTING = 5.0
"""Seconds for each visit of a source."""

MOST_REACTIONS = 12
BEFORE_A_STEP, AFTER_A_STEP = 1200.0, 900.0
"""Seconds around the start of an instance that are looked at closely, besides its rule's own."""

DRIVER = {
    "statement_cache_size": 0,  # a pooler in front may know nothing of prepared statements
    "server_settings": {"application_name": "photo-fleet report"},
}

Say = Callable[[str], None]


async def read_history(wanted: Wanted, say: Say) -> History:
    """All that there is, and why the rest could not be had. `say` is told how far it is."""
    month = Window(wanted.end - PERIODS["monthly"], wanted.end, job=wanted.job)
    window = replace(month, start=wanted.start)
    found = await _registry(wanted)
    questions = metrics.BY_PERIOD[wanted.period]
    measured = await _measured(wanted, window, questions, say)
    budget = Measured(month, {})
    if wanted.period == "daily":
        objectives = metrics.of_objectives(wanted.spec.objectives)
        budget = await _measured(wanted, month, objectives, say)
    history = History(wanted, wanted.start - BASELINE, measured, budget)
    if isinstance(found, Registered):
        history = replace(history, registered=found)
        if wanted.period == "weekly":
            history = replace(history, reactions=await _reactions(history, say))
    else:
        history = replace(history, registry_problem=found)
    return replace(history, sources=tuple(_sources(history)))


async def _measured(
    wanted: Wanted, window: Window, questions: metrics.Questions, say: Say
) -> Measured:
    if not wanted.prometheus:
        why = Answer(problem="nobody told its address (--prometheus)")
        return Measured(window, dict.fromkeys(questions, why))
    asked = metrics.with_step(questions, window)
    server = Prometheus(wanted.prometheus, LONGEST_METRICS)
    window, answers = await server.read(window, list(dict.fromkeys(asked.values())), say)
    return Measured(window, {name: answers[one] for name, one in asked.items()})


async def _reactions(history: History, say: Say) -> list[Reaction]:
    """The minutes around the latest steps in which the group grew, as far as there is time."""
    if history.registered is None or history.registered.left_out:
        return []
    found = steps(history.registered.boots, history.start, history.end)
    grown = [one for one in found if one.change > 0][-MOST_REACTIONS:]
    rules = [rule for rule in history.spec.group.policies if rule.is_scale_out]
    before = BEFORE_A_STEP + max((rule.duration for rule in rules), default=0.0)
    around: list[Reaction] = []
    until = time.monotonic() + LONGEST_METRICS
    for step in reversed(grown):
        if time.monotonic() > until:
            break
        end = min(step.at + AFTER_A_STEP, history.end)
        window = replace(history.measured.window, start=step.at - before, end=end)
        told_of = await _measured(history.wanted, window, metrics.AROUND_A_STEP, say)
        around.append(Reaction(step, told_of))
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


def _sources(history: History) -> list[str]:
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
    told_of = [found + "".join(f"; {problem}" for problem in problems[:3])]
    if history.registered is None:
        return [*told_of, f"registry: {history.registry_problem}"]
    boots = len(history.registered.boots)
    days = BASELINE / DAY
    return [*told_of, f"registry: {boots} boots, with those of {days:g} days before"]
