"""Share links of another service, whose tokens stand in the table as they are (`token_kid` is
empty), sealed."""

from typing import Any

from photo_api.shares.sealing import Sealer

BATCH = 500


async def seal_links(db: Any, sealer: Sealer) -> int:
    """Seal them all; how many there were."""
    sealed = 0
    while rows := await db.fetch(
        "SELECT id, token_hash, token_sealed FROM shares WHERE token_kid = '' ORDER BY id LIMIT $1",
        BATCH,
    ):
        made = [sealer.seal(row["token_sealed"].decode(), row["token_hash"]) for row in rows]
        await db.execute(
            "UPDATE shares s SET token_kid = m.kid, token_sealed = m.sealed"
            " FROM unnest($1::bigint[], $2::text[], $3::bytea[]) AS m (id, kid, sealed)"
            " WHERE s.id = m.id AND s.token_kid = ''",
            [row["id"] for row in rows], [kid for kid, _ in made], [text for _, text in made],
        )  # fmt: skip
        sealed += len(rows)
    return sealed
