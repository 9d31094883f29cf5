"""Albums in the gallery: made, filled, arranged, shared, and deleted."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.gallery import qr_codes
from tests.gallery.axe import faults
from tests.gallery.conftest import Visit
from tests.service import Service, User, eventually, jpeg

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

Open = Callable[..., Visit]
MODULE = re.compile(r"M(\d+) (\d+)h1v1h-1z")


@pytest.fixture(scope="module")
def owner(gallery: Service) -> Iterator[User]:
    with gallery.new_user() as user:
        yield user


@pytest.fixture(scope="module")
def photos(owner: User) -> list[int]:
    """Eight, of which the last one is the timeline's first."""
    made = [
        owner.upload(jpeg(160, 120), filename=f"{n}.jpg", title=f"Photo {n}")["id"]
        for n in range(8)
    ]
    for photo_id in made:
        owner.rendered(photo_id)
    return made


def album_of(owner: User, photos: list[int], name: str) -> int:
    album_id: int = owner.album(name)["id"]
    body = {"photo_ids": photos}
    owner.api.post(f"/albums/{album_id}/photos", json=body).raise_for_status()
    return album_id


def kept(owner: User, album_id: int) -> dict[str, Any]:
    album: dict[str, Any] = owner.api.get(f"/albums/{album_id}").raise_for_status().json()
    return album | {"photos": [photo["id"] for photo in album["photos"]]}


def is_kept(owner: User, album_id: int, photos: list[int]) -> None:
    eventually(lambda: kept(owner, album_id)["photos"] == photos)


def middle(element: Locator) -> tuple[float, float]:
    box = element.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def photo(page: Page, photo_id: int) -> Locator:
    """In the mode for arranging."""
    return page.locator(f"[role=option][data-photo='{photo_id}']")


def drag(page: Page, photo_id: int, behind: int) -> None:
    page.mouse.move(*middle(photo(page, photo_id)))
    page.mouse.down()
    x, y = middle(photo(page, behind))
    page.mouse.move(x + 30, y, steps=4)
    expect(page.locator(".mark")).to_be_visible()
    page.mouse.up()


def test_an_album_is_made_filled_changed_and_deleted(
    visit: Open, gallery: Service, photos: list[int], owner: User
) -> None:
    with gallery.new_user() as nobody:
        empty = visit(user=nobody, size="phone", language="ko")
        empty.go("/albums")
        expect(empty.page.get_by_role("button", name="첫 앨범 만들기")).to_be_visible()
        assert faults(empty.page) == []
        empty.go("/albums/1")
        expect(empty.page.get_by_role("alert")).to_contain_text("더 이상 없습니다")
        empty.expected.append("404")

    seen = visit(user=owner)
    page = seen.page
    seen.go("/albums")
    page.get_by_role("button", name="New album").click()
    assert faults(page) == []
    page.get_by_role("textbox", name="Name").fill("Jeju")
    page.get_by_role("button", name="Create album").click()

    page.get_by_role("button", name="Choose photos").click()
    for n in (2, 5, 7):
        page.get_by_role("button", name=f"Photo {n}", exact=True).click()
    assert faults(page) == []
    page.get_by_role("button", name="Add 3 photos").click()
    expect(page.get_by_text("3 photos were added to “Jeju”.")).to_be_visible()
    expect(page.get_by_text("3 photos", exact=True)).to_be_visible()
    album_id = int(page.url.rsplit("/", 1)[1])
    assert kept(owner, album_id)["photos"] == [photos[n] for n in (2, 5, 7)]

    page.get_by_role("button", name="Name and description").click()
    page.get_by_role("textbox", name="Name").fill("Jeju, spring")
    page.get_by_role("textbox", name="Description").fill("Wind, mostly")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Jeju, spring")).to_be_visible()
    expect(page.get_by_text("Wind, mostly")).to_be_visible()
    seen.picture("album")
    assert faults(page) == []

    page.get_by_label("Order of the photos").select_option("-taken")
    first = page.locator("[data-index='0'] .open")
    expect(first).to_have_accessible_name("Photo 7")
    page.locator("[data-index='1']").hover()
    page.get_by_role("checkbox", name="Photo 5").click()
    page.get_by_role("button", name="Make it the cover").click()
    expect(page.get_by_text("This is the album's cover now.")).to_be_visible()
    page.get_by_role("checkbox", name="Photo 2").click(force=True)
    page.get_by_role("button", name="Remove from the album").click()
    expect(page.get_by_text("1 photo was removed from the album.")).to_be_visible()
    is_kept(owner, album_id, [photos[n] for n in (7, 5)])
    page.get_by_role("button", name="Undo").click()
    is_kept(owner, album_id, [photos[n] for n in (7, 5, 2)])
    now = kept(owner, album_id)
    assert [now[name] for name in ("name", "description", "sort", "cover_photo_id")] == [
        "Jeju, spring", "Wind, mostly", "-taken", photos[5],
    ]  # fmt: skip

    page.get_by_role("button", name="Delete album").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The photos stay")
    assert faults(page) == []
    dialog.get_by_role("button", name="Delete album").click()
    expect(page.get_by_text("“Jeju, spring” was deleted.")).to_be_visible()
    assert owner.api.get(f"/albums/{album_id}").status_code == 404
    assert owner.photo(photos[7])["id"] == photos[7]


