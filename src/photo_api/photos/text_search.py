"""Texts among photos. What few photos have the grams of is read from their index; of other texts,
the newest photos are compared first, which mostly does."""

from collections.abc import Sequence

from photo_api.photos.search import Terms
from photo_api.photos.ways import BEHIND, ORDER, Statement, Way, first_of, followed

FEW = 500
"""Photos with all grams of a text that are read whatever their dates."""

NEWEST = 3_000
"""Photos that are compared with a text whose grams more of them have."""


def searched(made: Statement, ways: Sequence[Way], terms: Terms) -> tuple[list[str], str]:
    """Tables, and of them the photos. The owner is in the keys: the index is asked for these
    alone."""
    grams = made.add(terms.grams, "text[]")
    keyed = f"s.keys @> ARRAY(SELECT search_key($1, gram) FROM unnest({grams}) gram)"
    text = " AND ".join(
        f"p.search_text {operator} ALL ({made.add(patterns, 'text[]')})"
        for operator, patterns in (("LIKE", terms.likes), ("~", terms.words))
        if patterns
    )
    newest = " UNION ALL ".join(
        f"({_within(first_of(way, NEWEST), number, ways)})" for number, way in enumerate(ways)
    )
    walk = followed(ways, f"NOT (SELECT yes FROM few) AND {text}", f"LIMIT {NEWEST}")
    tables = [
        f"found AS MATERIALIZED (SELECT s.photo_id FROM photo_search s WHERE {keyed}"
        f" LIMIT {FEW + 1})",
        f"few AS MATERIALIZED (SELECT count(*) <= {FEW} AS yes FROM found)",
        f"walked AS MATERIALIZED ({walk})",
        "enough AS MATERIALIZED (SELECT (SELECT yes FROM few)"
        " OR (SELECT count(*) FROM walked) >= $4"
        f" OR (SELECT count(*) FROM ({newest}) p) < {NEWEST} AS yes)",
    ]
    held = [BEHIND, made.in_time("p"), text, *(way.condition for way in ways)]
    return tables, _matching(keyed, " AND ".join(held), made.in_time("p"))


def _matching(keyed: str, held: str, in_time: str) -> str:
    """Of the newest, of what is found by grams, and of what has no keys yet (it is not rendered):
    those that match."""
    one = (
        "LATERAL (SELECT p.* FROM photos p WHERE p.id = f.photo_id AND p.owner_id = $1"
        f" AND p.status = 'ready' OFFSET 0) p WHERE {held}"
    )
    fresh = (
        "SELECT p.* FROM photos p WHERE p.owner_id = $1 AND p.status = 'ready'"
        f" AND p.thumbnail_key IS NULL AND {BEHIND} AND {in_time} ORDER BY {ORDER} LIMIT {FEW}"
    )
    return (
        "SELECT p.* FROM walked p WHERE (SELECT yes FROM enough)"
        f" UNION ALL SELECT p.* FROM found f, {one} AND (SELECT yes FROM few)"
        f" UNION ALL SELECT p.* FROM ({fresh}) p WHERE {held}"
        " AND (SELECT true FROM photo_search s WHERE s.photo_id = p.id) IS NULL"
        " AND (SELECT f.yes OR NOT e.yes FROM few f, enough e)"
        " UNION ALL SELECT p.* FROM (SELECT s.photo_id FROM photo_search s"
        f" WHERE {keyed} AND NOT (SELECT yes FROM enough) OFFSET 0) f, {one}"
    )


def _within(photos: str, number: int, ways: Sequence[Way]) -> str:
    """Those photos, if theirs is the way that is followed."""
    chosen = f"(SELECT way FROM driver) = {number}" if len(ways) > 1 else "true"
    return f"SELECT p.id FROM ({photos}) p WHERE {chosen}"
