"""Somebody uploads while the fleet behind the page is replaced by its next release."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from photo_api.contract import RELEASE
from tests.gallery.uploading import Open, drop, names, panel, photo, slowed, title
from tests.photo_fleet.local_stage import Up, fleet_up, release_tree
from tests.service import Service

pytestmark = [
    *(pytest.mark.needs("chromium"), pytest.mark.needs("nginx"), pytest.mark.long),
    pytest.mark.timeout(400),
]

FILES = 50

WATCH = """() => {
  window.seen = new Set()
  new MutationObserver(() => {
    for (const each of document.querySelectorAll("section.panel h2, .notices p, [role=alert]")) {
      window.seen.add(each.textContent.replace(/[0-9]+/g, "N"))
    }
  }).observe(document.body, {subtree: true, childList: true, characterData: true})
}"""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with fleet_up(tmp_path / "fleet") as up:
        yield up


def test_a_deploy_during_an_upload_loses_none_and_shows_nothing(
    up: Up, visit: Open, tmp_path: Path
) -> None:
    release = release_tree(tmp_path / "next", release="9.9.9", upgrades_from=[RELEASE])
    user = up.new_user()
    folder = tmp_path / "many"
    for number in range(FILES):
        photo(folder / f"{number}.jpg", 200_000)
    seen = visit(user=user, service=Service(up.url, up.process, up.log, {}))
    seen.go("/")
    seen.page.evaluate(WATCH)
    # So that some are sent at every moment of the deploy.
    network = slowed(seen.page, 100_000)
    drop(seen.page, folder)
    title(seen, re.compile(rf"Uploading [1-9] of {FILES}"))
    told = up.command("deploy", "--release", str(release))
    assert "2 instances serve release" in told
    expect(panel(seen).locator("h2")).to_have_text(re.compile(rf"Uploading \d+ of {FILES}"))
    network.detach()
    title(seen, f"{FILES} photos uploaded", 60)
    assert names(user) == sorted(path.name for path in folder.iterdir())
    texts = seen.page.evaluate("[...window.seen].sort()")
    assert set(texts) <= {"Uploading N of N", "Looking through your files …", "N photos uploaded"}
