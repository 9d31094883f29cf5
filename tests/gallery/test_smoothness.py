"""The timeline stays smooth: short tasks, few elements, requests for what is in view, no shifts. On
a slow machine it paints soon."""

import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self

import psutil
import pytest
from playwright.sync_api import Page

from tests.gallery.conftest import Size, Visit
from tests.gallery.many_photos import many_photos
from tests.service import Service, User, eventually

pytestmark = pytest.mark.needs("chromium")

LONGEST_TASK = 50
"""Milliseconds of processor time: what else runs on the machine does not count."""
MOST_ELEMENTS = 1_500
SHIFTED = 0.05

OBSERVE = """
window.shifted = 0;
window.tasks = [];
new PerformanceObserver(list => {
    for (const {startTime, duration} of list.getEntries())
        window.tasks.push([performance.timeOrigin + startTime, duration]);
}).observe({type: "longtask", buffered: true});
new PerformanceObserver(list => {
    for (const entry of list.getEntries()) window.shifted += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""


@pytest.mark.slow
def test_thousands_are_scrolled_smoothly(collector: User, visit: Callable[..., Visit]) -> None:
    scrolled_through(visit(user=collector, size="phone"))


@pytest.mark.long
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_hundred_thousand_are_as_smooth(
    stack: dict[str, Any], gallery: Service, visit: Callable[..., Visit], size: Size
) -> None:
    """Some 900 a month for nine years."""
    user = gallery.new_user()
    many_photos(stack, gallery, user, 100_000, 48)
    scrolled_through(visit(user=user, size=size))


def scrolled_through(seen: Visit) -> None:
    page = seen.page
    page.add_init_script(OBSERVE)
    with ProcessorTime() as spent:
        elements = walked(seen)
        tasks = [
            (round(spent.between(begin / 1000, (begin + duration) / 1000) * 1000), round(duration))
            for begin, duration in page.evaluate("window.tasks")
        ]
    assert all(used <= LONGEST_TASK for used, _ in tasks), tasks
    assert max(elements) < MOST_ELEMENTS, elements
    assert page.evaluate("window.shifted") < SHIFTED


def walked(seen: Visit) -> list[int]:
    """How many elements there were after each part of the way."""
    page = seen.page
    seen.go("/")
    in_view(page)
    # What it takes to begin is the business of the test of the first paint.
    page.evaluate("window.tasks = []")
    elements = [count(page)]
    asked = len(seen.requested)
    # A wheel that is turned on and on, then the months at the side, flown over.
    page.mouse.move(150, 400)
    for _ in range(30):
        page.mouse.wheel(0, 900)
        page.wait_for_timeout(16)
    elements.append(count(page))
    in_view(page)
    page.wait_for_timeout(100)
    flown_over(page)
    elements.append(count(page))
    in_view(page)
    seen.picture("flown")
    page.keyboard.press("End")
    in_view(page)
    elements.append(count(page))
    months = [url for url in seen.requested[asked:] if "/api/timeline/" in url]
    assert 0 < len(months) < 40, months
    return elements


def flown_over(page: Page) -> None:
    """The handle at the side is dragged from the top to near the bottom, in sixty steps."""
    handle = page.locator(".scrubber .handle")
    page.mouse.wheel(0, -200)
    box = handle.bounding_box()
    track = page.locator(".scrubber").bounding_box()
    assert box is not None
    assert track is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    end = track["y"] + track["height"] * 0.8
    for step in range(1, 61):
        page.mouse.move(x, y + (end - y) * step / 60)
        page.wait_for_timeout(16)
    page.mouse.up()


def in_view(page: Page) -> None:
    """Photos are on the screen, each with its picture."""
    shown = """() => {
        const box = document.querySelector(".box")?.getBoundingClientRect();
        if (!box) return false;
        const tiles = [...document.querySelectorAll("[data-index]")].filter(tile => {
            const at = tile.getBoundingClientRect();
            return at.bottom > box.top && at.top < box.bottom;
        });
        return tiles.length > 3 && tiles.every(tile => tile.querySelector("img.drawn"));
    }"""
    eventually(lambda: page.evaluate(shown), 30)


def count(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('*').length"))


class ProcessorTime:
    """What the main threads of this process's Chromium use, looked at every few milliseconds: a
    task that took long because others had the processor was no long one."""

    def __init__(self) -> None:
        self._pids = list[int]()
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it may have ended, or be ending
                if "--type=renderer" in child.cmdline():
                    self._pids.append(child.pid)
        self._seen: list[tuple[float, float]] = []
        self._over = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> float:
        """Seconds of processor time between two moments."""
        return self._until(end) - self._until(begin)

    def _until(self, moment: float) -> float:
        after = bisect_right(self._seen, (moment, 0.0))
        (t1, used1), (t2, used2) = self._seen[after - 1], self._seen[after]
        return used1 + (used2 - used1) * (moment - t1) / (t2 - t1)

    def _look(self) -> None:
        while not self._over.wait(0.004):
            used = 0
            for pid in self._pids:
                with suppress(OSError):
                    used += int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])
            self._seen.append((time.time(), used / 1e9))


AT_ONE_SECOND = 3
"""How much longer than a page of one picture the timeline may take to its first paint, on a
processor four times slower: that page takes some 330 ms here."""


@pytest.mark.slow
def test_the_first_paint_comes_soon_on_a_slow_machine(
    collector: User, visit: Callable[..., Visit]
) -> None:
    seen = visit(user=collector)
    session = seen.page.context.new_cdp_session(seen.page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    times: dict[str, list[float]] = {"/icon.svg": [], "/": []}
    for _ in range(4):
        for path, found in times.items():
            seen.go(path)
            found.append(eventually(lambda: painted(seen.page)))
    # The shortest: others have the processor, too.
    empty, timeline = map(min, times.values())
    assert timeline / empty < AT_ONE_SECOND


def painted(page: Page) -> float:
    """Milliseconds from the navigation to the first contentful paint; 0: there was none yet."""
    found = page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
    )
    return float(found)
