"""Each defence in docs/security.md has a test that exists, and its limits are the settings' own."""

import re

from photo_api.settings.environment import PREFIX
from photo_api.settings.loading import variables
from tests.test_reliability_docs import ROOT, functions

DOCUMENT = ROOT / "docs/security.md"
DEFENCE = "## What is defended against, by which test"
LIMITS = "## The limits"
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below it, without its head."""
    _, _, below = DOCUMENT.read_text().partition(f"\n{heading}\n")
    _, _, lines = below.partition("\n|")
    rows = ("|" + lines.partition("\n\n")[0]).splitlines()[2:]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


def test_every_defence_names_a_test_that_exists() -> None:
    rows = table(DEFENCE)
    assert len(rows) > 30
    for row in rows:
        named = TEST.findall(row[-1])
        assert named, f"no test: {row}"
        for file, name in named:
            there = functions(ROOT / file)
            assert there, f"{file} is not there: {row}"
            assert not name or name in there, f"{file} has no {name}: {row}"


def test_limits_are_the_settings_own() -> None:
    defaults = {PREFIX + variable.name: variable.default for _, variable in variables()}
    rows = table(LIMITS)
    assert len(rows) > 10
    for name, default, _ in rows:
        assert defaults[name.strip("`")] == default, name
