"""Debian's Chromium, without a screen, on a machine that reaches nobody."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

import psutil
from playwright.sync_api import Browser, expect, sync_playwright

LAN_NAME = "photos.lan"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    # Whatever it may look up: there is only this machine, which has a name as in somebody's home,
    # with which a page is not taken for safe.
    f"--host-resolver-rules=MAP {LAN_NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

# Seconds for Chromium to start, or to close what it has open, also on a machine that is busy.
BOUND = 30.0

# A page has shown it long before, unless the machine is busy.
expect.set_options(timeout=20_000)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """While it runs, nobody in this thread has an event loop of their own. Neither its begin nor
    its end waits for ever; the test between them is bounded by `tests/conftest.py`."""
    running = sync_playwright()
    try:
        with killed_after(BOUND):
            browser = running.start().chromium.launch(
                executable_path="/usr/bin/chromium", args=ARGUMENTS, headless=True
            )
        yield browser
    finally:
        try:
            with killed_after(BOUND):
                running.__exit__()
        finally:
            # Interrupted on its way, it would leave both to all tests after it.
            _kill_browsers()
            asyncio._set_running_loop(None)


@contextmanager
def loop_of_ones_own() -> Iterator[None]:
    """For what begins an event loop in the thread of a Chromium, whose pages say nothing until it
    has ended."""
    of_playwright = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(of_playwright)


@contextmanager
def killed_after(seconds: float) -> Iterator[None]:
    """For what may wait for a browser, or for Playwright's own process, that says nothing more:
    both are killed then, and what waits fails. pytest-timeout interrupts a test once and lets the
    closing after it wait, and asyncio may catch even that."""
    timer = Timer(seconds, _kill_browsers)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _kill_browsers() -> None:
    """The processes of Playwright that this one began, and what those did."""
    for driver in psutil.Process(os.getpid()).children():
        if "run-driver" in driver.cmdline():
            for one in [*driver.children(recursive=True), driver]:
                one.kill()
