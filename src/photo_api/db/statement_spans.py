"""The statements that a connection sends on behalf of a sampled request or job, as spans."""

import re
from typing import Any

import asyncpg

from photo_api.tracing import record

LONGEST_TEXT = 500
MOST_NAMED = 3
ACTS = re.compile(
    r"\b(INSERT)\s+INTO\s+(\w+)|\b(DELETE)\s+FROM\s+(\w+)"
    r"|(?<!FOR )(?<!KEY )(?<!DO )\b(UPDATE)\s+(\w+)"
)
READ = re.compile(r"\bFROM\s+(\w+)")


def keep_spans(connection: asyncpg.Connection) -> None:
    """Of what this connection sends from now on."""
    connection.add_query_logger(_record)


def keep_no_spans(connection: asyncpg.Connection) -> None:
    """Before somebody else gets it."""
    connection.remove_query_logger(_record)


def _record(sent: Any) -> None:
    """Called by the driver when a statement has ended, in the context of its sender. The text of
    a statement holds no value that anybody gave; those are its arguments, and are left out."""
    text = " ".join(sent.query.split())
    about = {"db_system_name": "postgresql", "db_query_text": text[:LONGEST_TEXT]}
    if sent.exception is not None:
        about["error_type"] = type(sent.exception).__name__
    failed = sent.exception is not None
    record(name_of(text), sent.elapsed, failed=failed, **about)


def name_of(text: str) -> str:
    """What a statement does, in a few words: `DELETE unreferenced_objects, INSERT photos`."""
    acts = [" ".join(filter(None, act)) for act in ACTS.findall(text)]
    if not acts:
        verb, _, rest = text.partition(" ")
        table = READ.search(rest)
        acts = [f"SELECT {table[1]}" if verb in ("SELECT", "WITH") and table else verb.rstrip(";")]
    return ", ".join(list(dict.fromkeys(acts))[:MOST_NAMED])
