"""A page of ours as a real browser shows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

PRELUDE = """
    const all = (what) => [...document.querySelectorAll(what)];
    const look = (what, name) => getComputedStyle(document.querySelector(what))[name];
    const light = (colour) => {
        const part = colour.match(/[0-9.]+/g).slice(0, 3).map((one) => {
            const value = one / 255;
            return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
    };
    const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const inside = (one) => {
        const card = one.closest('.card').getBoundingClientRect();
        const box = one.getBoundingClientRect();
        return !box.width || box.left >= card.left - 1 && box.right <= card.right + 1;
    };
    const contrast = (whats, ground) => Math.min(...whats.map((what) => ratio(
        light(look(what, 'color')), light(look(ground, 'backgroundColor')))));
"""
"""What scripts of `seen` may use."""


@contextmanager
def opened(browser: Browser, path: Path, scheme: str, width: int) -> Iterator[Page]:
    """The page of this file, which fits the screen, asks nobody and complains of nothing."""
    page = browser.new_page(
        viewport={"width": width, "height": 844},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    asked, complaints = list[str](), list[str]()
    page.on("request", partial(_note, asked, "url"))
    page.on("pageerror", partial(_note, complaints, "message"))
    page.on("console", partial(_note, complaints, "text"))
    page.goto(path.as_uri())
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no scrolling"
    yield page
    page.close()


def seen(page: Page, what: str) -> dict[str, Any]:
    """The fields of a JavaScript object, whose values may use what is in `PRELUDE`."""
    found: dict[str, Any] = page.evaluate(f"() => {{ {PRELUDE} return {{{what}}}; }}")
    return found


def _note(into: list[str], name: str, happened: object) -> None:
    into.append(str(getattr(happened, name)))
