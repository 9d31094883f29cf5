"""What tests of uploads do in the page."""

from collections.abc import Callable
from pathlib import Path
from re import Pattern

from playwright.sync_api import CDPSession, Locator, Page, expect

from tests.gallery.conftest import Visit
from tests.service import User, jpeg

Open = Callable[..., Visit]
MEGABYTE = 1_000_000


def photo(path: Path, size: int = 0) -> Path:
    """A JPEG there that is like no other, of so many bytes where those are more than it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg().ljust(size, b"\0"))
    return path


def panel(seen: Visit) -> Locator:
    return seen.page.locator("section.panel")


def title(seen: Visit, text: str | Pattern[str], seconds: float = 20) -> None:
    """Wait until this is what the panel says above all."""
    expect(panel(seen).locator("h2")).to_have_text(text, timeout=seconds * 1000)


def pick(seen: Visit, *paths: Path) -> None:
    seen.page.locator("input[type=file]:not([webkitdirectory])").first.set_input_files(list(paths))


def drop(page: Page, *paths: Path) -> None:
    """As the system tells the browser of files, or folders, that are dragged over the page."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        if kind == "drop":
            expect(page.locator(".over")).to_be_visible()
        about = {"type": kind, "x": 200, "y": 300, "data": data}
        session.send("Input.dispatchDragEvent", about)
    expect(page.locator(".over")).not_to_be_visible()


def slowed(page: Page, rate: int) -> CDPSession:
    """The page sends so many bytes a second until this session is detached."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    about = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": rate}
    session.send("Network.emulateNetworkConditions", about)
    return session


def names(user: User) -> list[str]:
    """Of all their photos, by what they were named when they were uploaded."""
    listed = user.api.get("/photos/", params={"limit": 100}).raise_for_status().json()
    return sorted(each["original_filename"] for each in listed)
