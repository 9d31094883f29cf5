"""Migrations: what breaks the release that runs is refused, all else it can live with.

The slow tests run the suite of one release on the schema of another: that of the release before on
this tree's, and, as a proof that this finds anything, this tree's on schemas that are made here.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from photo_api.db.migrations import BreakingMigrations, Migration, known_migrations, migrate
from photo_api.settings.loading import load
from scripts.previous_release import previous
from tests.own_stage import ask, empty_database
from tests.releases import THIS, Checkout, previous_checkout
from tests.service import cli, die_with_parent

ROOT = Path(__file__).parent.parent
SUBSET = ("test_albums.py", "test_accounts.py", "test_refresh.py")
LONGEST_SUITE, LONGEST_REST = 900, 3600
MOST_ALONE = 8
FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/\S+?\.py)\b", re.MULTILINE)
"""A line of pytest's summary; the file."""

ADDS = Migration("9001_adds", "ALTER TABLE albums ADD COLUMN note text;\n")
INDEXES = Migration(
    "9002_indexes",
    "-- outside a transaction\n"
    "DROP INDEX CONCURRENTLY IF EXISTS albums_note;\n"
    "CREATE INDEX CONCURRENTLY albums_note ON albums (note);\n",
)
RENAMES = Migration(
    "9003_renames",
    "-- breaks the release before: it reads albums.name\n"
    "ALTER TABLE albums RENAME COLUMN name TO title;\n",
)
APPLIED = "SELECT name FROM schema_migrations ORDER BY name"


