"""Files on their way from somebody's disk into the gallery, whatever happens meanwhile."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import CDPSession, Locator, Page, expect

from tests.gallery.conftest import Visit
from tests.service import Service, User, jpeg

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

Open = Callable[..., Visit]
MEGABYTE = 1_000_000


@pytest.fixture
def user(gallery: Service) -> Iterator[User]:
    with gallery.new_user() as user:
        yield user


def photo(path: Path, size: int = 0, seed: int | None = None) -> Path:
    """A JPEG there that is like no other, of about so many bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = jpeg(seed=seed)
    path.write_bytes(data + b"\0" * max(0, size - len(data)))
    return path


def panel(seen: Visit) -> Locator:
    return seen.page.locator("section.panel")


def pick(seen: Visit, *paths: Path) -> None:
    seen.page.locator("input[type=file]:not([webkitdirectory])").first.set_input_files(list(paths))


def drop(page: Page, *paths: Path) -> None:
    """As the system tells the browser of files, or folders, that are dragged over the page."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        where = {"type": kind, "x": 200, "y": 300, "data": data}
        session.send("Input.dispatchDragEvent", where)
    session.detach()


def slow(page: Page, rate: int = -1) -> CDPSession:
    """Bytes a second that the page may send from now on; without a number, any."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1}
    session.send("Network.emulateNetworkConditions", conditions | {"uploadThroughput": rate})
    return session


def names(user: User) -> list[str]:
    listed = user.api.get("/photos/", params={"limit": 100}).raise_for_status().json()
    return sorted(each["original_filename"] for each in listed)


def title(seen: Visit, text: str, seconds: float = 15) -> None:
    expect(panel(seen).locator("h2")).to_have_text(text, timeout=seconds * 1000)


def test_files_are_picked_dropped_and_pasted(visit: Open, user: User, tmp_path: Path) -> None:
    seen = visit(user=user)
    seen.go("/")
    pick(seen, photo(tmp_path / "a.jpg"), photo(tmp_path / "b.jpg"))
    title(seen, "2 photos uploaded")
    folder = tmp_path / "Jeju"
    for name in ("c.jpg", "deep/d.jpg", "deep/deeper/e.JPG"):
        photo(folder / name)
    (folder / "notes.txt").write_text("no photo")
    (folder / ".DS_Store").write_text("nothing")
    drop(seen.page, folder)
    title(seen, "5 photos uploaded")
    expect(panel(seen)).to_contain_text("1 file is no photo and was left out: notes.txt")
    seen.picture("uploaded")
    assert names(user) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.JPG"]
