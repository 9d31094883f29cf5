"""Uploads that something comes between: people, networks, stores, tokens, pages that end."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error, Page, expect

from tests.gallery.conftest import Visit
from tests.gallery.uploading import (
    MEGABYTE,
    Open,
    drop,
    names,
    panel,
    photo,
    pick,
    slowed,
    title,
)
from tests.service import PASSWORD, Service, User, eventually

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

STAGED = re.compile(r"/staging/")
UNDER_WAY = re.compile(r"Uploading [2-5] of 8")


def folder_of(where: Path, count: int, size: int) -> Path:
    for number in range(count):
        photo(where / f"{number}.jpg", size)
    return where


def of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def puts(requested: list[str]) -> list[str]:
    return [url for url in requested if STAGED.search(url)]


def test_an_upload_is_paused_and_survives_the_network(
    visit: Open, uploader: User, tmp_path: Path
) -> None:
    seen = visit(user=uploader)
    # Of a PUT that was broken off nobody knows whether the store has all of it.
    seen.expected += ["ERR_INTERNET_DISCONNECTED", "status of 409"]
    seen.go("/")
    folder = folder_of(tmp_path / "many", 8, 200_000)
    network = slowed(seen.page, 100_000)
    drop(seen.page, folder)
    expect(panel(seen).locator("li.sending").first).to_be_visible(timeout=20_000)
    expect(panel(seen)).to_contain_text(re.compile(r"\d kB/s"))
    seen.picture("going")
    panel(seen).get_by_role("button", name="Pause").click()
    title(seen, re.compile(r"Paused at [0-6] of 8"))
    before = puts(seen.requested)
    seen.page.wait_for_timeout(600)
    assert puts(seen.requested) == before, "something was sent while it was paused"
    with seen.page.expect_event("dialog") as asked:  # whoever closes the page is warned
        seen.page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    panel(seen).get_by_role("button", name="Go on").click()
    title(seen, re.compile("Uploading .* of 8"))

    # Who signs out is asked, and finds everything as it was.
    seen.page.get_by_role("link", name="Account").click()
    seen.page.get_by_role("button", name="Sign out").first.click()
    dialog = seen.page.get_by_role("dialog", name="Sign out")
    dialog.get_by_role("button", name="Sign out").click()
    expect(panel(seen)).to_have_count(0)
    sign_in(seen, uploader)
    title(seen, re.compile("Uploading .* of 8"))

    seen.page.context.set_offline(True)
    title(seen, re.compile(r"No network: [1-8] wait"))
    seen.page.context.set_offline(False)
    network.detach()
    title(seen, "8 photos uploaded")
    with seen.page.expect_event("close"):  # and now nobody
        seen.page.close(run_before_unload=True)
    # The session with whose tokens the page was opened has ended.
    access = uploader.login().raise_for_status().json()["access_token"]
    uploader.api.headers["Authorization"] = f"Bearer {access}"
    assert names(uploader) == of(folder)


def sign_in(seen: Visit, user: User) -> None:
    seen.page.locator("input[type=email]").fill(user.email)
    seen.page.locator("input[type=password]").fill(PASSWORD)
    seen.page.get_by_role("button", name="Sign in").click()


def test_what_went_wrong_once_is_done_again(
    visit: Open, gallery: Service, uploader: User, tmp_path: Path
) -> None:
    """Answers of the store that are lost, URLs whose time is over, a token that is not taken."""
    seen = visit(user=uploader)
    seen.expected += ["status of 401", "status of 403", "ERR_CONNECTION_RESET"]
    seen.go("/")
    folder = folder_of(tmp_path / "few", 4, 0)
    puts = faults(seen.page, ["lost", "expired", "broken"])
    forget_access(seen)
    pick(seen, *folder.iterdir())
    title(seen, "4 photos uploaded", 40)
    assert names(uploader) == of(folder)
    # Two were sent twice; the one whose answer was lost was not.
    assert sorted(puts) == ["", "", "", "broken", "expired", "lost"]


def faults(page: Page, wanted: list[str]) -> list[str]:
    """The first PUTs of the page end as `wanted`; the list has them, and the good ones, in time."""
    session, left, seen = page.context.new_cdp_session(page), iter(wanted), list[str]()

    def paused(event: dict[str, Any]) -> None:
        about = {"requestId": event["requestId"]}
        if event["request"]["method"] != "PUT":
            session.send("Fetch.continueRequest", about)
            return
        answered = "responseStatusCode" in event
        if not answered:
            seen.append(next(left, ""))
            fault_of[event["networkId"]] = seen[-1]
        fault = fault_of[event["networkId"]]
        if fault == ("lost" if answered else "broken"):
            session.send("Fetch.failRequest", about | {"errorReason": "ConnectionReset"})
        elif fault == "expired" and not answered:
            allowed = [{"name": "Access-Control-Allow-Origin", "value": "*"}]
            refusal = {"responseCode": 403, "responseHeaders": allowed}
            session.send("Fetch.fulfillRequest", about | refusal)
        else:
            session.send("Fetch.continueRequest", about)

    fault_of: dict[str, str] = {}
    session.on("Fetch.requestPaused", paused)
    stages = ("Request", "Response")
    patterns = [{"urlPattern": "*/staging/*", "requestStage": stage} for stage in stages]
    session.send("Fetch.enable", {"patterns": patterns})
    return seen


def forget_access(seen: Visit) -> None:
    """The access token is one that no instance takes any more."""
    seen.page.evaluate(
        """() => {
            const kept = JSON.parse(localStorage["photo-api.session"])
            const [head, claims, signature] = kept.access.split(".")
            kept.access = [head, claims, signature.split("").reverse().join("")].join(".")
            localStorage["photo-api.session"] = JSON.stringify(kept)
        }"""
    )


@pytest.mark.parametrize("end", ["reload", "crash"])
def test_what_a_page_left_goes_on_in_the_next(
    visit: Open, gallery: Service, uploader: User, tmp_path: Path, end: str
) -> None:
    seen = visit(user=uploader)
    seen.expected.append("status of 409")
    seen.go("/")
    folder = folder_of(tmp_path / "many", 8, 200_000)
    network = slowed(seen.page, 200_000)
    drop(seen.page, folder)
    title(seen, UNDER_WAY)
    if end == "crash":
        crash(seen)
    else:
        seen.page.reload()
    title(seen, "Not uploaded yet")
    expect(panel(seen)).to_contain_text("of an earlier visit were not uploaded")
    seen.picture("missing")
    left = panel(seen).get_by_role("listitem").filter(has_text="Pick it again").count()
    assert 0 < left < 8

    if end == "reload":
        # Whoever else signs in here finds nothing of it, and the first one does again.
        with gallery.new_user() as other:
            seen.sign_in(other)
            seen.go("/")
            seen.page.wait_for_timeout(1_000)
            expect(panel(seen)).to_have_count(0)
        seen.sign_in(uploader)
        seen.go("/")
        title(seen, "Not uploaded yet")
        network.detach()

    seen.requested.clear()
    drop(seen.page, folder)
    title(seen, re.compile(r"\d photos? uploaded"))
    expect(panel(seen).get_by_role("listitem").filter(has_text="Pick it again")).to_have_count(0)
    assert names(uploader) == of(folder)
    sent = {url.split("?")[0] for url in puts(seen.requested)}
    assert len(sent) == left, "what was confirmed was sent again"


def crash(seen: Visit) -> None:
    """The tab ends at once, as when there is no memory left; somebody opens another one."""
    with seen.page.expect_event("crash"), suppress(Error):
        seen.page.goto("chrome://crash", timeout=3_000)
    seen.open_tab()
    seen.go("/")


def room_of(user: User) -> int:
    return int(user.api.get("/auth/me").json()["used_bytes"])


def test_a_large_folder_is_walked_as_far_as_it_is_sent(
    visit: Open, uploader: User, tmp_path: Path
) -> None:
    seen = visit(user=uploader)
    seen.expected.append("ERR_INTERNET_DISCONNECTED")
    seen.go("/")
    pick(seen, photo(tmp_path / "first.jpg"))
    title(seen, "1 photo uploaded")
    used = room_of(uploader)
    slow = slowed(seen.page, 50_000)
    pick(seen, photo(tmp_path / "given-up.jpg", MEGABYTE))
    eventually(lambda: room_of(uploader) > used, 15)
    panel(seen).get_by_role("button", name="Do not upload given-up.jpg").click()
    eventually(lambda: room_of(uploader) == used, 5)
    slow.detach()
    folder = tmp_path / "large"
    one = photo(folder / "0.jpg")
    for number in range(1, 7_000):
        (folder / f"{number}.jpg").hardlink_to(one)
    seen.page.context.set_offline(True)
    drop(seen.page, folder)
    title(seen, "No network: 5,000 wait", 40)
    expect(panel(seen)).to_contain_text("more are being found")
    assert panel(seen).get_by_role("listitem").count() < 40, "all files are elements"
    panel(seen).get_by_role("button", name="Cancel all").click()
    seen.page.get_by_role("button", name="Cancel them").click()
    title(seen, "1 photo uploaded")
    seen.page.context.set_offline(False)
    # They are forgotten for good.
    seen.page.reload()
    expect(seen.page.get_by_role("navigation").first).to_be_visible()
    seen.page.wait_for_timeout(700)
    expect(panel(seen)).to_have_count(0)


def test_what_the_page_lacks_for_a_while_hides_no_upload(
    visit: Open, uploader: User, tmp_path: Path
) -> None:
    """The panel's file, of a release that takes over meanwhile; a database that neither opens nor
    fails."""
    seen = visit(user=uploader)
    seen.expected += ["status of 404"]
    seen.page.add_init_script("indexedDB.open = () => ({})")
    seen.page.route(
        "**/assets/Panel-*.js", lambda route: route.fulfill(status=404, body=""), times=2
    )
    seen.go("/")
    pick(seen, photo(tmp_path / "a.jpg"))
    title(seen, "1 photo uploaded")
