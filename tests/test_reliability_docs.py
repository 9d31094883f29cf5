"""The table of faults names a test for each, and the test exists."""

import ast
import re
from pathlib import Path

from photo_fleet.drill.alarms import EXPECTED, SHORTENED
from photo_fleet.drill.check_proof.reasons import NOT_SHOWN, PARTLY, SHOWN
from photo_fleet.drill.check_proof.specs import BREAKING, VALUES
from photo_fleet.drill.gates import Gate
from photo_fleet.drill.scenarios import SCENARIOS
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet
from self_test.variants import VARIANTS

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs/reliability.md"
DRILL = "## The drill"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> list[str]:
    """The lines that tell of a fault: neither a table's heading nor the line under it."""
    faults, _, _ = DOCUMENT.read_text().partition(DRILL)
    lines = [line for line in faults.splitlines() if line.startswith("|")]
    return [line for line in lines if not line.startswith(("| fault |", "| ---"))]


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


def test_every_fault_names_a_test_that_exists() -> None:
    assert rows()
    for row in rows():
        *_, cell, _ = row.split("|")
        named = TEST.findall(cell)
        assert named, f"no test: {row}"
        for file, name in named:
            assert name in functions(ROOT / file), f"{file} has no {name}: {row}"


def test_every_fault_says_what_is_seen() -> None:
    for row in rows():
        cells = [cell.strip() for cell in row.split("|")]
        assert len(cells) == 6, row
        assert all(cells[1:-1]), row


def test_every_outage_has_its_row() -> None:
    """Each test of an outage through the whole service is in the table."""
    shown = DOCUMENT.read_text()
    file = "tests/outages/test_storage.py"
    missing = [
        name
        for name in functions(ROOT / file)
        if name.startswith("test_") and f"`{file}::{name}`" not in shown
    ]
    assert missing == []


def first_cells(heading: str) -> list[str]:
    """The first column of the drill's table whose heading begins so."""
    _, _, drill = DOCUMENT.read_text().partition(DRILL)
    _, _, table = drill.partition(f"\n| {heading} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [line.split("|")[1].strip() for line in lines]


def test_the_drill_s_table_has_every_scenario() -> None:
    assert first_cells("scenario") == [scenario.name for scenario in SCENARIOS]


def test_every_gate_is_explained() -> None:
    assert first_cells("gate") == [gate.value for gate in Gate]


def test_the_drill_s_own_proof_has_every_variant() -> None:
    assert first_cells("variant") == [variant.title for variant in VARIANTS]


def test_the_backtest_of_alerts_tells_of_scenarios_and_of_what_they_should_raise() -> None:
    _, _, table = DOCUMENT.read_text().partition("\n| watched scenario |")
    rows = [line.split("|") for line in table.partition("\n\n")[0].splitlines()[2:]]
    assert rows
    scenarios = {item.name for item in SCENARIOS}
    for _, name, should, *_ in rows:
        assert name.strip() in scenarios
        named = set() if should.strip() == "none" else set(should.strip().split(", "))
        assert named == set(EXPECTED.get(name.strip(), ())), name
    assert f"{SHORTENED:g} times shorter" in DOCUMENT.read_text()


def test_findings_that_no_drill_shows_are_named_with_the_reason() -> None:
    for code in first_cells("findings"):
        for name in re.findall(r"`([a-z0-9-]+)`", code):
            assert name in (PARTLY if code.endswith("in part") else NOT_SHOWN)
    named = {name for cell in first_cells("findings") for name in re.findall(r"`([^`]+)`", cell)}
    assert named == NOT_SHOWN.keys() | PARTLY.keys()


def test_the_proof_of_check_says_which_keys_are_drawn() -> None:
    """A key without a table is one of the table before it."""
    _, _, proof = DOCUMENT.read_text().partition("### The proof of check\n")
    told, _, _ = proof.partition(" Drawn are ")[2].partition("; the values are in")
    table, keys = "", list[str]()
    for word in re.findall(r"`([a-z_.]+)`", told):
        table = word.rpartition(".")[0] or table
        keys.append(f"{table}.{word.rpartition('.')[2]}")
    assert sorted(keys) == sorted(VALUES)
    for key, values in VALUES.items():
        assert changed(Fleet(), {key: values[0]}), key


def test_the_proof_of_check_shows_each_kind_that_is_generated() -> None:
    """In turn a spec that passes, and one that differs from it in a key."""
    _, _, table = DOCUMENT.read_text().partition("\n| no. | spec (seconds) |")
    rows = [line.split("|")[1:] for line in table.partition("\n\n")[0].splitlines()[2:]]
    kinds, codes = set[str](), set[str]()
    for place, (number, spec, verdict, *_) in enumerate(rows, start=1):
        assert int(number) == place
        if place % 2:
            assert verdict.strip() == "passes", number
            continue
        told = re.match(rf" {place - 1} with ([a-z_.]+) to ", spec)
        assert told, spec
        kinds.add(told[1])
        refused = verdict.strip().removeprefix("refuses: ").replace("*", "").split(", ")
        assert BREAKING[told[1]] in refused, number
        codes |= set(refused)
    assert kinds == set(BREAKING)
    assert codes <= SHOWN.keys() | NOT_SHOWN.keys()
