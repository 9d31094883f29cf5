"""Whether one release may take over from another on a database: pure, by what both carry."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Carried:
    """What the tree of a release says of itself: `upgrades_from` are the releases that it may serve
    beside, `migrations` those that it knows, each with why it breaks the release before, which is
    empty where it does not, `settings` the names of those that it knows, without prefix."""

    release: str
    upgrades_from: tuple[str, ...] = ()
    migrations: Mapping[str, str] = field(default_factory=dict)
    settings: frozenset[str] = frozenset()


def refusals(
    wanted: Carried, serving: Collection[Carried], applied: Collection[str]
) -> Iterator[str]:
    """Why a release may not take the place of those that serve, on a database to which these
    migrations were applied; each with what to do instead."""
    for one in serving:
        if not _beside(one, wanted):
            yield _too_far(one, wanted)
    for name, why in wanted.migrations.items():
        if why and applied and name not in applied:
            yield (
                f"its migration {name} breaks the release before: {why}; end the fleet, apply it"
                " with `photo-api migrate --allow-breaking`, and start it with the new release"
            )
    if not any(_no_newer(one, wanted) for one in serving):
        yield from _beyond(wanted, serving, applied)


def _beside(one: Carried, other: Carried) -> bool:
    """Whether both may serve at the same time: either says so."""
    return (
        one.release == other.release
        or one.release in other.upgrades_from
        or other.release in one.upgrades_from
    )


def _no_newer(serving: Carried, wanted: Carried) -> bool:
    """Whether the one works on this database already, and the other is no step back from it."""
    known = serving.migrations.keys() <= wanted.migrations.keys()
    return known and _number(serving.release) <= _number(wanted.release)


def _too_far(serving: Carried, wanted: Carried) -> str:
    newer, older = wanted, serving
    if _number(wanted.release) < _number(serving.release):
        newer, older = serving, wanted
    others = ", ".join(newer.upgrades_from) or "no other"
    return (
        f"{serving.release} serves, and {newer.release} runs beside {others}, not beside"
        f" {older.release}: deploy one release after the other"
    )


def _beyond(
    wanted: Carried, serving: Collection[Carried], applied: Collection[str]
) -> Iterator[str]:
    """Of migrations that the database has and the wanted release does not know: the newer one,
    which serves, answers for its own, and nobody for others."""
    known = {
        name: why for one in serving if _beside(one, wanted) for name, why in one.migrations.items()
    }
    for name in sorted(set(applied) - wanted.migrations.keys()):
        if name not in known:
            yield (
                f"the database has the migration {name}, which neither it nor the release that"
                " serves knows, so nobody answers for it there: deploy a release that has it"
            )
        elif known[name]:
            yield (
                f"the database has the migration {name}, on which it cannot work: {known[name]};"
                " deploy a release that has it, or go back with a backup from before"
            )


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release))
