"""Pushes the metrics of this instance to a Pushgateway for as long as it runs."""

import asyncio
import logging
import random
from collections.abc import Callable

from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import PUSHES
from photo_api.telemetry.pushgateway import PushFailed, Pushgateway

log = logging.getLogger(__name__)

END_TIME_BOX = 1.0
"""Seconds at the end for the last numbers, and again for the deletion."""


class Pushing:
    """Every `interval` seconds, give or take a fifth, so that a fleet that was started at one
    moment does not push at one. `instance` names this one, `text` gives its metrics."""

    def __init__(
        self,
        gateway: Pushgateway,
        interval: float,
        instance: Callable[[], str],
        text: Callable[[], str],
        counts: Counts,
    ) -> None:
        self._gateway = gateway
        self._interval = interval
        self._instance = instance
        self._text = text
        self._counts = counts
        self._failing = False

    async def run(self) -> None:
        """Until cancelled. What fails is told once, and tried again with the next numbers."""
        while True:
            await self._push()
            await asyncio.sleep(self._interval * random.uniform(0.8, 1.2))

    async def _push(self) -> None:
        try:
            await self._gateway.put(self._instance(), self._text())
        except PushFailed as error:
            self._counts.add(PUSHES, "failed")
            if not self._failing:
                log.warning("metrics cannot be pushed: %s", error)
            self._failing = True
        else:
            self._counts.add(PUSHES, "ok")
            if self._failing:
                log.info("metrics are pushed again")
            self._failing = False

    async def end(self) -> None:
        """Push the last numbers, then take them out: what is left is removed by the sweep, once the
        registry calls this instance gone."""
        try:
            async with asyncio.timeout(END_TIME_BOX):
                await self._push()
        except TimeoutError:
            pass
        try:
            async with asyncio.timeout(END_TIME_BOX):
                await self._gateway.delete(self._instance())
        except (TimeoutError, PushFailed) as error:
            log.warning("pushed metrics stay for the sweep: %s", error)
