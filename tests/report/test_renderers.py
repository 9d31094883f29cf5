"""How a report is told: nothing that a fleet names is more than text, what is unknown never looks
like what passes, and machines find all of it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from html import escape
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from photo_fleet.report.conclusion import conclusion, headline
from photo_fleet.report.html_page import page
from photo_fleet.report.json_body import dumps
from photo_fleet.report.line import Curve, Plot, Report, Verdict
from photo_fleet.report.markdown import code, escaped, markdown
from photo_fleet.report.visible import LONGEST_CELL, visible
from tests.report.reports import DAY, END, HOSTILE, SECRET, hostile, usual

SEOUL = timezone(timedelta(hours=9), "KST")
NOBODY_SEES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")

Renderer = Callable[[Report], str]
RENDERERS = [
    pytest.param(lambda report: markdown(report, SEOUL), id="markdown"),
    pytest.param(lambda report: page(report, SEOUL), id="html"),
    pytest.param(dumps, id="json"),
]


def rendered(text: str) -> str:
    """What a reader of Markdown makes of it, with tables and with whatever else GitHub knows."""
    made: str = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text)
    return made


@pytest.mark.parametrize("render", RENDERERS)
def test_secrets_and_what_terminals_obey_stay_out(render: Renderer) -> None:
    text = render(hostile())
    assert SECRET not in text
    assert not NOBODY_SEES.search(text)
    assert "evil.example.org" in text, "it is told of"
    assert len(text) < 100_000


@pytest.mark.parametrize("render", RENDERERS)
def test_all_of_a_line_is_told(render: Renderer) -> None:
    text = render(usual())
    for line in usual().lines:
        assert line.question in text
        assert line.answer in text
        assert line.why_unknown in text
        for plot in line.plots:
            assert plot.title in text or not plot.curves
    for told in ("look for connections that stay", "photo-fleet doctor --only traffic -v", "12345"):
        assert told in text
    for source in usual().sources:
        assert source in text


def test_markup_in_a_text_is_text() -> None:
    """Read by another program than ours: no link, image, heading, cell or element comes of it."""
    told = rendered(markdown(hostile(), SEOUL))
    assert not re.search(r"<(a|img|script|style|s|em|del|h3)\b|<!--|javascript:[^a]", told)
    assert told.count("<strong>") == 3, "the headline, and the verdict twice"
    assert told.count("<h1>") == told.count("<h2>") == 1
    rows = re.findall(r"<tr>(.*?)</tr>", told, re.S)
    assert {len(re.findall("<t[hd]>", row)) for row in rows} == {2, 3, 4}
    assert len(re.findall("<table>", told)) == 5
    cell = escape(visible(hostile()).lines[0].question).replace("&#x27;", "'")
    assert told.count(cell) >= 4, "as it was written"


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE, "", "1. a", "# a", "- a", "+", "===", "---", "> a", "`", "``", "` a `", "a\\", "|",
        "\\|", "[a]: b", "&lt;", "&#x41;", "a_b_c", "_a_", "__init__", "*a*", "~a~", "<b>", "a\tb",
        "$a$", "   a", "10.0.1.10:8000", "5) a", "a|b`c|d`", "![a](b)", "a #", "a ##",
    ],
)  # fmt: skip
def test_any_text_stays_what_it_is(text: str) -> None:
    """Alone on a line, in a heading and in a cell, as prose and as code."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    assert rendered(escaped(line)).strip() == (f"<p>{_in_html(line)}</p>" if line else "")
    table = rendered(f"| a | b |\n| --- | --- |\n| {escaped(line)} | c |\n")
    assert re.findall("<td>(.*)</td>", table) == [_in_html(line), "c"]
    if line:
        assert rendered(f"## {escaped(line)}").strip() == f"<h2>{_in_html(line)}</h2>"
        assert rendered(f"a {code(line)} b").strip() == f"<p>a <code>{_in_html(line)}</code> b</p>"


def _in_html(text: str) -> str:
    return escape(text).replace("&#x27;", "'")


def test_addresses_are_left_legible() -> None:
    for text in ("10.0.1.10:8000", "worker_died", "99.98 % of 28,800", "p95 > 0.3 s", "-5", "a-b"):
        assert escaped(text) == text


def test_the_page_needs_nothing_else_and_runs_nothing() -> None:
    for report in (usual(), hostile()):
        text = page(report, SEOUL)
        assert "<script" not in text
        assert "<img" not in text
        assert "<!--" not in text
        assert text.count("<style>") == text.count("</style>") == 1
        assert "default-src 'none'" in text
        assert not re.findall(r'(?:src|href)="(?!#|data:,)', text)
        assert not re.findall(r"url\(|@import", text)
        ElementTree.fromstring(text[text.index("<body>") : text.index("</html>")])


def test_numbers_that_are_none_are_not_drawn() -> None:
    text = page(hostile(), SEOUL)
    assert not re.search(r"\b(nan|inf)\b", re.sub(r"<title>.*?</title>", "", text))
    assert "Shall be at most –" not in text, "a bound that is no number"
    without = replace(usual().lines[1].plots[0], curves=())
    line = replace(usual().lines[1], plots=(without,))
    assert "Nothing was measured in this time" in page(replace(usual(), lines=(line,)), SEOUL)


def test_a_bound_is_in_its_picture() -> None:
    """Whether it is one from above or from below, of shares or of numbers."""
    text = page(usual(), SEOUL)
    bounds = re.findall(r'class="goal" d="M0 (\d+)H', text)
    assert len(bounds) == 3
    assert all(0 < int(one) < 1000 for one in bounds)
    for told in ("at least 99.5 %", "at most 300 ms", "at least 2 "):
        assert f"Shall be {told}" in text


