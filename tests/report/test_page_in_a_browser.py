"""A report's page in a real browser: on a screen, on a phone, in the dark and on paper."""

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from photo_fleet.report.html_page import page
from photo_fleet.report.line import Report
from tests.browser_look import opened, seen
from tests.chromium import running_chromium
from tests.report.reports import hostile, usual

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.mark.parametrize("report", [usual(), hostile()], ids=["usual", "hostile"])
def test_it_is_legible_everywhere(browser: Browser, report: Report, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(report, UTC), encoding="utf-8")
    backgrounds = set()
    for scheme, width in (("light", 1400), ("dark", 1400), ("light", 360)):
        with opened(browser, path, scheme, width) as there:
            found = seen(there, LOOK)
        assert found["spilling"] == [], (scheme, width)
        assert found["untitled"] == 0
        assert found["ticks"] >= 2
        assert found["narrowest"] > 200
        assert found["smallest"] >= 10
        assert found["contrast"] >= 4.5, (scheme, width)
        backgrounds.add(found["background"])
    assert len(backgrounds) == 2, "light and dark"


def test_it_goes_to_paper(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(usual(), UTC), encoding="utf-8")
    with opened(browser, path, "light", 1000) as there:
        assert there.pdf(format="A4").count(b"/Type /Page\n") in (2, 3)
        there.emulate_media(media="print")
        found = seen(there, LOOK)
    assert found["spilling"] == []
    assert found["badges"].count("? unknown") == 2, "also without colours"


LOOK = """
    spilling: all('.card h2, .card h3, .card dd, .chart, .legend li, .note, .badge, .table')
        .filter((one) => !inside(one)).map((one) => one.textContent),
    untitled: all('figure').filter((one) => !one.querySelector('h3').textContent).length,
    ticks: Math.min(...all('.chart .x, .chart .y').map((one) => one.children.length)),
    narrowest: Math.min(...all('svg').map((one) => one.getBoundingClientRect().width)),
    smallest: parseFloat(look('.chart', 'fontSize')),
    contrast: Math.min(contrast(['.line dt', '.chart', '.legend span'], '.card'),
        contrast(['.badge.fail'], '.badge.fail')),
    badges: all('.badge').map((one) => one.innerText),
    background: look('body', 'backgroundColor'),
"""
