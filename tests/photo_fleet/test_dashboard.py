"""The dashboards with the data of a fleet that a real Prometheus holds: none of them is empty, and
one page shows them all."""

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser

from photo_fleet.dashboard.boards import BOARDS, EVENTS
from photo_fleet.dashboard.html_page import Shown, page, verdict
from photo_fleet.dashboard.lines import MOST_LINES, drawn
from photo_fleet.dashboard.occurrences import occurrences
from photo_fleet.dashboard.panel import Unit
from photo_fleet.dashboard.prometheus import Asked, Prometheus, asked_of, everything
from photo_fleet.dashboard.readings import Answer, Series
from photo_fleet.dashboard.units import ticks, told
from photo_fleet.dashboard.window import MOST_POINTS, Window
from tests.browser_look import opened, seen
from tests.chromium import running_chromium
from tests.metrics.scraping import prometheus_with
from tests.photo_fleet.fleet_history import History, bring_in

pytestmark = pytest.mark.needs("prometheus", "promtool")

MINUTES = 36
SOURCE = "http://prometheus.example.org:9090"
HOSTILE = '"><script src=//evil.example.org></script>{{x}}\u202e'


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """What a Prometheus tells of a morning."""
    folder, end = tmp_path_factory.mktemp("history"), float(int(time.time()))
    bring_in(History(end, MINUTES), folder)
    with prometheus_with(folder, "") as server:
        window, answers = asyncio.run(
            Prometheus(server.url).read(
                Window(end - MINUTES * 60, end), everything(BOARDS, EVENTS), lambda _: None
            )
        )
    return Shown(BOARDS, EVENTS, answers, window, SOURCE, UTC)


def test_no_expression_comes_back_empty(shown: Shown) -> None:
    assert shown.window.interval == 60, "as it is scraped"
    for asked, answer in shown.answers.items():
        assert answer.whole, (asked, answer)
        assert any(one.values for one in answer.series), asked
        assert all(len(one.values) <= MOST_POINTS + 1 for one in answer.series), asked


def test_what_happened_is_marked_when_it_happened(shown: Shown) -> None:
    happened = occurrences(EVENTS, shown.answers, shown.window)
    begin = shown.window.start

    def minutes(title: str) -> list[int]:
        return [round((one.at - begin) / 60) for one in happened if one.event.title == title]

    assert minutes("Started") == [6, 9, 15, 22, 27]
    assert minutes("Draining") == [26]
    assert minutes("Taken to be down") == [12]
    assert [one.text for one in happened if one.event.title == "Process died"] == [
        "web of 10.0.1.11:8000"
    ]
    assert {"Gone", "Lost", "Drained"} <= {one.event.title for one in happened}
    assert "10.0.1.16:8000, release 0.13.0" in {one.text for one in happened}


def test_the_page_tells_all_of_it_and_needs_nothing_else(shown: Shown) -> None:
    text = page(shown)
    for board in BOARDS:
        for panel in board.panels:
            assert f"<h4>{escape(panel.title)}" in text
    assert text.count("<svg") == sum(one.kind != "stat" for b in BOARDS for one in b.panels)
    assert set(re.findall(r"https?://[^\s<\"]+", text)) == {SOURCE}
    assert "<script" not in text
    assert "Nothing was measured" not in text
    assert "Could not be read" not in text
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(svg)
    assert len(text) < 1_000_000


def test_an_instance_has_the_same_colour_everywhere(shown: Shown) -> None:
    colours = re.findall(r'<i class="(s\d+)"></i><b>(10\.0\.1\.\d+:8000)</b>', page(shown))
    assert len(colours) > 50
    assert len(set(colours)) == len({name for _, name in colours}) == 8


def test_labels_are_text_whatever_they_hold(shown: Shown) -> None:
    answers = {
        asked: replace(
            answer,
            series=tuple(
                replace(one, labels=dict.fromkeys(one.labels, HOSTILE)) for one in answer.series
            ),
        )
        for asked, answer in shown.answers.items()
    }
    text = page(replace(shown, answers=answers, source=HOSTILE))
    assert "<script" not in text
    assert "&lt;script src=//evil.example.org&gt;" in text
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ElementTree.fromstring(svg)