def test_curves_are_whole_lines_whatever_their_distance() -> None:
    """Points an hour apart are no gaps, and a gap is one."""
    text = page(usual(), SEOUL)
    paths = re.findall(r'<path class="line [^"]*" d="(M[^"]*)"', text)
    assert len(paths) == 5 + 5 + 1 + 1
    assert {path.count("M") for path in paths} == {1}
    plot = usual().lines[1].plots[2]
    holed = replace(plot, curves=(replace(plot.curves[0], points=(
        *plot.curves[0].points[:10], *plot.curves[0].points[14:])),))  # fmt: skip
    report = replace(usual(), lines=(replace(usual().lines[1], plots=(holed,)),))
    (path,) = re.findall(r'<path class="line [^"]*" d="(M[^"]*)"', page(report, SEOUL))
    assert path.count("M") == 2


def test_stairs_have_no_gaps() -> None:
    """A size that changes seldom holds until the next change."""
    begin, later, end = END - DAY, END - 3600, END
    points = ((begin, 3.0), (later, 3.0), (later, 4.0), (end, 4.0))
    plot = Plot("Instances", "short", (Curve("instances", points),))
    report = replace(usual(), lines=(replace(usual().lines[1], plots=(plot,)),))
    (path,) = re.findall(r'<path class="line [^"]*" d="(M[^"]*)"', page(report, SEOUL))
    assert (path.count("M"), path.count("L")) == (1, 3)


def test_an_instance_has_the_same_colour_everywhere() -> None:
    found = re.findall(r'<i class="(\w+)"></i><b>(10\.0\.1\.\d+:8000)</b>', page(usual(), SEOUL))
    assert len(found) == 10
    assert len(set(found)) == 5


def test_times_are_told_with_their_zone() -> None:
    told = "2026-10-23 09:00 to 2026-10-24 09:00 KST (UTC+09:00)"
    assert told in markdown(usual(), SEOUL)
    assert told in page(usual(), SEOUL)
    assert "2026-10-23 00:00 to 2026-10-24 00:00 UTC," in markdown(usual(), UTC)
    assert json.loads(dumps(usual()))["end"] == "2026-10-24T00:00:00Z"


@pytest.mark.parametrize(
    ("verdicts", "worst", "told"),
    [
        (["pass", "pass"], "pass", "all 2 pass"),
        (["pass", "unknown"], "unknown", "0 of 2 fail, 1 unknown, 1 pass"),
        (["unknown", "fail"], "fail", "1 of 2 fail, 1 unknown, 0 pass"),
        ([], "unknown", "0 of 0 fail, 0 unknown, 0 pass"),
    ],
)
def test_unknown_never_looks_like_pass(verdicts: list[Verdict], worst: Verdict, told: str) -> None:
    line = usual().lines[3]
    report = replace(usual(), lines=tuple(replace(line, verdict=one) for one in verdicts))
    assert conclusion(report) == worst
    assert headline(report) == told
    for text in (markdown(report, UTC), page(report, UTC)):
        assert told in text
        assert text.index(told) < text.find(line.question, 1) or not verdicts, "first"
    assert json.loads(dumps(report))["verdict"] == worst


def test_without_colours_a_verdict_is_a_word() -> None:
    text = re.sub(r'class="[^"]*"', "", page(usual(), UTC))
    for word, count in (("✓ pass", 4), ("✗ FAIL", 2), ("? unknown", 2)):
        assert text.count(f">{word}<") == count
    table = markdown(usual(), UTC)
    for word, count in (("| pass |", 2), ("| **FAIL** |", 1), ("| **unknown** |", 1)):
        assert table.count(word) == count


def test_lines_stand_in_the_order_of_the_check_list() -> None:
    questions = [line.question for line in usual().lines]
    for text in (page(usual(), UTC), markdown(usual(), UTC)):
        assert sorted(questions, key=text.index) == questions
    body = json.loads(dumps(usual()))
    assert [line["question"] for line in body["lines"]] == questions


def test_machines_find_all_of_it() -> None:
    body = json.loads(dumps(usual()))
    assert body["format"] == 1
    assert body["counts"] == {"pass": 2, "fail": 1, "unknown": 1}
    line = body["lines"][1]
    assert (line["code"], line["verdict"]) == ("traffic-even", "fail")
    assert line["tables"][0]["left_out"] == 3
    assert len(line["tables"][0]["rows"]) == 5
    plot = line["plots"][1]
    assert (plot["unit"], plot["limit"], plot["at_least"]) == ("s", 0.3, False)
    assert len(plot["curves"][0]["points"]) == 241
    odd = json.loads(dumps(hostile()))["lines"][0]["plots"][0]
    assert odd["limit"] is None
    assert [value for _, value in odd["curves"][0]["points"]] == [None, None, 3.0]


def test_long_texts_are_cut() -> None:
    cell = visible(hostile()).lines[0].tables[0].rows[2][1]
    assert len(cell) == LONGEST_CELL
    assert cell.endswith("…")


@pytest.mark.parametrize("render", RENDERERS)
def test_commands_can_be_pasted(render: Renderer) -> None:
    """A variable is no secret, in whatever form it is told."""
    command = (
        "curl -sS -H 'Authorization: Bearer $PHOTO_API_OPS_TOKEN' http://10.0.1.10:8000/health"
    )
    line = replace(usual().lines[1], command=command)
    assert "Bearer $PHOTO_API_OPS_TOKEN" in render(replace(usual(), lines=(line,)))
