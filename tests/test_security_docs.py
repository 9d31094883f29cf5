"""Each defence in docs/security.md has a test that exists, and its limits are the settings' own."""

import re

from photo_api.settings.loading import variables
from photo_base.environment import PREFIX
from tests.test_reliability_docs import ROOT, functions

DOCUMENT = ROOT / "docs/security.md"
DEFENCE = "## What is defended against, by which test"
LIMITS = "## The limits"
ASVS = "## ASVS 4.0.3, level 2: the points that concern an API like this one"
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
        assert named_tests(row), f"no test: {row}"


def test_every_point_of_asvs_is_shown_or_says_why_not() -> None:
    rows = table(ASVS)
    points = [point for row in rows for point in row[0].split(", ")]
    assert len(points) == len(set(points)) >= 40
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", point) for point in points)
    for row in rows:
        assert named_tests(row) or re.match(r"not (applicable|met)[\w ,]* because ", row[-1]), row


def named_tests(row: list[str]) -> list[tuple[str, str]]:
    """The tests that its last cell names, all of which are there."""
    named = TEST.findall(row[-1])
    for file, name in named:
        there = functions(ROOT / file)
        assert there, f"{file} is not there: {row}"
        assert not name or name in there, f"{file} has no {name}: {row}"
    return named


def test_limits_are_the_settings_own() -> None:
    defaults = {PREFIX + variable.name: variable.default for _, variable in variables()}
    rows = table(LIMITS)
    assert len(rows) > 10
    for name, default, _ in rows:
        assert defaults[name.strip("`")] == default, name
