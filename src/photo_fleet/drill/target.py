"""A drill on a fleet that it did not stage: load from outside, and what clients alone can prove."""

import asyncio
import ipaddress
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from photo_fleet.drill.clients.load import Load
from photo_fleet.drill.clients.mix import Overrides
from photo_fleet.drill.evidence.downloads import download_all
from photo_fleet.drill.evidence.links import links_lost, open_all
from photo_fleet.drill.evidence.reconcile import lost_by_downloads
from photo_fleet.drill.faults.outside import Surroundings
from photo_fleet.drill.ledger import Ledger
from photo_fleet.drill.records import Discrepancies, Record
from photo_fleet.drill.runner import Runner, Say, since, under
from photo_fleet.drill.scenario import Scenario
from photo_fleet.drill.stall import Stall


class TargetRunner(Runner):
    """Carries out scenarios from outside on the fleet at `url`. Its tables, logs and store stay out
    of sight: acknowledged uploads are downloaded, and duplicates and ghosts are not looked for.
    The accounts that it opens, with their photos, stay there."""

    def __init__(self, url: str, folder: Path, seed: int, overrides: Overrides, say: Say) -> None:
        super().__init__(folder, seed, overrides, say)
        self._url = url

    async def observe(self, scenario: Scenario) -> Record:
        """What clients alone can see."""
        ledger, seed = Ledger(), self.seed
        clients = Load(
            self._url, ledger, scenario.load, seed=seed, local=is_on_this_machine(self._url)
        )
        stall = Stall()
        async with clients as load, stall.measured():
            await load.prepare()
            began = ledger.now()
            fleet = Surroundings(self._url, lambda: ledger.now() - began, random.Random(seed))
            async with under(load):
                faults = [await self.carry_out(fleet, step, load) for step in scenario.steps]
                await asyncio.sleep(max(0.0, scenario.seconds - fleet.now()))
            self.say("  downloads what was acknowledged")
            downloads = await download_all(load.people, ledger.uploads)
            views = await open_all(load.people)
        await self.keep(ledger, scenario)
        lost = (*lost_by_downloads(ledger.uploads, downloads), *links_lost(ledger.creations, views))
        requests, uploads = tuple(ledger.requests), ledger.uploads
        found = Discrepancies(acknowledged_lost=lost)
        told = Record(scenario.name, seed, requests, uploads, tuple(faults), (), found)
        return since(began, replace(told, stall=stall.longest))


def is_on_this_machine(url: str) -> bool:
    """Whether clients with loopback addresses reach it."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        return address.version == 4 and address.is_loopback
    return host == "localhost"
