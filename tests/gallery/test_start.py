"""A page that is opened while files of it cannot be had."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.gallery.uploading import Open
from tests.service import User

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

TEXTS = re.compile(r"/assets/first\.\w+-")
ANY = re.compile(r"/assets/")


@pytest.mark.parametrize("lacking", [ANY, TEXTS], ids=["all files", "texts"])
def test_a_page_that_lacks_files_says_so_and_comes_by_itself(
    visit: Open, uploader: User, lacking: re.Pattern[str]
) -> None:
    seen = visit(user=uploader)
    seen.expected += ["status of 503", "Failed to fetch dynamically", "ERR_FAILED"]

    def refuse(route: Route) -> None:
        route.fulfill(status=503, content_type="text/plain", body="")

    seen.page.route(lacking, refuse)
    seen.go("/albums")
    told = seen.page.locator("#start")
    expect(told).to_contain_text("nothing is lost", timeout=20_000)
    expect(told.get_by_role("button")).to_be_visible()
    seen.picture("start")
    seen.page.unroute(lacking, refuse)
    shown = seen.page.get_by_role("heading", name="Albums", exact=True)
    expect(shown).to_be_visible(timeout=20_000)
    expect(told).to_have_count(0)
