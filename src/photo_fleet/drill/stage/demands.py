"""What a stage is to be like: a fleet of the drill's own, or that of somebody's spec."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from photo_base.capacity import DEPLOYED
from photo_fleet.local_fleet.embedded import StoreOptions
from photo_fleet.rules.sizing import connections_of
from photo_fleet.spec.fleet import Database, Drain, Fleet, Group, HealthCheck, Service

SMALLEST, LARGEST = 2, 12
CONNECTIONS_EACH = 12

SETTINGS = {"SWEEP_INTERVAL": "1", "DATABASE_POOL_WAIT": "3"}
"""What differs from a production's settings, besides what the spec says."""


@dataclass(frozen=True, slots=True)
class Demands:
    """What a scenario wants of its stage besides its size: how the balancer learns that an instance
    leaves, seconds between its probes and for which one waits, seconds for which an instance serves
    on while it is asked, seconds for which an access token is valid, how many balancers there are,
    whether the only one is a process of its own, whether the database can be replaced by a
    standby, once, whether log lines and metrics go anywhere, which store there is, the folder of
    the release that the fleet begins with, if that is not this one, and seconds between
    two looks at the CDN, if others than usual. With `spec`, that says what
    it says, and the first four count for nothing."""

    removal: Literal["deregister-first", "health-only"] = "deregister-first"
    probe_interval: float = 5.0
    probe_timeout: float = 3.0
    lame_duck: float = 3.0
    access_ttl: int = 1800
    balancers: int = 1
    balancer_process: bool = False
    standby: bool = False
    sinks: bool = False
    store: StoreOptions = StoreOptions()
    spec: Fleet | None = None
    release: Path | None = None
    probe_cdn: float | None = None

    def of(self, spec: Fleet | None) -> "Demands":
        """The same of a stage that is as this spec says, if there is one."""
        if spec is None:
            return self
        own = Demands()
        return replace(
            self,
            removal=own.removal,
            probe_interval=own.probe_interval,
            probe_timeout=own.probe_timeout,
            lame_duck=own.lame_duck,
            spec=spec,
        )


def stage_spec(demands: Demands, size: int) -> Fleet:
    """A fleet whose size changes only when told to: that of the spec that is demanded, or one whose
    instances leave as soon as every balancer has let go of them, with a production's limits by
    client address."""
    if demands.spec is not None:
        return _of_size(demands.spec, size)
    return Fleet(
        name="drill",
        service=Service(pool=4),
        health_check=HealthCheck(interval=demands.probe_interval, timeout=demands.probe_timeout),
        drain=Drain(removal=demands.removal, lame_duck=demands.lame_duck, log_flush=1, grace=60),
        group=Group(min=SMALLEST, max=LARGEST, desired=size, warm_up=0, policies=()),
        database=Database(max_connections=CONNECTIONS_EACH * (LARGEST + 1) + 20),
    )


def _of_size(fleet: Fleet, size: int) -> Fleet:
    database = fleet.database
    needed = (LARGEST + DEPLOYED) * connections_of(fleet.service) + database.reserved
    return replace(
        fleet,
        group=replace(fleet.group, min=1, max=LARGEST, desired=size, policies=()),
        database=replace(database, max_connections=max(database.max_connections, needed)),
    )
