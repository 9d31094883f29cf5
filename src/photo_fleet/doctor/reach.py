"""How the doctor reaches a fleet: as a stranger would, with what an operator gives it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Fleet

USUAL_WINDOW = 3600.0


@dataclass(frozen=True, slots=True)
class Reach:
    """Where things are. None, or "", is what nobody has told; what a look needs of it and has not,
    it says by `Unseen`.

    `database` gives the address for a new connection, with the registry's role
    (`photo-fleet role`). `ops_token` opens what `/health/...` tells to operators. `edge` is nginx's
    address as this host reaches it, `places` where its files are here, `units` the root folder
    below which systemd's folders lie ("/" on a machine). `prometheus` is an address. `since` is how
    many seconds of events, receipts and log are looked at."""

    spec: Fleet
    spec_name: str
    database: Callable[[], str] | None = None
    ops_token: str = ""
    edge: str = ""
    places: Places | None = None
    units: Path | None = None
    prometheus: str = ""
    since: float = USUAL_WINDOW