@pytest.fixture
def empty(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with empty_database(stack, environ) as settings:
        yield settings


def sources_with(folder: Path, *migrations: Migration) -> Path:
    """This tree's sources, with more migrations."""
    sources = folder / "src"
    shutil.copytree(ROOT / "src", sources, ignore=shutil.ignore_patterns("__pycache__"))
    for item in migrations:
        (sources / f"photo_api/db/sql/{item.name}.sql").write_text(item.sql)
    return sources


def test_each_migration_has_a_number_of_its_own() -> None:
    numbers = [item.name.partition("_")[0] for item in known_migrations()]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_the_header_tells_how_a_migration_wants_to_be_applied(tmp_path: Path) -> None:
    sql = "{}\nCREATE TABLE x ();\n-- breaks the release before: not in the header\n"
    both = "-- breaks the release before:  it reads x \n-- outside a transaction"
    for name, header in (("0002_both", both), ("0001_plain", "-- about x")):
        (tmp_path / f"{name}.sql").write_text(sql.format(header))
    plain, marked = known_migrations(tmp_path)
    assert (plain.name, plain.outside, plain.breaks) == ("0001_plain", False, None)
    assert (marked.name, marked.outside, marked.breaks) == ("0002_both", True, "it reads x")


async def test_an_empty_database_takes_every_migration(empty: dict[str, str]) -> None:
    """No release that could break runs on it."""
    every = [*known_migrations(), ADDS, INDEXES, RENAMES]
    settings = load({key: value for key, value in empty.items() if key != "PATH"}).database
    assert await migrate(settings, migrations=every) == [item.name for item in every]
    assert await migrate(settings, migrations=every) == []


async def test_what_breaks_the_release_before_is_refused_before_anything_is_applied(
    empty: dict[str, str],
) -> None:
    settings = load({key: value for key, value in empty.items() if key != "PATH"}).database
    known = known_migrations()
    before = await migrate(settings, migrations=known)
    with pytest.raises(BreakingMigrations) as refused:
        await migrate(settings, migrations=[*known, ADDS, RENAMES])
    assert refused.value.reasons == {RENAMES.name: "it reads albums.name"}
    connection = await asyncpg.connect(empty["PHOTO_API_DATABASE_URL"])
    assert [row["name"] for row in await connection.fetch(APPLIED)] == before
    await connection.close()
    allowed = await migrate(settings, True, [*known, ADDS, RENAMES])
    assert allowed == [ADDS.name, RENAMES.name]
    assert await migrate(settings, migrations=[*known, ADDS, RENAMES, INDEXES]) == [INDEXES.name]


async def test_what_is_shared_already_is_made_ready_for_visitors(empty: dict[str, str]) -> None:
    """By the migration that brings the file for them: an album whose link works, and no other."""
    settings = load({key: value for key, value in empty.items() if key != "PATH"}).database
    known = known_migrations()
    older = [item for item in known if item.name < "0012"]
    await migrate(settings, migrations=older)
    connection = await asyncpg.connect(empty["PHOTO_API_DATABASE_URL"])
    await connection.execute(
        "INSERT INTO users (email, username, password_hash) VALUES ('a', 'a', '');"
        "INSERT INTO albums (owner_id, name) SELECT id, n FROM users, unnest(ARRAY['1','2','3']) n;"
        "INSERT INTO shares (album_id, token_hash, token_sealed, token_kid, is_active)"
        " SELECT id, decode(name || link, 'hex'), '', '', name = '2' FROM albums,"
        "  unnest(ARRAY['1','2']) link WHERE name <> '3'"
    )
    assert await migrate(settings, migrations=known) == [item.name for item in known[len(older) :]]
    rows = await connection.fetch(
        "SELECT a.name, j.kind, j.user_id = a.owner_id AS in_turn FROM jobs j"
        " JOIN albums a ON a.id = j.subject_id"
    )
    await connection.close()
    assert [tuple(row) for row in rows] == [("2", "shared_album", True)]


def test_the_command_names_what_it_refuses(
    empty: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads(cli(empty, "migrate", "--json").stdout)
    assert before == {"applied": [item.name for item in known_migrations()]}
    monkeypatch.setenv("MIGRATE_WITH", str(sources_with(tmp_path, ADDS, RENAMES)))
    refused = cli(empty, "migrate")
    assert refused.returncode == 1
    for part in (RENAMES.name, "it reads albums.name", "--allow-breaking"):
        assert part in refused.stderr
    as_json = cli(empty, "migrate", "--json")
    assert as_json.returncode == 1
    reasons = {RENAMES.name: "it reads albums.name"}
    assert json.loads(as_json.stdout) == {"applied": [], "refused": reasons}
    assert [row["name"] for row in ask(empty, APPLIED)] == before["applied"]
    allowed = cli(empty, "migrate", "--allow-breaking", "--json")
    assert allowed.returncode == 0, allowed.stderr
    assert json.loads(allowed.stdout) == {"applied": [ADDS.name, RENAMES.name]}


NOT_ASKED = (
    "--deselect",
    "tests/contract/test_reuse.py"
    "::test_an_upload_that_waited_for_a_deletion_sees_who_came_meanwhile",
)
"""It brings a deleted photo back by a statement of its own, beside a deletion whose end it
waits for: until then the same user's bytes are the deletion's to count. No release does so."""


def run_suite(
    release: Checkout, migrate_with: Path, *tests: str
) -> subprocess.CompletedProcess[str]:
    """Tests of that release, from its root as its developers run them, on the schema that other
    sources make."""
    return subprocess.run(
        [release.python, "-m", "pytest", "-m", "not slow and not long", *tests],
        cwd=release.folder,
        env=os.environ | {"MIGRATE_WITH": str(migrate_with)},
        capture_output=True,
        text=True,
        timeout=LONGEST_REST,
        preexec_fn=die_with_parent,
        check=False,
    )


def contract_tests(*names: str) -> list[str]:
    return ["-x", *NOT_ASKED, *(f"tests/contract/{name}" for name in names)]


WHICH = """\
import photo_api, importlib.metadata
print(importlib.metadata.version("photo-api"), photo_api.__file__)"""
"""Told by a Python: the release that is installed, and the one that it imports."""


@pytest.fixture(scope="module")
def before() -> Iterator[Checkout]:
    """The release before this one."""
    with previous_checkout() as checkout:
        yield checkout


@pytest.mark.slow
def test_whatever_the_release_before_starts_is_of_that_release(before: Checkout) -> None:
    """From any folder: a program of its tests does not become one of this tree unseen."""
    told = subprocess.check_output([before.python, "-c", WHICH], cwd="/", text=True).split()
    assert told == [previous(ROOT).release, f"{before.folder}/src/photo_api/__init__.py"]
    program = (before.python.parent / "photo-api").read_text()
    assert program.startswith(f"#!{before.python}\n")


@pytest.mark.slow
@pytest.mark.timeout(LONGEST_SUITE)
def test_the_release_before_keeps_its_contract_on_this_schema(before: Checkout) -> None:
    done = run_suite(before, ROOT / "src", *contract_tests(""))
    assert done.returncode == 0, done.stdout[-10_000:]


@pytest.mark.long
@pytest.mark.timeout(LONGEST_REST + LONGEST_SUITE)
def test_the_release_before_passes_all_else_on_this_schema(before: Checkout) -> None:
    """But the tests of its migrations, which are about the schema that it makes itself. Some give
    the machine a few seconds for a start, which three processes of tests use up on one that is
    busy: few files that fail are run once more, alone, and have to pass then."""
    left_out = ("--ignore=tests/contract", "--ignore=tests/test_migrations.py")
    at_once = ("-n", "3", "--dist", "loadfile", "--reruns", "1")
    done = run_suite(before, ROOT / "src", *at_once, *left_out)
    failed = sorted(set(FAILED.findall(done.stdout)))
    if done.returncode == pytest.ExitCode.TESTS_FAILED and 0 < len(failed) <= MOST_ALONE:
        done = run_suite(before, ROOT / "src", *failed)
    assert done.returncode == 0, done.stdout[-20_000:]


@pytest.mark.slow
@pytest.mark.timeout(LONGEST_SUITE)
def test_a_compatible_schema_passes(tmp_path: Path) -> None:
    done = run_suite(THIS, sources_with(tmp_path, ADDS, INDEXES), *contract_tests(*SUBSET))
    assert done.returncode == 0, done.stdout[-10_000:]


@pytest.mark.slow
@pytest.mark.timeout(LONGEST_SUITE)
def test_a_schema_that_breaks_the_release_is_found(tmp_path: Path) -> None:
    done = run_suite(THIS, sources_with(tmp_path, ADDS, INDEXES, RENAMES), *contract_tests(*SUBSET))
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-10_000:]
