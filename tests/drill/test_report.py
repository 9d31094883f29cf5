"""The three reports of a drill: terminal, JSON, and a page that needs nothing but itself."""

import io
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Page
from rich.console import Console

from photo_fleet.drill.gates import MEANINGS
from photo_fleet.drill.records import Discrepancies, Fault, Outcome, Record, Sample
from photo_fleet.drill.report import json_body
from photo_fleet.drill.report.html_page import page
from photo_fleet.drill.report.svg_timeline import description, timeline
from photo_fleet.drill.report.text_tables import percent, seconds, summary
from photo_fleet.drill.scenarios import SCENARIOS
from photo_fleet.drill.verdict import Drill, Judged, judge
from tests.chromium import running_chromium
from tests.drill.handmade import BEGAN, ENDED, HIT, Requests, bad, quiet_run

HOSTILE = "<script>alert('1')</script> [bold]& \"http://a.example/x?X-Amz-Signature=beef\"\x1b[31m"
VOID = {"meta", "link", "br", "img", "input", "hr"}

make = Requests().make


def judged(name: str, record: Record) -> Judged:
    scenario = next(item for item in SCENARIOS if item.name == name)
    return Judged(scenario, record, judge(record, scenario.gate))


def drill(*items: Judged) -> Drill:
    return Drill(
        began="2026-01-02T03:04:05+09:00",
        command="photo-fleet drill --seed 1",
        release="0.1.0",
        machine="2 cores",
        judged=items,
    )


def good() -> Judged:
    return judged("scale-in", quiet_run(scenario="scale-in"))


def broken() -> Judged:
    """A kill in which all that can go wrong did, told in words that want to be more than words."""
    record = quiet_run(
        make(9, 10.1, **bad(Outcome.FAILED, 502, detail=HOSTILE)),
        make(9, 10.1, method="POST", kind="upload", **bad(Outcome.REFUSED, 503)),
        make(9, 10.2, **bad(Outcome.CUT, 200)),
        make(3, **bad(Outcome.REFUSED, 404, kind="<missing>")),
        make(9, 69, **bad(Outcome.LOST)),
        scenario="kill-instance",
        fault=Fault("kill-instance", BEGAN, BEGAN, HIT),
        discrepancies=Discrepancies(duplicates=(HOSTILE,), ghosts=("photo 7",)),
        samples=(Sample(0, {"ready": 3}), Sample(10, {"ready": 2, "<odd>": 1})),
    )
    return judged("kill-instance", record)


def compared() -> Judged:
    record = quiet_run(make(12, **bad(Outcome.FAILED, 502)), scenario="health-only")
    return judged("health-only", record)


def printed(told: Drill, width: int = 140) -> str:
    output = io.StringIO()
    Console(file=output, width=width, color_system=None).print(summary(told))
    return output.getvalue()


