"""How many rows there are, without reading them.

Triggers leave each change in `total_changes`, in the transaction that makes it (see
`sql/0029_totals.sql`), and `jobs.statistics`
adds them up. No row is one that several writers wait for.
"""

KNOWN = """(SELECT name, kind, sum(rows)::bigint AS rows, sum(bytes)::bigint AS bytes FROM (
    SELECT name, kind, rows, bytes FROM totals
    UNION ALL SELECT name, kind, rows, bytes FROM total_changes
) AS told GROUP BY name, kind)"""
"""`rows` and `bytes` by name and kind, exact as of the statement's snapshot: `users`, `albums`,
`shares` that are neither revoked nor known to have expired, `photos` that are ready, those in the
`trash`, `jobs` by kind that are queued or leased, `dead_jobs` by kind."""

LEASED = "(SELECT kind, count(*) AS n FROM jobs WHERE state = 'leased' GROUP BY kind)"
"""Of each kind; as many as there are workers, found by an index."""

QUEUED = f"""(SELECT greatest((SELECT coalesce(sum(rows), 0) FROM {KNOWN} AS known
    WHERE name = 'jobs') - (SELECT count(*) FROM jobs WHERE state = 'leased'), 0)::bigint)"""
"""How many jobs wait, of any kind."""
