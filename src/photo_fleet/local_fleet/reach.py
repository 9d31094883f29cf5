"""How the doctor reaches a fleet that `photo-fleet up` runs: all that it needs is in its folder."""

import asyncio
from urllib.parse import urlsplit

from photo_fleet.doctor.reach import Reach
from photo_fleet.local_fleet.control import NoFleet, ask
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.secrets import load_or_create
from photo_fleet.render.places import Places
from photo_fleet.spec.loading import load

LONGEST_ANSWER = 10.0


async def reach_of(layout: Layout) -> Reach:
    """Raises `NoFleet` when none runs there or it does not answer, `SpecError`, `CannotStart` when
    its secrets cannot be used, and `Unusable` when its database's address cannot."""
    try:
        async with asyncio.timeout(LONGEST_ANSWER):
            status = await ask(layout.control, {"do": "status"}, lambda _: None)
    except TimeoutError:
        where = f"the fleet in {layout.data} does not answer within {LONGEST_ANSWER:g} s"
        raise NoFleet(f"{where}; is `photo-fleet up` stopped there?") from None
    url = str(status["url"])
    return Reach(
        spec=load(layout.spec),
        spec_name=str(layout.spec),
        database=layout.database_address,
        # One that somebody has taken away is not made anew: the doctor writes nothing.
        ops_token=load_or_create(layout.secrets).ops_token if layout.secrets.exists() else "",
        edge=url,
        places=Places.below(layout.data, urlsplit(url).port or 80),
        prometheus=str(status["watchers"].get("Prometheus", "")),
    )