class Outline(HTMLParser):
    """What a page consists of; raises where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


def test_a_drill_holds_if_every_gate_does() -> None:
    assert drill(good(), compared()).holds
    assert not drill(good(), broken()).holds
    assert not drill().holds, "nothing was proven"


def test_the_summary_has_a_row_for_each_scenario_and_a_line_for_each_violation() -> None:
    text = printed(drill(good(), compared(), broken()))
    first, second = text.split("\nSeconds")
    rows = {line.split()[0]: line for line in first.splitlines() if line[:1].isalpha()}
    assert all(f"\n{name} " in second for name in ("scale-in", "health-only", "kill-instance"))
    assert max(map(len, first.splitlines())) <= 140
    assert " holds " in rows["scale-in"]
    assert " not gated " in rows["health-only"]
    assert " VIOLATED " in rows["kill-instance"]
    for item in broken().verdict.violations:
        assert f"kill-instance: {item.rule} × {item.count}: {MEANINGS[item.rule]}" in text
    assert "health-only: " not in text
    assert text.rstrip().endswith("1 of 3 gates are violated.")
    assert printed(drill(good())).rstrip().endswith("Every gate holds.")
    assert printed(drill()).rstrip().endswith("No scenario ran.")


def test_the_summary_takes_no_words_for_markup_and_keeps_secrets() -> None:
    text = printed(drill(broken()), width=400)
    assert "<script>alert('1')</script> [bold]&" in text
    assert "\x1b" not in text
    assert "beef" not in text


def test_the_numbers_of_a_row_are_right() -> None:
    record = quiet_run(
        make(12, 14.5, **bad(Outcome.REFUSED, 503)),
        make(12, target="store", **bad(Outcome.FAILED, 500)),
        fault=Fault("store-restart", BEGAN, ENDED),
        scenario="store-restart",
        stall=0.25,
    )
    text = printed(drill(judged("store-restart", record)))
    rows = [line for line in text.splitlines() if line.startswith("store-restart")]
    assert [re.sub(r"\s+", " ", row).strip() for row in rows] == [
        # requests, refused, failed, cut, lost, effects, store, bound, faults
        "store-restart holds 62 1 0 0 0 0 1 14 % 1",
        # p50s, p99s, recovery, stall
        "store-restart 0.020 / 0.020 / 0.020 0.020 / 2.5 / 0.020 0.520 0.250",
    ]
    assert max(len(line.rstrip()) for line in rows) <= 100


def test_what_could_not_be_carried_out_is_told_and_proves_nothing() -> None:
    told = replace(drill(good()), unfinished=(f"steady: {HOSTILE}",))
    assert not told.holds
    text = printed(told, width=400)
    assert "could not be carried out: steady: <script>" in text
    assert text.rstrip().endswith("Every gate holds; 1 could not be carried out.")
    assert "could not be carried out" not in printed(drill(good()))
    body = json_body.body(told)
    assert (body["holds"], len(body["unfinished"])) == (False, 1)
    shown = page(told)
    assert "<li>steady: &lt;script&gt;" in shown
    assert 'class="violated"' in shown
    assert "beef" not in shown + json.dumps(body)


def test_numbers_have_the_digits_that_matter() -> None:
    assert [percent(value) for value in (0, 0.00012, 0.0345, 0.5, 0.999, 1)] == [
        *("0 %", "0.012 %", "3.5 %", "50 %", "100 %", "100 %"),
    ]
    assert [seconds(value) for value in (None, 0.0123, 1.26, 70)] == ["–", "0.012", "1.3", "70.0"]


def test_json_has_the_keys_that_its_description_names() -> None:
    told = json.loads(json_body.dumps(drill(good(), broken())))
    assert told["format"] == json_body.FORMAT
    documented = set(re.findall(r"[a-z0-9_]+", json_body.__doc__ or ""))

    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            inner = [keys(item) for key, item in value.items() if key != "states"]
            return set(value) | {name for names in inner for name in names}
        return {name for item in value for name in keys(item)} if isinstance(value, list) else set()

    assert keys(told) <= documented
    first, second = told["scenarios"]
    assert (told["holds"], first["holds"], second["holds"]) == (False, True, False)
    assert {item["rule"] for item in second["violations"]} >= {"read-failed", "duplicate", "ghost"}
    assert first["latency"]["before"]["count"] == 10
    assert first["latency"]["before"]["p99"] == pytest.approx(0.02)
    assert sum(item["lost"] for item in second["timeline"]) == 1
    assert second["counts"][0].keys() == {
        *("target", "kind", "ok", "provoked", "refused", "failed", "cut", "lost"),
    }
    assert second["faults"][0]["instance"] == HIT
    assert "beef" not in json.dumps(told)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = page(drill(good(), compared(), broken()))
    outline = Outline(text)
    assert outline.tags["script"] == outline.tags["img"] == outline.tags["iframe"] == 0
    assert all(value.startswith(("#s", "data:")) for value in outline.values("href"))
    assert outline.values("src") == []
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import", text)
    ids = outline.values("id")
    assert len(ids) == len(set(ids))
    named = [name for value in outline.values("aria-labelledby") for name in value.split()]
    targets = [value[1:] for value in outline.values("href") if value.startswith("#")]
    assert {*named, *targets} <= set(ids)


def test_the_page_shows_words_as_words_and_keeps_secrets() -> None:
    text = page(drill(broken()))
    assert "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;" in text
    assert "&lt;missing&gt;" in text
    assert "&lt;odd&gt;" in text
    assert "beef" not in text
    asked = Drill("now", "drill --target http://me:hunter2@h/?token=beef", "1", "<2>", ())
    for report in (page(asked), json_body.dumps(asked)):
        assert "hunter2" not in report
        assert "beef" not in report
    assert "&lt;2&gt;" in page(asked)


def test_tables_have_captions_and_pictures_have_words() -> None:
    outline = Outline(page(drill(good(), broken())))
    assert outline.tags["caption"] == outline.tags["table"] >= 10
    assert outline.tags["svg"] == outline.tags["desc"] == 2
    assert outline.values("role") == ["img", "img"]
    assert "kill-instance from 10.0 to 10.0 s" in description(broken().record)


def test_the_timeline_marks_faults_and_stacks_requests() -> None:
    record = broken().record
    picture = ElementTree.fromstring(timeline(record, "s1"))
    assert [group.attrib.get("class") for group in picture.iter("g")].count("fault") == 1
    titles = [title.text or "" for title in picture.iter("title")]
    assert "kill-instance" in titles
    assert "69–70 s: lost 1" in titles
    assert len([title for title in titles if re.match(r"\d+–\d+ s: ", title)]) == 31
    assert {path.attrib.get("class") for path in picture.iter("path")} >= {"p50", "p99", "rule"}
    inside = [
        float(box.attrib[side]) + float(box.attrib[size]) <= limit
        for box in picture.iter("rect")
        for side, size, limit in (("x", "width", 948.1), ("y", "height", 450))
    ]
    assert all(inside)
    assert all(float(box.attrib["height"]) >= 0 for box in picture.iter("rect"))


def test_a_record_of_nothing_has_a_picture_too() -> None:
    empty = quiet_run(requests=(), faults=(), samples=())
    ElementTree.fromstring(timeline(empty, "s1"))
    assert "violated" in page(drill(judged("scale-in", empty)))


@pytest.mark.parametrize("rate", [1, 40, 900])
def test_the_picture_stays_small_however_long_or_busy_a_run_is(rate: int) -> None:
    record = quiet_run(*(make(number / rate) for number in range(rate * 20)))
    assert len(timeline(record, "s1")) < 60_000
    hour = quiet_run(make(1, 3600.0))
    assert len(timeline(hour, "s1")) < 100_000


def in_browser(path: Path, look: Callable[[Page], None]) -> tuple[list[str], list[str]]:
    """What the browser asked for, and its complaints."""
    asked: list[str] = []
    complaints: list[str] = []
    with running_chromium() as browser:
        opened = browser.new_page()
        opened.on("request", lambda request: asked.append(request.url))
        opened.on("requestfailed", lambda request: complaints.append(request.url))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on(
            "console",
            lambda line: (
                complaints.append(line.text) if line.type in ("error", "warning") else None
            ),
        )
        opened.goto(path.as_uri())
        look(opened)
    return asked, complaints


@pytest.mark.needs("chromium")
def test_a_browser_shows_the_page_without_network_and_without_complaint(tmp_path: Path) -> None:
    path = tmp_path / "drill.html"
    path.write_text(page(drill(good(), compared(), broken())), encoding="utf-8")

    def look(opened: Page) -> None:
        assert opened.title() == "Drill: 1 of 3 gates are violated"
        boxes = [svg.bounding_box() for svg in opened.locator("svg").all()]
        assert [box is not None and box["width"] > 300 for box in boxes] == [True] * 3
        assert opened.get_by_role("img", name="Timeline of kill-instance").count() == 1
        opened.get_by_role("link", name="kill-instance").click()
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert opened.locator("svg rect").first.evaluate("e => getComputedStyle(e).fill") != "none"
        assert len(opened.pdf()) > 10_000

    asked, complaints = in_browser(path, look)
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
