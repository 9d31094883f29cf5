"""A service with a database and a bucket that nothing else uses, and a load that has run on it."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photo_fleet.drill.clients.load import Load
from photo_fleet.drill.clients.mix import Mix
from photo_fleet.drill.evidence.gather import gather
from photo_fleet.drill.evidence.logs import read_logs
from photo_fleet.drill.evidence.objects import Bucket
from photo_fleet.drill.evidence.reconcile import Evidence
from photo_fleet.drill.evidence.tables import sweep_now
from photo_fleet.drill.ledger import Ledger
from photo_local.bucket import BucketAdmin
from tests.own_stage import own_database
from tests.service import Service, running_service

SWEEP_INTERVAL = "0.5"
LONGEST_SWEEP = 30.0


@dataclass
class Stage:
    """A service that only a load uses."""

    service: Service
    database_url: str
    bucket: Bucket

    @property
    def url(self) -> str:
        return self.service.url

    async def gather(self, load: Load) -> Evidence:
        """What is there to compare, once the sweep is through."""
        logs = read_logs((), [self.service.log_file])
        return await gather(load, self.database_url, self.bucket, logs)

    async def sweep(self) -> int:
        return await sweep_now(self.database_url, LONGEST_SWEEP)


@contextmanager
def own_stage(stack: dict[str, Any], environ: dict[str, str], folder: Path) -> Iterator[Stage]:
    name = f"drill-{secrets.token_hex(6)}"
    endpoint, region = stack["s3_endpoint"], stack["region"]
    keys = stack["access_key"], stack["secret_key"]
    BucketAdmin(endpoint, name, region, *keys).prepare(())
    changed = environ | {
        "PHOTO_API_S3_BUCKET": name,
        "PHOTO_API_SWEEP_INTERVAL": SWEEP_INTERVAL,
        "PHOTO_API_LOG_FORMAT": "json",
    }
    with own_database(stack, changed) as settings, running_service(settings, folder) as service:
        bucket = Bucket(endpoint, name, region, *keys)
        yield Stage(service, settings["PHOTO_API_DATABASE_URL"], bucket)


async def run_load(stage: Stage, mix: Mix, seconds: float, seed: int = 1) -> Load:
    """A load that has run for so long and whose last act is over."""
    load = Load(stage.url, Ledger(), mix, seed=seed)
    async with load:
        await load.prepare()
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, stop.set)
        await load.run(stop)
    return load
