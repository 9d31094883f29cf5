"""docs/scale.md knows every table and every statement that names no owner, and says the same in
both of its languages. What a request of each route sends is counted by test_route_costs.py."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.documents import rows_under
from tests.sent_statements import SOURCES, Statement, sent_statements

ROOT = Path(__file__).parent.parent
PAGES = ENGLISH, KOREAN = ROOT / "docs/scale.md", ROOT / "docs/ko/scale.md"

TABLES = "| table | where | what it takes |"
WITHOUT_OWNER = "| statements | asked by | route |"
SESSIONS = "| what lasts longer than a transaction | where |"
PLACES = {"owner", "everywhere", "one node"}
ROUTES = {"parameter", "look-up", "each shard", "every shard", "one node"}

CREATED = re.compile(r"^CREATE TABLE (?:IF NOT EXISTS )?(\w+)", re.M)
COMPARED = re.compile(r"\b(?:owner_id|user_id) = \$\d")
UNKNOWN = re.compile(r"^\?|\b(?:FROM|INTO|JOIN|UPDATE) \?")
PASSED_ON = {
    "db/pool.py Database": "sends what others give it",
    "db/bounded.py fetch_within": "the same, and what bounds its time",
    "db/migrations.py _apply": "the schema's own statements",
    "photos/finding.py find": "put together of fragments, each of which names the owner",
    "jobs/queue.py _change": "its callers' statements, which are read themselves",
}
LASTING = re.compile(
    r"pg_(?:try_)?advisory_(?:un)?lock\b|\bTEMP(?:ORARY)? TABLE\b|^LISTEN\b|^SET (?!LOCAL)"
)
NAME = re.compile(r"`([\w/]+\.py \w+)`(?: ×(\d+))?")


@pytest.fixture(scope="module")
def sent() -> list[Statement]:
    return list(sent_statements())


def schema() -> set[str]:
    """Every table that the migrations make."""
    folder = SOURCES / "photo_api/db/sql"
    return {name for file in folder.glob("*.sql") for name in CREATED.findall(file.read_text())}


def of_owners() -> set[str]:
    """Tables whose rows are on the shard of their owner."""
    return {row[0].strip("`") for row in rows_under(ENGLISH, TABLES) if row[1] == "owner"}


def without_owner(statement: Statement, tables: set[str]) -> bool:
    """Whether it asks for rows of owners, and neither compares their owner with a parameter nor
    gives one to a row of theirs."""
    named = "|".join(tables)
    given = rf"INSERT INTO (?:{named})(?: AS \w+)? \([^)]*\b(?:owner_id|user_id)\b"
    asks = re.search(rf"\b(?:{named})\b", statement.text) or UNKNOWN.search(statement.text)
    says = COMPARED.search(statement.text) or re.search(given, statement.text)
    return bool(asks) and not says


def test_every_table_has_its_place() -> None:
    rows = rows_under(ENGLISH, TABLES)
    assert sorted(row[0].strip("`") for row in rows) == sorted(schema())
    assert {row[1] for row in rows} == PLACES


def test_every_statement_that_names_no_owner_has_a_route(sent: list[Statement]) -> None:
    tables, told = of_owners(), Counter[str]()
    for statements, _, route in rows_under(ENGLISH, WITHOUT_OWNER):
        assert route in ROUTES, route
        for name, number in NAME.findall(statements):
            told[name] += int(number or 1)
    found = Counter(one.place for one in sent if without_owner(one, tables))
    found = Counter({place: n for place, n in found.items() if place not in PASSED_ON})
    assert sorted(found.items()) == sorted(told.items()), "say how it is routed, or name the owner"


def test_the_walk_sees_what_it_should(sent: list[Statement]) -> None:
    tables = of_owners()
    by_place: dict[str, list[bool]] = {}
    for one in sent:
        by_place.setdefault(one.place, []).append(without_owner(one, tables))
    assert by_place["photos/queries.py photos"] == [False]
    assert by_place["shares/queries.py _view"] == [True]
    assert by_place["photos/sweep.py _prune"] == [True]
    assert sorted(by_place["photos/trash.py delete"]) == [False, True, True]
    assert set(PASSED_ON) <= set(by_place)
    for text, named in (
        ("SELECT FROM photos WHERE id = $1", True),
        ("SELECT FROM photos WHERE owner_id = $2 AND id = $1", False),
        ("UPDATE ? SET name = $1", True),
        ("SELECT FROM instances", False),
    ):
        assert without_owner(Statement("a.py b", text), tables) is named, text


def test_what_needs_a_session_is_told(sent: list[Statement]) -> None:
    told = {name for row in rows_under(ENGLISH, SESSIONS) for name, _ in NAME.findall(row[1])}
    assert {one.place for one in sent if LASTING.search(one.text)} == told


def test_both_languages_have_the_same_figures_and_names() -> None:
    """Row by row of all tables, in whatever order the words of a language have them."""
    depths = [re.findall(r"^#+(?= )", page.read_text(), re.M) for page in PAGES]
    assert depths[0] == depths[1]
    blocks = [re.findall(r"^```\n(.*?)^```$", page.read_text(), re.M | re.S) for page in PAGES]
    assert blocks[0] == blocks[1]
    for english, korean in zip(*map(facts, PAGES), strict=True):
        assert english == korean


def facts(page: Path) -> list[list[str]]:
    """What of each row is no prose."""
    rows = (line for line in page.read_text().splitlines() if line.startswith("|"))
    return [sorted(NO_PROSE.findall(row)) for row in rows]


NO_PROSE = re.compile(r"`[^`]*`|(?<![a-z\d.,])\d+(?:[.,]\d+)*(?![a-z\d])", re.I)
