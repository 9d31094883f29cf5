"""Where a page of a list ends: at its number of entries, or at so many bytes."""

PAGE_BYTES = 4_000_000
"""Of the entries of a page, encoded: with what stands around them an answer is below 4 MiB."""


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
