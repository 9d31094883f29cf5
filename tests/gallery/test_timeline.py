"""The timeline: months of rows, the way to a photo and back, picking many."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect

from tests.gallery.axe import faults
from tests.gallery.conftest import Visit
from tests.service import Service, User, eventually, jpeg

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]


def tiles(page: Page) -> Locator:
    return page.get_by_role("listitem")


def focused(page: Page) -> str:
    """The number of the photo that has the focus."""
    found = page.evaluate("document.activeElement.closest('[data-index]')?.dataset.index")
    return str(found)


def place(page: Page) -> list[float]:
    """The number of the photo in the middle of the screen, and where it is."""
    found: list[float] = page.evaluate(
        """() => {
        const tile = document.elementFromPoint(innerWidth / 2, innerHeight / 2)
            .closest("[data-index]");
        return [Number(tile.dataset.index), Math.round(tile.getBoundingClientRect().top)];
    }"""
    )
    return found


def drawn(page: Page) -> None:
    """All thumbnails on the screen and around it are there."""
    all_drawn = """() => {
        const tiles = [...document.querySelectorAll("[data-index]")];
        return tiles.length > 5 && tiles.every(tile => tile.querySelector("img.drawn"));
    }"""
    eventually(lambda: page.evaluate(all_drawn))


def test_somebody_goes_through_the_months_and_back(
    collector: User, visit: Callable[..., Visit]
) -> None:
    seen = visit(user=collector)
    page = seen.page
    seen.go("/")
    expect(page.get_by_role("heading", name="May 2024")).to_be_visible()
    drawn(page)
    seen.picture("timeline")
    assert faults(page) == []

    # By the scrubber: at the keyboard a year, then the last month.
    slider = page.get_by_role("slider", name="Date")
    slider.focus()
    page.keyboard.press("ArrowDown")
    expect(slider).to_have_attribute("aria-valuetext", "May 2024")
    page.keyboard.press("PageDown")
    expect(slider).to_have_attribute("aria-valuetext", "December 2023")
    expect(page.get_by_role("heading", name="December 2023")).to_be_visible()
    drawn(page)
    seen.picture("timeline-scrubber")

    # To a photo, through the viewer, and back to it with the focus.
    page.keyboard.press("Shift+Tab")
    begin = int(focused(page))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    at = int(focused(page))
    assert at > begin + 1
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    eventually(lambda: focused(page) == str(at))

    # A reload, and a way elsewhere and back, lead to the same place.
    here = place(page)
    page.wait_for_timeout(400)
    page.reload()
    drawn(page)
    assert place(page) == pytest.approx(here, abs=2)
    page.get_by_role("link", name="Archive").click()
    expect(page.get_by_text("Nothing is archived")).to_be_visible()
    seen.picture("archive-empty")
    assert faults(page) == []
    page.go_back()
    drawn(page)
    assert place(page) == pytest.approx(here, abs=2)


def test_many_are_picked_and_put_away(collector: User, visit: Callable[..., Visit]) -> None:
    seen = visit(user=collector)
    page = seen.page
    seen.go("/")
    drawn(page)
    bar = page.get_by_role("toolbar", name="Selected photos")
    tiles(page).nth(6).get_by_role("checkbox").click()
    tiles(page).nth(9).get_by_role("button").click(modifiers=["Shift"])
    expect(bar).to_contain_text("4 selected")
    page.keyboard.press("Space")
    expect(bar).to_contain_text("3 selected")
    seen.picture("selection")
    assert faults(page) == []
    page.keyboard.press("Escape")
    expect(bar).to_have_count(0)

    # A range of months that nobody has looked at.
    months = collector.api.get("/timeline").json()["months"]
    tiles(page).first.get_by_role("button").click(modifiers=["Control"])
    page.keyboard.press("Shift+End")
    total = sum(month["photos"] for month in months)
    expect(bar).to_contain_text(f"{total:,} selected")
    page.keyboard.press("Escape")

    # Deleted and brought back.
    page.keyboard.press("Home")
    drawn(page)
    names = [tiles(page).nth(n).get_attribute("aria-posinset") for n in range(3)]
    assert names == ["1", "2", "3"]
    tiles(page).nth(5).get_by_role("checkbox").click()
    bar.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The photo is in the trash.")).to_be_visible()
    expect(tiles(page).first).to_have_attribute("aria-setsize", str(total - 1))
    page.get_by_role("button", name="Undo").click()
    expect(tiles(page).first).to_have_attribute("aria-setsize", str(total))

    # Archived, found there, and taken out again.
    tiles(page).nth(5).get_by_role("checkbox").click()
    bar.get_by_role("button", name="Archive").click()
    expect(tiles(page).first).to_have_attribute("aria-setsize", str(total - 1))
    page.get_by_role("link", name="Archive").click()
    expect(tiles(page)).to_have_count(1)
    tiles(page).get_by_role("checkbox").click()
    bar.get_by_role("button", name="Move out of the archive").click()
    expect(page.get_by_text("Nothing is archived")).to_be_visible()


def test_fingers_pick_and_favourites_are_found(
    collector: User, visit: Callable[..., Visit]
) -> None:
    seen = visit(user=collector, size="phone", language="ko", color_scheme="dark")
    page = seen.page
    seen.go("/")
    drawn(page)
    seen.picture("timeline-dark")
    # A long press picks, a tap then adds, and the heart makes both favourites.
    first = tiles(page).nth(2).bounding_box()
    assert first is not None
    finger = page.context.new_cdp_session(page)
    at = {"x": first["x"] + 20, "y": first["y"] + 40}
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    bar = page.get_by_role("toolbar", name="선택한 사진")
    expect(bar).to_contain_text("1장 선택됨")
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tiles(page).nth(3).get_by_role("button").tap()
    expect(bar).to_contain_text("2장 선택됨")
    seen.picture("selection-dark")
    assert faults(page) == []
    bar.get_by_role("button", name="즐겨찾기에 추가").click()
    expect(page.get_by_text("사진 2장을 즐겨찾기에 추가했습니다.")).to_be_visible()
    page.get_by_role("link", name="즐겨찾기").click()
    drawn(page)
    seen.picture("favourites-dark")
    tiles(page).nth(0).get_by_role("button").tap()
    expect(page.get_by_role("dialog")).to_be_visible()
    ids = [photo["id"] for photo in collector.api.get("/photos/?favourite=true&limit=2").json()]
    back = {"operation": "unfavourite", "photo_ids": ids}
    collector.api.post("/photos/bulk", json=back).raise_for_status()


def test_what_others_do_appears_without_moving_the_rest(
    collector: User, visit: Callable[..., Visit]
) -> None:
    seen = visit(user=collector)
    page = seen.page
    seen.go("/")
    drawn(page)
    page.mouse.move(400, 400)
    # The month of today is a little above the screen.
    page.mouse.wheel(0, 600)
    page.wait_for_timeout(300)
    drawn(page)
    index, y = place(page)
    total = int(tiles(page).first.get_attribute("aria-setsize") or 0)
    # By another device: seen when somebody comes back to the page.
    added = collector.upload(jpeg())["id"]
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(tiles(page).first).to_have_attribute("aria-setsize", str(total + 1))
    assert place(page) == pytest.approx([index + 1, y], abs=2)
    # By another tab, at once.
    other = page.context.new_page()
    other.goto(seen.service.url)
    drawn(other)
    other.get_by_role("listitem").first.get_by_role("checkbox").click()
    other.get_by_role("button", name="Delete").click()
    expect(tiles(page).first).to_have_attribute("aria-setsize", str(total))
    assert place(page) == pytest.approx([index, y], abs=2)
    assert collector.api.get(f"/photos/{added}").status_code == 404


def test_without_a_trash_whoever_deletes_is_asked(
    gallery: Service, otherwise: Service, visit: Callable[..., Visit]
) -> None:
    user = gallery.new_user()
    kept, gone = user.upload(jpeg())["id"], user.upload(jpeg())["id"]
    seen = visit(user=user, service=otherwise)
    page, asked = seen.page, list[str]()

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        if len(asked) == 1:
            dialog.dismiss()
        else:
            dialog.accept()

    page.on("dialog", answer)
    seen.go("/")
    tiles(page).first.get_by_role("checkbox").click()
    delete = page.get_by_role("button", name="Delete")
    delete.click()
    expect(delete).to_be_enabled()
    expect(tiles(page)).to_have_count(2)
    delete.click()
    expect(page.get_by_text("The photo is deleted.")).to_be_visible()
    expect(tiles(page)).to_have_count(1)
    assert ["for good" in text for text in asked] == [True, True]
    assert [photo["id"] for photo in user.api.get("/photos/").json()] == [kept] != [gone]