def test_a_big_fleet_stays_legible_and_small(shown: Shown) -> None:
    """Sixty instances: the busiest have lines, the others are one, or are counted."""
    start, step = shown.window.start, shown.window.step
    times = [start + step * number for number in range(MOST_POINTS)]

    def crowd(asked: Asked, answer: Answer) -> Answer:
        if "by (instance)" not in asked.expr:
            return answer
        series = (
            Series({"instance": f"10.9.{number}.1:8000"}, tuple((at, number / 9) for at in times))
            for number in range(60)
        )
        return Answer(tuple(series))

    answers = {asked: crowd(asked, answer) for asked, answer in shown.answers.items()}
    window = replace(shown.window, end=start + step * MOST_POINTS)
    many = replace(shown, answers=answers, window=window)
    requests, failed = BOARDS[1].panels[:2]
    lines = drawn(requests, many.of(requests), {})
    assert [line.name for line in lines.lines][-1] == "50 others"
    assert len(lines.lines) == MOST_LINES + 1
    assert lines.lines[-1].last == pytest.approx(sum(range(50)) / 9)
    assert drawn(failed, many.of(failed), {}).hidden == 60 - MOST_LINES
    assert len(page(replace(many, boards=BOARDS[1:2]))) < 1_000_000


def test_without_data_or_answers_it_says_so(shown: Shown) -> None:
    nothing = replace(shown, answers=dict.fromkeys(shown.answers, Answer()))
    text = page(nothing)
    assert verdict(nothing)[1] == "nothing is known of this fleet"
    assert text.count("Nothing was measured in this time") == sum(len(b.panels) for b in BOARDS)
    away = dict.fromkeys(shown.answers, Answer(problem="no answer within 10 s"))
    text = page(replace(shown, answers=away))
    assert "Could not be read, or not as a whole: " in text
    assert text.count("Could not be read: no answer within 10 s") == sum(
        len(board.panels) for board in BOARDS
    )
    partly = dict(shown.answers)
    panel = BOARDS[0].panels[5]
    partly[asked_of(panel)[0]] = Answer(problem="no answer within 10 s")
    text = page(replace(shown, answers=partly))
    assert text.count("Not all of it: no answer within 10 s") == 1


def test_objectives_that_are_missed_are_named(shown: Shown) -> None:
    assert verdict(shown)[0] == "bad"
    assert "Writes within 1 s" in verdict(shown)[1]
    fine = {
        asked: Answer((Series({}, ((shown.window.end, 1.0),)),)) if asked.at_end else answer
        for asked, answer in shown.answers.items()
    }
    assert verdict(replace(shown, answers=fine)) == ("good", "all 4 objectives are met")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.99954, "percentunit", "99.954 %"),
        (0.9999999, "percentunit", "99.999 %"),
        (1.0, "percentunit", "100 %"),
        (0.0012, "percentunit", "0.12 %"),
        (0.0321, "s", "32.1 ms"),
        (0.0, "s", "0 s"),
        (7200.0, "s", "2 h"),
        (3_400_000.0, "Bps", "3.24 MiB/s"),
        (1536.0, "bytes", "1.5 KiB"),
        (184_000.0, "short", "184k"),
        (999.96, "reqps", "1000/s"),
        (float("nan"), "short", "–"),
        (-4.5, "percentunit", "-450 %"),
        (1e-9, "ops", "0/s"),
        (1e30, "short", "1000000000000000P"),
    ],
)
def test_numbers_are_told_with_their_unit(value: float, unit: Unit, text: str) -> None:
    assert told(value, unit) == text


@pytest.mark.parametrize("unit", ["short", "percentunit", "s", "bytes", "reqps", "cores"])
@pytest.mark.parametrize("ends", [(0, 1), (0, 1e-9), (0.97, 1), (0, 7e12), (-3, 4), (0, 3601)])
def test_an_axis_has_few_round_numbers_around_the_data(
    unit: Unit, ends: tuple[float, float]
) -> None:
    found = ticks(*ends, unit)
    assert found[0] <= ends[0] + 1e-9
    assert found[-1] >= ends[1] * (1 - 1e-9)
    assert 2 <= len(found) <= 7


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.mark.needs("chromium")
def test_a_browser_shows_it_light_dark_and_on_a_phone(
    shown: Shown, browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(shown), encoding="utf-8")
    backgrounds = set()
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
        with opened(browser, path, scheme, width) as there:
            found = seen(there, LOOK)
            assert found["spilling"] == [], (scheme, width)
            assert found["narrowest"] > 200, "a picture can be read"
            assert found["smallest"] >= 10, "and so can its ticks"
            assert found["contrast"] >= 4.5
            assert found["line"] not in ("none", found["rule"])
            backgrounds.add(found["background"])
            assert len(there.screenshot()) > 20_000
    assert len(backgrounds) == 2, "light and dark"


LOOK = """
    spilling: all('.card h4, .card .meaning, .chart, .legend li, .value, .lanes u')
        .filter((one) => !inside(one)).map((one) => one.textContent),
    narrowest: Math.min(...all('svg').map((one) => one.getBoundingClientRect().width)),
    smallest: parseFloat(look('.chart', 'fontSize')),
    contrast: contrast(['.meaning', '.chart', '.legend span', '.value.bad'], '.card'),
    line: look('svg .line', 'stroke'), rule: look('svg .rule', 'stroke'),
    background: look('body', 'backgroundColor'),
"""
