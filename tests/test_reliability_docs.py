"""The table of faults names a test for each, and the test exists."""

import ast
import re
from pathlib import Path

from photo_fleet.drill.alarms import EXPECTED, SHORTENED
from photo_fleet.drill.check_proof.reasons import NOT_SHOWN, PARTLY
from photo_fleet.drill.gates import Gate
from photo_fleet.drill.scenarios import SCENARIOS
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
