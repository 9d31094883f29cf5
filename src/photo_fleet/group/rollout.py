"""A rolling deploy: one newcomer at a time, and back when the first one is no good."""

import asyncio
import time
from collections.abc import Callable

from photo_base.processes import CannotStart
from photo_fleet.group.instance import Instance, Release
from photo_fleet.group.local import Front, LocalGroup

LOOK = 0.2


class RolledBack(Exception):
    """The newcomer did not become ready and is gone; the old ones serve on. The text says why."""


async def roll_out(
    group: LocalGroup,
    front: Front,
    release: Release,
    start_limit: float,
    say: Callable[[str], None],
) -> int:
    """Replace every instance by one of `release`; how many were.

    A newcomer must be ready and get requests within `start_limit` seconds before an old one drains,
    so the group is one larger for a while and never smaller; where one was missing, the newcomer
    takes its place and nobody drains for it. When the first newcomer does not arrive, everything
    stays as it was; the release counts as proven as soon as it does. Raises `RolledBack`.
    """
    former, replaced = group.release, 0
    missing = max(0, group.desired - len(group.staying))
    group.deploying = True
    try:
        # Where nobody serves, one of it has to prove itself all the same.
        while _next_old(group, release) is not None or not group.staying:
            newcomer = await _arrived(group, front, release, start_limit, say)
            if newcomer is None:
                raise RolledBack(_failure(group, former, release, start_limit))
            group.adopt(newcomer)
            replaced += 1
            if missing and len(group.staying) <= group.desired:
                missing -= 1
            # Not the one from before: it may have died meanwhile.
            elif old := _next_old(group, release):
                say(f"{newcomer.name} serves {release.label}; {old.name} drains")
                group.leave(old, f"deploy of {release.label}")
                await _gone(group, old)
        if group.release.number != release.number:
            group.go_on_with(release)  # all that stay have it, and the other's newcomers are gone
    finally:
        group.deploying = False
    return replaced


def _next_old(group: LocalGroup, release: Release) -> Instance | None:
    """One of another release that stays: not ready, else the oldest boot."""
    others = [item for item in group.staying if item.release.number != release.number]
    return min(others, key=lambda item: (item.ready, item.boot), default=None)


async def _arrived(
    group: LocalGroup, front: Front, release: Release, limit: float, say: Callable[[str], None]
) -> Instance | None:
    """A new instance, once it gets requests; None when it died or took too long, and was told to
    go, or could not even be started, which is said."""
    try:
        newcomer = await group.start(release, on_trial=True)
    except CannotStart as error:
        say(str(error))
        return None
    deadline = time.monotonic() + limit
    try:
        while time.monotonic() < deadline and newcomer.process.alive:
            if newcomer.ready and front.is_member(newcomer.boot_id):
                return newcomer
            await asyncio.sleep(LOOK)
    except asyncio.CancelledError:
        group.leave(newcomer, "the deploy was given up")
        raise
    if newcomer.process.alive:
        group.leave(newcomer, f"not ready within {limit:g} s")
    return None


async def _gone(group: LocalGroup, instance: Instance) -> None:
    while instance.name in group.instances:
        await asyncio.sleep(LOOK)


def _failure(group: LocalGroup, former: Release, release: Release, limit: float) -> str:
    why = f"an instance of {release.label} did not become ready within {limit:g} s, or died"
    have_it = sum(item.release.number == release.number for item in group.staying)
    if not group.staying:
        return f"{why}; it is gone, and nobody serves"
    if not have_it:
        return f"{why}; it is gone, and {former.label} serves on unchanged"
    return (
        f"{why}; {have_it} others of it serve, the rest is of another release:"
        " `deploy --resume` tries again, `--back` returns"
    )
