"""Names of the release before, which kept them as they were sent, brought into NFC."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from photo_api.registry import leases
from photo_api.registry.leases import Lease

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "users": ("username",),
        "albums": ("name", "description"),
        "photos": ("title", "description", "original_filename"),
    }
)
"""By table, in the order in which its index `…_decomposed` names them."""


def decomposed(table: str) -> str:
    """The condition of the rows that hold a decomposed name, as that index has it."""
    return " OR ".join(f"{column} IS NOT NFC NORMALIZED" for column in COLUMNS[table])


async def compose_names(db: Any, lease: Lease, most: int) -> None:
    """Compose the names of `most` rows of each table. Whoever is changing a row is not waited for:
    it comes in the next round, if it still has to."""
    for table, columns in COLUMNS.items():
        changes = ", ".join(f"{column} = normalize({column}, NFC)" for column in columns)
        statement = (
            f"UPDATE {table} SET {changes} WHERE id = ANY (ARRAY("
            f"SELECT id FROM {table} WHERE {decomposed(table)} ORDER BY id LIMIT $3"
            " FOR NO KEY UPDATE SKIP LOCKED))"
        )
        try:
            await leases.execute(db, lease, statement, most)
        except TimeoutError:
            # Thousands of marks on one letter take the server a second: such rows one at a time.
            await leases.execute(db, lease, statement, 1)
