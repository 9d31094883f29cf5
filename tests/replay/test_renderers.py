"""How a replay is shown: exactly for a short one; and whatever its length and the terminal's width,
bounded, fitting, and legible without colours."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_fleet.replay.picture import LONGEST_NAME, picture
from photo_fleet.replay.table import table
from photo_fleet.replay.terminal import NEEDED, READY, plot
from photo_fleet.replay.text import text
from photo_fleet.spec.fleet import Group, Policy
from tests.fuzzing import examples
from tests.replay.runs import front_of, outcome, run, spells_of

SVG = "{http://www.w3.org/2000/svg}"
MONTH = 44_640
SHORT = run([1, 1, 2, 4, 4, 4, 2, None, 1, 1], [2, 2, 2, 2, 3, 4, 4, 4, 3, 2])
HOSTILE = '"><script>alert(1)</script>&amp; \u202e]]> ' * 9

DEMANDS = st.lists(st.none() | st.integers(1, 50), min_size=1, max_size=400)


def test_a_short_run_in_signs() -> None:
    assert plot(SHORT, 80).splitlines() == [
        "░ instances needed   ━ ready by spec",
        "    4 ┤   ░░━━━",
        "    3 ┤   ░━░  ━",
        "    2 ┤━━━━░░░  ━",
        "    1 ┤░░░░░░░ ░░",
        "    0 └──────────",
        "       0   5 min",
        "short     !!  ?",
    ]


@examples(40)
@given(DEMANDS, st.integers(0, 260), st.integers(0, 100))
def test_it_fits_whatever_there_is(demand: list[int | None], width: int, supply: int) -> None:
    one = run(demand, [supply] * len(demand), "x" * supply)
    lines = plot(one, width).splitlines()
    assert max(map(len, lines)) <= max(width, 40)
    assert len(lines) <= 18
    assert not re.search("[\x00-\x08\x0e-\x1f]", plot(one, width))
    own = front_of(one, (Policy("cpu", 65, 180, +1, 300), one))
    told = text([outcome(one, 1e9)] * 6, own, Group(), width).splitlines()
    assert max(map(len, told)) <= max(width, 40)
    assert len(told) < 80


def test_an_hour_of_too_few_is_seen_in_a_month() -> None:
    demand = [2] * MONTH
    demand[20_000:20_060] = [9] * 60
    lines = plot(run(demand, [2] * MONTH), 80).splitlines()
    assert sum(line.count("!") for line in lines) == 1
    assert sum(NEEDED in line for line in lines[1:]) == 8
    assert sum(READY in line for line in lines[1:]) == 1


def test_policies_stand_side_by_side() -> None:
    spec, other = outcome(spells_of([10]), 15.0), outcome(spells_of([0]), 15.25)
    told = table([spec, replace(other, policy="static-4")], 90).splitlines()
    assert told == [
        "policy      θU    θO    τU    τO    υ1    υ2  changes  hours   cost  over  worst",
        "spec      0.15  16.1  0.40  60.2  0.02  8.20        2   30.3  15.00    10     93",
        "static-4  0.15  16.1  0.40  60.2  0.02  8.20        1   30.5  15.25     0     93",
        "θU: % of the demand missing, on average; θO: % beyond it; τU: % of the time with too few;",
        "τO: with too many; υ1: % of steps opposite to the demand's; υ2: % different from the",
        "demand's; changes: of the size; hours: of instances; cost: of these; over: minutes over",
        "the objective; worst: % late in the worst step",
    ]


def test_a_narrow_table_leaves_out_what_matters_less() -> None:
    name = "CPU > 65 % for 3 min, CPU < 30 % for 10 min"
    one = outcome(spells_of([10]))
    for width, shown in ((110, "υ2 worst"), (76, "υ2 worst"), (64, "τU worst"), (44, "over hours")):
        told = table([replace(one, policy=name)], width)
        assert max(map(len, told.splitlines())) <= width
        assert all(heading in told for heading in shown.split())
        assert "CPU > 65 % for 3 min" in told
    assert "cost" not in table([one], 100), "nobody told a price"


def test_the_picture_tells_itself_in_words() -> None:
    tree = ElementTree.fromstring(picture(SHORT))
    title, about = tree.find(f"{SVG}title"), tree.find(f"{SVG}desc")
    assert title is not None
    assert about is not None
    assert tree.get("role") == "img"
    assert tree.get("aria-labelledby") == f"{title.get('id')} {about.get('id')}"
    assert title.text == "Instances over 10 min: needed, and with spec"
    assert about.text == (
        "The traffic needed 1 to 4 instances; by spec there were 2 to 4. Too few in 2 min of"
        " 10 min, 60 s unknown."
    )


def test_names_are_text_and_bounded() -> None:
    tree = ElementTree.fromstring(picture(replace(SHORT, policy=HOSTILE)))
    assert {one.tag.removeprefix(SVG) for one in tree.iter()} == {
        *("svg", "title", "desc", "style", "rect", "text", "path", "g"),
    }
    assert max(len(one.text or "") for one in tree.iter(f"{SVG}text")) <= max(LONGEST_NAME, 50)


@pytest.mark.parametrize("steps", [1, 2, MONTH, 400_000])
def test_a_picture_has_a_bounded_size(steps: int) -> None:
    supply = [2 + number % 7 for number in range(steps)]
    demand: list[int | None] = [None if n % 97 == 3 else 1 + n % 9 for n in range(steps)]
    svg = picture(run(demand, supply))
    ElementTree.fromstring(svg)
    assert len(svg) < 80_000


def test_of_no_known_step_nothing_is_claimed() -> None:
    nobody = run([None] * 5, [2] * 5)
    assert "Of no step anybody knows" in picture(nobody)
    assert "?????" in plot(nobody, 80)
    assert "Never" not in plot(nobody, 80)
