"""Runs that no engine has made, and what comes of them."""

from collections.abc import Sequence

from photo_fleet.replay.front import Front, Tried, unbeaten
from photo_fleet.replay.outcome import Outcome, Run, Worst
from photo_fleet.spec.fleet import Policy

EVERY = 60.0


def run(demand: Sequence[int | None], supply: Sequence[int], policy: str = "spec") -> Run:
    """By minutes."""
    offered = [None if one is None else 60.0 * one for one in demand]
    return Run(policy, EVERY, offered, demand, supply)


def outcome(of: Run, cost: float | None = None) -> Outcome:
    """What renderers tell of it, by its steps; the rest is made up."""
    pairs = zip(of.demand, of.supply, strict=True)
    over = sum(need is not None and ready < need for need, ready in pairs)
    changes = sum(a != b for a, b in zip(of.supply, of.supply[1:], strict=False))
    hours = sum(of.supply) * of.every / 3600
    minutes = over * of.every / 60
    return Outcome(
        of.policy, 0.15, 16.1, 0.4, 60.2, 0.02, 8.2, changes, hours, cost, minutes, Worst(3, 0.93)
    )


def tried(rule: Policy | None, of: Run) -> Tried:
    """That rule's run."""
    return Tried(rule, of, outcome(of))


def front_of(own: Run, *others: tuple[Policy, Run]) -> Front:
    """Of these."""
    first, rest = tried(None, own), [tried(*one) for one in others]
    return Front(first, tuple(rest), unbeaten([first, *rest]))


def spells_of(minutes: Sequence[int], needed: int = 4, ready: int = 3) -> Run:
    """One spell every 10 hours, in which `needed` instances are needed for as many minutes as stand
    there, while `ready` are ready; else they are enough."""
    demand, supply = list[int](), list[int]()
    for length in minutes:
        demand += [needed] * 30 + [ready] * 570
        supply += [ready] * length + [needed] * (30 - length) + [ready] * 570
    return run(demand, supply)
