"""Where a page of a list ends: at its number of entries, or at so many bytes."""

PAGE_BYTES = 4_000_000
"""Of the entries of a page, encoded: with what stands around them an answer is below 4 MiB."""


def below(ids: str) -> str:
    """The bound of a page's ids: `$2`, or the last of the `$3` newest of the query `ids`, which are
    skipped. They are looked up alone, so that an index is all that is read of them."""
    return f"""CASE WHEN $3::bigint = 0 THEN $2 ELSE (
        {ids} ORDER BY id DESC OFFSET greatest($3 - 1, 0) LIMIT 1) END"""


def behind(after: str, skip: str) -> str:
    """The same of positions in the album `a`: the position `after`, or that of the last photo that
    is skipped. Both are SQL. Photos that are not ready do not count; an album has none but those
    of another service that have not been moved yet, which wait without a limit."""
    members = (
        "SELECT m.position FROM album_photos m{ready}"
        f" WHERE m.album_id = a.id AND m.position > {after}"
    )
    nth = f"ORDER BY m.position OFFSET greatest({skip} - 1, 0) LIMIT 1"
    ready = " JOIN photos p ON p.id = m.photo_id AND p.status = 'ready'"
    return f"""CASE WHEN {skip}::bigint = 0 THEN {after} WHEN EXISTS (
        SELECT FROM photos w WHERE w.owner_id = a.owner_id AND w.status = 'pending'
            AND w.upload_expires_at IS NULL
        ) THEN ({members.format(ready=ready)} {nth})
        ELSE ({members.format(ready="")} {nth}) END"""


def ended_by_bytes(select: str, order: str) -> str:
    """The statement `select`, which gives rows with a `description` in this order, without the rows
    behind 4 MB of descriptions: what a page cannot show need not be read. Of those that do not fit
    the first is kept, and its page, whose JSON is larger, surely ends before it."""
    return f"""
        SELECT p.* FROM (
            SELECT sum(octet_length(p.description)) OVER (
                ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS bytes_before, p.* FROM ({select}) p
        ) p WHERE coalesce(p.bytes_before, 0) < {PAGE_BYTES}"""
