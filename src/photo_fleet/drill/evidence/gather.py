"""Everything that a reconciliation compares, read when the load is over and the sweep is done."""

from photo_fleet.drill.clients.load import Load
from photo_fleet.drill.evidence.accounts import attributed
from photo_fleet.drill.evidence.downloads import download_all
from photo_fleet.drill.evidence.links import open_all
from photo_fleet.drill.evidence.logs import Logs
from photo_fleet.drill.evidence.objects import Account, Bucket, list_objects
from photo_fleet.drill.evidence.reconcile import Evidence
from photo_fleet.drill.evidence.tables import read_tables


async def gather(load: Load, database_url: str, bucket: Bucket | Account, logs: Logs) -> Evidence:
    """The requests are as the logs know them. Raises `CannotList`, `OSError`,
    `asyncpg.PostgresError`."""
    ledger = load.ledger
    downloads = await download_all(load.people, ledger.uploads)
    return Evidence(
        requests=attributed(ledger.requests, logs),
        uploads=ledger.uploads,
        creations=ledger.creations,
        edits=ledger.edits,
        tables=await read_tables(database_url),
        executions=logs.executions,
        objects=frozenset(await list_objects(bucket)),
        downloads=downloads,
        views=await open_all(load.people),
    )