def test_photos_are_put_into_an_album_that_has_some(
    visit: Open, photos: list[int], owner: User
) -> None:
    album_id = album_of(owner, photos[:1], "Seoul")
    # The hundred that come with the first page are all newer.
    for n in range(100):
        owner.album(f"Later {n}")
    seen = visit(user=owner)
    page = seen.page
    seen.go("/")
    for n in (0, 3):
        page.get_by_role("checkbox", name=f"Photo {n}").click(force=True)
    page.get_by_role("button", name="Add to album").click()
    page.get_by_label("Find an album").fill("seo")
    seen.picture("add-to-album")
    assert faults(page) == []
    page.get_by_role("button", name="Seoul").filter(has_text="1 photo").click()
    expect(page.get_by_text("1 photo was added to “Seoul”. 1 was in it already.")).to_be_visible()
    assert kept(owner, album_id)["photos"] == [photos[0], photos[3]]
    page.get_by_role("button", name="Show album").click()
    expect(page.get_by_role("heading", name="Seoul")).to_be_visible()
    page.get_by_role("link", name="Albums").first.click()
    page.get_by_role("link", name="Later 0", exact=False).last.scroll_into_view_if_needed()
    expect(page.get_by_role("link", name="Seoul")).to_contain_text("2 photos")
    expect(page.get_by_role("link", name="Seoul").locator("img")).to_have_js_property(
        "complete", True
    )
    seen.picture("albums")
    assert faults(page) == []


def test_photos_are_arranged_by_mouse_and_keyboard(
    visit: Open, photos: list[int], owner: User
) -> None:
    a, b, c, d, e, f = photos[:6]
    album_id = album_of(owner, photos[:6], "Arranged")
    seen = visit(user=owner)
    page = seen.page
    seen.go(f"/albums/{album_id}")
    page.get_by_role("button", name="Arrange").click()
    drag(page, a, behind=c)
    is_kept(owner, album_id, [b, c, a, d, e, f])
    # Several at once, in their own order.
    photo(page, e).click()
    photo(page, b).click()
    drag(page, e, behind=a)
    is_kept(owner, album_id, [c, a, b, e, d, f])
    seen.picture("arrange")
    assert faults(page) == []

    for key in ("Escape", "End", "Enter", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    said = page.locator("[aria-live=assertive]")
    expect(said).to_have_text("Position 4 of 6. After Photo 1.")
    page.keyboard.press("Enter")
    expect(said).to_have_text("Moved to position 4 of 6.")
    is_kept(owner, album_id, [c, a, b, f, e, d])
    for key in ("Home", "Enter", "End", "Escape"):
        page.keyboard.press(key)
    expect(said).to_have_text("Cancelled; nothing has moved.")
    # What is not answered is sent until it is.
    told = {"detail": "busy", "code": "too_many_requests"}
    busy = {"status": 429, "json": told, "headers": {"Retry-After": "30"}}
    page.route("**/photos/move", lambda route: route.fulfill(**busy), times=1)
    page.get_by_role("button", name="To the end").click()
    expect(page.get_by_text("The new order is not saved yet")).to_be_visible()
    is_kept(owner, album_id, [a, b, f, e, d, c])
    expect(page.get_by_text("The new order is not saved yet")).to_have_count(0)
    seen.expected.append("429")

    # The photo behind which one is dropped has been taken out meanwhile.
    body = {"photo_ids": [e]}
    owner.api.request("DELETE", f"/albums/{album_id}/photos", json=body).raise_for_status()
    drag(page, a, behind=e)
    expect(page.get_by_text("The album has changed meanwhile")).to_be_visible()
    expect(photo(page, e)).to_have_count(0)
    shown = page.locator("[role=option]").evaluate_all("all => all.map(o => +o.dataset.photo)")
    assert shown == kept(owner, album_id)["photos"] == [a, b, f, d, c]
    seen.expected.append("404")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("button", name="Arrange")).to_be_focused()


