"""The picture of a replay in a real browser: on a phone and on a wide screen, light and dark."""

from pathlib import Path

import pytest

from photo_fleet.replay.picture import picture
from tests.browser_look import opened, seen
from tests.chromium import running_chromium
from tests.replay.runs import run

pytestmark = pytest.mark.needs("chromium")


def test_it_is_legible_everywhere(tmp_path: Path) -> None:
    demand = [None if 500 < n < 600 else 1 + n // 150 for n in range(1440)]
    path, grounds = tmp_path / "replay.svg", set()
    name = "CPU > 65 % for 3 min & more"
    path.write_text(picture(run(demand, [1 + n // 200 for n in range(1440)], name)), "utf-8")
    with running_chromium() as browser:
        for scheme, width in (("light", 1400), ("dark", 1400), ("light", 360), ("dark", 360)):
            with opened(browser, path, scheme, width) as there:
                found = seen(there, LOOK)
            assert found["spilling"] == [], (scheme, width)
            assert found["overlapping"] == [], (scheme, width)
            assert found["smallest"] >= 10, (scheme, width)
            assert found["contrast"] >= 4.5, (scheme, width)
            assert found["marks"] >= 3, (scheme, width)
            grounds.add(found["ground"])
    assert len(grounds) == 2, "light and dark"


LOOK = """
    spilling: all('text').filter((one) => {
        const box = one.getBoundingClientRect();
        const whole = document.querySelector('.ground').getBoundingClientRect();
        return box.left < whole.left || box.right > whole.right || box.bottom > whole.bottom;
    }).map((one) => one.textContent),
    overlapping: all('text').filter((one) => all('text').some((other) => {
        const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
        return one !== other && a.left < b.right && b.left < a.right
            && a.top + 4 < b.bottom && b.top + 4 < a.bottom;
    })).map((one) => one.textContent),
    smallest: Math.min(...all('text').map((one) => parseFloat(getComputedStyle(one).fontSize)
        * one.getScreenCTM().a)),
    contrast: Math.min(...['.axis text', '.heading'].map((what) =>
        ratio(light(look(what, 'fill')), light(look('.ground', 'fill'))))),
    marks: Math.min(ratio(light(look('.there', 'stroke')), light(look('.ground', 'fill'))),
        ratio(light(look('.short', 'fill')), light(look('.ground', 'fill')))),
    ground: look('.ground', 'fill'),
"""
