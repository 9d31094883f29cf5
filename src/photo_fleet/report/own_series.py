"""Which series of a Prometheus are this fleet's, where nobody names its job: those of the boots in
the registry. Several fleets may be in one Prometheus, in jobs of their own or in one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from photo_fleet.dashboard.prometheus import Asked
from photo_fleet.dashboard.readings import Answer
from photo_fleet.dashboard.window import ALL
from photo_fleet.report.history import Registered

LAST = "last_over_time({name}{{job=~'.+'}}[$__range])"
TOLD = Asked(
    f"count by (job, instance, boot_id) ({LAST.format(name='photo_api_info')})", at_end=True
)
JOBS = Asked(f"count by (job) ({LAST.format(name='photo_api_ready')})", at_end=True)

MOST_NAMED = 5
MOST_MATCHED = 500
"""Instances that are told apart by name within a job that is not this fleet's alone."""


@dataclass(frozen=True, slots=True)
class Own:
    """Regular expressions of the labels of what is read, and what of others is not."""

    job: str = ALL
    instance: str = ALL
    left_out: str = ""


class Ambiguous(Exception):
    """Nothing tells which series are this fleet's; the text says what to do."""


def own_series(told: Answer, jobs: Answer, registered: Registered | None) -> Own:
    """By what instances told of themselves (`TOLD`), the jobs that scrape some (`JOBS`), and the
    boots that the registry knows. Raises `Ambiguous`."""
    known = {boot.boot_id for boot in registered.boots} if registered else set[str]()
    seen = [(one.labels.get("job", ""), one.labels) for one in told.series]
    every = {one.labels.get("job", "") for one in jobs.series} | {job for job, _ in seen}
    if not known or not seen:
        if len(every) > 1:
            raise Ambiguous(f"it has instances in {len(every)} jobs ({_some(every)}); {NAME}")
        return Own()
    ours = {job for job, labels in seen if labels.get("boot_id") in known}
    if not ours:
        raise Ambiguous(f"of no instance in it ({_some(every)}) the registry knows; {NAME}")
    there = {True: set[str](), False: set[str]()}
    for job, labels in seen:
        if job in ours:
            there[labels.get("boot_id") in known].add(labels.get("instance", ""))
    own, strange = there[True], there[False] - there[True]
    whole = told.whole and registered is not None and not registered.left_out
    is_told_apart = bool(strange) and whole and len(own) <= MOST_MATCHED
    left_out = [f"the jobs {_some(every - ours)}"] if every - ours else []
    left_out += [f"instances that the registry does not know ({_some(strange)})"] * is_told_apart
    return Own(_any_of(ours), _any_of(own) if is_told_apart else ALL, " and ".join(left_out))


NAME = "name this fleet's by --job"


def _any_of(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names))


def _some(names: Iterable[str]) -> str:
    found = sorted(names)
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return ", ".join(found[:MOST_NAMED]) + more