def test_photos_are_arranged_by_finger(visit: Open, photos: list[int], owner: User) -> None:
    album_id = album_of(owner, photos, "손가락")
    owner.api.patch(f"/albums/{album_id}", json={"sort": "-position"}).raise_for_status()
    seen = visit(user=owner, size="phone", language="ko", viewport={"width": 390, "height": 500})
    page = seen.page
    seen.go(f"/albums/{album_id}?mode=arrange")
    first, *_, last = photos
    x, y = middle(photo(page, last))
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        body = [{"x": px, "y": py} for px, py in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": body})

    touch("touchStart", (x, y))
    expect(page.locator(".mark")).to_be_visible()
    # At the lower edge the album scrolls, until its end is below the finger.
    box = page.get_by_role("listbox")
    low = box.evaluate("box => box.getBoundingClientRect().bottom") - 5
    touch("touchMove", (x, y + 20))
    touch("touchMove", (x, low))
    page.wait_for_function(
        "box => box.scrollTop > 0 && box.scrollTop + box.clientHeight > box.scrollHeight - 2",
        arg=box.element_handle(),
    )
    x, y = middle(photo(page, first))
    touch("touchMove", (x + 30, y))
    seen.picture("arrange-by-finger")
    touch("touchEnd")
    is_kept(owner, album_id, [*photos[-2::-1], last])
    assert faults(page) == []


def test_an_album_is_shared_by_a_link(visit: Open, photos: list[int], owner: User) -> None:
    album_id = album_of(owner, photos[:2], "Shared")
    seen = visit(user=owner)
    page = seen.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen.go(f"/albums/{album_id}")
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_text("There is no link yet")).to_be_visible()
    page.get_by_label("The link works").select_option("for another number of days …")
    page.get_by_label("Days (1–365)").fill("12")
    page.get_by_label("Let visitors download originals").check()
    page.get_by_role("button", name="Create link").click()
    url = page.get_by_label("Address of the link").input_value()
    (link,) = owner.api.get(f"/albums/{album_id}/share").json()
    assert url == f"{seen.service.url}/share/{link['token']}"
    assert link["allow_original"]
    assert link["expires_at"] > link["created_at"]

    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("The link was copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == url
    page.get_by_role("button", name="QR code").click()
    code = page.get_by_role("img", name=f"QR code of {url}")
    seen.picture("share")
    assert qr_codes.read(_matrix(code)) == url
    assert faults(page) == []

    visitor = visit()
    visitor.page.goto(url)
    expect(visitor.page.get_by_text("Shared")).to_be_visible()

    page.get_by_role("button", name="Revoke").click()
    page.get_by_role("button", name="Revoke the link").click()
    expect(page.get_by_text("1 link that works no more")).to_be_visible()
    assert visitor.page.goto(url).status == 404  # type: ignore[union-attr]
    visitor.expected.append("404")


def test_a_link_is_copied_where_the_browser_has_no_clipboard_for_pages(
    visit: Open, photos: list[int], owner: User
) -> None:
    """On plain http."""
    album_id = album_of(owner, photos[:1], "공유")
    link = owner.api.post(f"/albums/{album_id}/share").raise_for_status().json()
    seen = visit(user=owner, size="phone", language="ko")
    page = seen.page
    page.context.grant_permissions(["clipboard-read"])
    page.add_init_script("delete Navigator.prototype.clipboard")
    seen.go(f"/albums/{album_id}")
    page.get_by_role("button", name="공유", exact=True).click()
    page.get_by_role("button", name="복사").click()
    expect(page.get_by_text("링크를 복사했습니다.")).to_be_visible()
    seen.picture("share-on-http")
    assert faults(page) == []
    other = page.context.new_page()
    other.goto(f"{seen.service.url}/icon.svg")
    assert other.evaluate("navigator.clipboard.readText()").endswith(f"/share/{link['token']}")


def _matrix(code: Locator) -> qr_codes.Matrix:
    """What is drawn, without the border."""
    border = 4
    size = int(code.get_attribute("viewBox").split()[2]) - 2 * border  # type: ignore[union-attr]
    dark = {
        (int(x) - border, int(y) - border)
        for x, y in MODULE.findall(code.locator("path").get_attribute("d") or "")
    }
    return [[(x, y) in dark for x in range(size)] for y in range(size)]
