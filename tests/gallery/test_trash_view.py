"""What was deleted: restored, deleted for good, one by one and all."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.gallery.axe import faults
from tests.gallery.conftest import Visit
from tests.gallery.photographs import take
from tests.service import Service

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]


def test_the_trash_gives_back_and_is_emptied(gallery: Service, visit: Callable[..., Visit]) -> None:
    with gallery.new_user() as owner:
        ids = take(owner, [(320, 240)] * 5).ids
        seen = visit(user=owner, size="phone")
        page = seen.page
        seen.go("/trash")
        expect(page.get_by_text("The trash is empty.")).to_be_visible()
        bulk = {"operation": "delete", "photo_ids": ids}
        owner.api.post("/photos/bulk", json=bulk).raise_for_status()
        page.reload()
        tiles = page.locator("[data-index]")
        expect(tiles).to_have_count(5)
        expect(tiles.first).to_contain_text("30 days left")
        expect(tiles.first.locator("img")).to_have_js_property("complete", value=True)
        seen.picture("trash")
        assert faults(page) == []

        tiles.nth(0).locator(".open").click()
        tiles.nth(1).locator(".open").click()
        page.get_by_role("button", name="Restore").click()
        expect(tiles).to_have_count(3)
        expect(page.get_by_text("2 photos restored.")).to_be_visible()
        assert len(owner.api.get("/photos/").json()) == 2

        tiles.nth(0).locator(".open").click()
        page.get_by_role("button", name="Delete for good").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Delete 1 photo for good?")
        dialog.get_by_role("button", name="Cancel").click()
        expect(tiles).to_have_count(3)
        page.get_by_role("button", name="Delete for good").click()
        dialog.get_by_role("button", name="Delete for good").click()
        expect(tiles).to_have_count(2)

        page.get_by_role("button", name="Empty the trash").click()
        expect(dialog).to_contain_text("Delete 2 photos for good?")
        seen.picture("trash-empty")
        # Deleted after the question was asked: it is no part of the answer.
        late = owner.api.get("/photos/").json()[0]["id"]
        owner.api.delete(f"/photos/{late}").raise_for_status()
        dialog.get_by_role("button", name="Delete for good").click()
        expect(page.get_by_text("2 photos deleted for good.")).to_be_visible()
        expect(tiles).to_have_count(1)
        left = owner.api.get("/photos/trash").raise_for_status().json()
        assert [photo["id"] for photo in left] == [late]
