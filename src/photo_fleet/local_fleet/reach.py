"""How the doctor reaches a fleet that `photo-fleet up` runs: all that it needs is in its folder."""

import asyncio
from urllib.parse import urlsplit

from photo_fleet.doctor.reach import Reach
from photo_fleet.local_fleet.control import ask
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.secrets import load_or_create
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import Problem, SpecError, load

LONGEST_ANSWER = 5.0


async def reach_of(layout: Layout) -> Reach:
    """Raises `NoFleet` when none runs there, `SpecError`, `CannotStart` when its secrets cannot be
    used, and `Unusable` when its database's address cannot. Of one that stands still its folder
    tells where all but Prometheus is."""
    try:
        async with asyncio.timeout(LONGEST_ANSWER):
            status = await ask(layout.control, {"do": "status"}, lambda _: None)
    except TimeoutError:
        status = {}
    watchers = status.get("watchers")
    spec = _spec(layout)
    url = spec.service.public_url
    return Reach(
        spec=spec,
        spec_name=str(layout.spec),
        database=layout.database_address,
        # One that somebody has taken away is not made anew: the doctor writes nothing.
        ops_token=load_or_create(layout.secrets).ops_token if layout.secrets.exists() else "",
        edge=url,
        places=Places.below(layout.data, urlsplit(url).port or 80),
        prometheus=str(watchers.get("Prometheus", "")) if isinstance(watchers, dict) else "",
    )


def _spec(layout: Layout) -> Fleet:
    """What the fleet carries out. Raises `SpecError`, which also tells what to do where another
    release keeps it in its own way, or did not yet keep it."""
    again = "end that fleet, and start it again with `photo-fleet up` of this release"
    name = str(layout.spec)
    if not layout.spec.exists():
        missing = f"is not there: the release that started this fleet kept no spec; {again}"
        raise SpecError([Problem(name, 0, "", missing)])
    try:
        return load(layout.spec)
    except SpecError as error:
        other = f"if another release wrote it, {again}"
        raise SpecError([*error.problems, Problem(name, 0, "", other)]) from error
