"""What Amazon and this instance tell each other about its end: the notice, that load balancers need
send nothing more, and whether the Auto Scaling group need wait for the drain."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from photo_api.cloud.metadata import Metadata, look_up, look_up_late
from photo_api.settings.loading import Settings
from photo_api.supervisor.systemd import notify
from photo_base.tasks import first

if TYPE_CHECKING:
    from photo_api.cloud.deregistration import Deregistration
    from photo_api.cloud.lifecycle_action import LifecycleAction

log = logging.getLogger(__name__)

GROUP_LATE = 60.0
"""Seconds beyond the grace for which the group may be late to wait for this machine: Amazon does
not say how soon it does when its balancer has done its own draining."""

SPARE = 10.0
"""Seconds more that systemd is asked for."""

SETTLED = 10.0
"""Seconds after a deregistration in which a load balancer may still send: Amazon's documents have
no number for it."""


class Termination:
    """`metadata` is None where none has answered yet. Elsewhere than on Amazon, or without a group
    in the settings, it does nothing."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], metadata: Metadata | None
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._metadata = metadata
        self._action: LifecycleAction | None = None
        self._deregistration: Deregistration | None = None
        self._begun = asyncio.Event()
        self._for_good = asyncio.Event()
        self._until = 0.0

    async def follow(self, stop: Callable[[str], None], learned: Callable[[str], None]) -> None:
        """Call `stop` at a notice, and `learned` with a region that became known late."""
        cloud, region = self._settings.cloud, self._settings.lifecycle.region
        if self._metadata is None:
            self._metadata = await look_up_late(cloud)
            if self._metadata and self._metadata.region and not region:
                learned(self._metadata.region)
        if self._metadata is None or self._metadata.provider != "aws":
            return
        # Imported by those alone that need it.
        from photo_api.cloud.notices import notice

        self._name_action(self._metadata)
        self._begun.set()
        heard = await notice(cloud)
        if self._action and heard.of_group:
            self._action.is_terminating = True
        if heard.for_good:
            self._for_good.set()
        stop(f"termination notice: {heard.what}")

    def _name_action(self, metadata: Metadata) -> None:
        from photo_api.cloud.deregistration import Deregistration
        from photo_api.cloud.lifecycle_action import LifecycleAction
        from photo_api.cloud.query_api import RoleClient

        cloud = self._settings.cloud
        if cloud.autoscaling_group and metadata.provider == "aws":
            client = RoleClient(cloud, metadata, self._settings.lifecycle.region)
            self._action = LifecycleAction(cloud, client)
            self._deregistration = Deregistration(cloud, client)

    async def keep_open(self, draining: asyncio.Event) -> None:
        """Once it drains, whoever began that: have the group wait, for the grace at most."""
        await draining.wait()
        self._until = time.monotonic() + self._settings.lifecycle.grace
        await self._begun.wait()
        if self._action:
            await self._action.keep_open(self._until)

    async def deregister(self, draining: asyncio.Event) -> None:
        """Once it drains, whoever began that, and the machine is known never to serve again: have
        the group's load balancers send to it no more. Nobody would register one that comes back."""
        await draining.wait()
        await self._for_good.wait()
        if self._deregistration:
            await self._deregistration.run()

    def sent_to_until(self) -> float:
        """The time (monotonic) to which balancers may still send after its deregistration: for as
        long as the lame duck gives them to notice, within limits."""
        left_at = self._deregistration and self._deregistration.left_at
        return left_at + min(self._settings.lifecycle.lame_duck, SETTLED) if left_at else 0.0

    async def complete(self, end_now: asyncio.Event) -> None:
        """After the drain: the group may go on. Briefly when the drain was broken off."""
        if self._settings.cloud.autoscaling_group and self._metadata is None:
            await self._look_once_more()
        if self._action is None:
            return
        if end_now.is_set():
            await self._action.complete()
            return
        until = self._until + GROUP_LATE
        left = max(0.0, until - time.monotonic()) + SPARE
        notify(self._environ, f"EXTEND_TIMEOUT_USEC={left * 1_000_000:.0f}")
        await first(self._action.complete(until), end_now.wait())

    async def _look_once_more(self) -> None:
        """Metadata that never answered may have come back since they were asked for last."""
        if metadata := await look_up(self._settings.cloud):
            self._name_action(metadata)
        else:
            log.warning("nobody knows whether the group waits: there are no metadata")
