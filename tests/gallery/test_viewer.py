"""One photo over the whole window: looked at, told about, kept, given away and deleted."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.gallery.axe import faults
from tests.gallery.conftest import Visit
from tests.gallery.photographs import Photographs, take
from tests.service import Service, eventually, heic

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]


MOST = 25_000
"""Bytes of scripts that the first photo may need beyond what the first page has."""


@pytest.fixture(scope="module")
def photographs(gallery: Service) -> Iterator[Photographs]:
    with gallery.new_user() as owner:
        yield take(owner, [(3000, 2000), (1200, 1600), (640, 480)])


def tile(page: Page, index: int) -> Locator:
    return page.locator(f"[data-index='{index}'] .open")


def viewer(page: Page) -> Locator:
    return page.get_by_role("dialog").first


def picture(page: Page, name: str) -> Locator:
    """What is on the slide of this photo, once its own preview is there."""
    return page.locator(f".pswp__item[aria-hidden=false] .picture[aria-label='{name}'] img")


def shows(seen: Visit, photo_id: int) -> None:
    """Its address is the photo's."""
    expect(seen.page).to_have_url(re.compile(rf"\?photo={photo_id}$"))


def gzipped(url: str) -> int:
    with httpx.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        return sum(map(len, answer.iter_raw()))


def answering(status: int) -> Callable[[Route], None]:
    """A server that has trouble."""
    body = json.dumps({"detail": "inside", "code": "internal", "request_id": "r1"})
    return lambda route: route.fulfill(status=status, body=body, content_type="application/json")


def test_photos_are_looked_at(photographs: Photographs, visit: Callable[..., Visit]) -> None:
    seen = visit(user=photographs.owner)
    page, ids = seen.page, photographs.ids
    page.route("**/*-thumbnail.webp?*", lambda _: None)
    seen.go("/")
    blurred = tile(page, 0).locator("canvas")  # what is there before the thumbnail
    expect(blurred).to_be_visible()
    assert blurred.evaluate("it => it.getContext('2d').getImageData(9, 9, 1, 1).data[3]") == 255
    page.unroute("**/*-thumbnail.webp?*")  # which lets those that are held go on
    expect(tile(page, 0).locator("img")).to_be_visible()
    expect(blurred).to_have_count(0)
    before = set(seen.requested)
    # As an address that has ended: the photo is asked for its address anew.
    seen.expected.append("status of 403")
    page.route("**/*-preview.webp?*", lambda route: route.fulfill(status=403), times=1)
    tile(page, 0).click()
    shows(seen, ids[0])
    expect(picture(page, "Photo 0.jpg").last).to_have_js_property("naturalWidth", 1440)
    scripts = [url for url in set(seen.requested) - before if url.endswith(".js")]
    assert scripts
    assert sum(map(gzipped, scripts)) <= MOST
    page.keyboard.press("i")
    details = page.get_by_role("complementary")
    for text in ("Canon EOS R6", "f/1.8 · 1/200 s", "UTC+09:00 · From the camera", "3000 × 2000"):
        expect(details).to_contain_text(text)
    expect(details.get_by_role("link", name="Seoul")).to_have_attribute(
        "href", re.compile(r"^/albums/\d+$")
    )
    place = details.get_by_role("link", name="OpenStreetMap")
    expect(place).to_have_attribute("href", re.compile(r"mlat=37.5665.*&mlon=126.978"))
    expect(place).to_have_attribute("rel", "noreferrer")
    assert faults(page) == []
    seen.picture("viewer-details")
    page.keyboard.press("i")

    page.keyboard.press("+")
    whole = page.locator(".picture img[src^='blob:']")
    expect(whole).to_have_js_property("naturalWidth", 3000)
    page.keyboard.press("ArrowRight")
    shows(seen, ids[1])
    expect(whole).to_have_count(0)
    expect(viewer(page).get_by_role("status").first).to_contain_text("Photo 1.jpg, 2 of 3")
    for _ in range(15):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    expect(viewer(page)).to_have_count(0)
    expect(tile(page, 1)).to_be_focused()
    assert page.url == f"{seen.service.url}/"

    page.keyboard.press("Enter")
    shows(seen, ids[1])
    page.go_back()
    expect(viewer(page)).to_have_count(0)
    expect(tile(page, 1)).to_be_focused()
    page.go_forward()
    shows(seen, ids[1])
    expect(viewer(page)).to_be_visible()
    page.reload()
    expect(picture(page, "Photo 1.jpg").last).to_be_visible()
    page.get_by_role("button", name="Back").click()
    expect(viewer(page)).to_have_count(0)
    assert page.url == f"{seen.service.url}/"
    assert seen.hosts == {"127.0.0.1"}


def test_what_is_said_about_a_photo_is_kept(gallery: Service, visit: Callable[..., Visit]) -> None:
    with gallery.new_user() as owner:
        photo_id = take(owner, [(640, 480)]).ids[0]
        seen = visit(user=owner, language="ko")
        page = seen.page
        seen.go(f"/?photo={photo_id}")
        expect(viewer(page)).to_be_visible()
        page.keyboard.press("e")
        title = page.get_by_label("제목", exact=True)
        title.fill("한강의 아침")
        seen.expected.append("status of 500")
        page.route("**/api/photos/*", answering(500))
        page.get_by_role("button", name="저장").click()
        expect(viewer(page).get_by_role("alert")).to_contain_text(
            "서버에서 문제가 생겼습니다(요청 r1)"
        )
        expect(title).to_have_value("한강의 아침")
        page.unroute("**/api/photos/*")
        page.get_by_role("button", name="저장").click()
        expect(page.get_by_role("complementary").locator(".title")).to_have_text("한강의 아침")
        assert owner.photo(photo_id)["title"] == "한강의 아침"

        page.get_by_role("button", name="날짜와 시간 변경").click()
        page.get_by_label("촬영지의 날짜와 시간").fill("2023-12-24T18:05:30")
        page.get_by_label("UTC와의 차이").select_option("-300")
        page.get_by_role("button", name="저장").click()
        expect(page.get_by_role("complementary")).to_contain_text("2023년 12월 24일")
        photo = owner.photo(photo_id)
        assert (photo["sort_at"], photo["utc_offset"]) == ("2023-12-24T18:05:30", -300)
        page.get_by_role("button", name="날짜와 시간 변경").click()
        seen.picture("viewer-date")

        page.get_by_role("button", name="파일의 날짜 사용").click()
        expect(page.get_by_role("complementary")).to_contain_text("카메라가 기록한 날짜")
        assert owner.photo(photo_id)["sort_at"] == "2024-05-12T15:30:00"

        page.get_by_role("button", name="제목과 설명 편집").click()
        page.get_by_label("설명", exact=True).fill("첫 배")
        owner.api.delete(f"/photos/{photo_id}").raise_for_status()
        seen.expected.append("status of 404")
        page.get_by_role("button", name="저장").click()
        expect(viewer(page).get_by_role("alert")).to_contain_text("그사이")
        expect(page.get_by_label("설명", exact=True)).to_have_value("첫 배")


def test_a_photo_is_marked_deleted_and_restored(
    gallery: Service, visit: Callable[..., Visit]
) -> None:
    with gallery.new_user() as owner:
        ids = take(owner, [(640, 480), (480, 640), (640, 480)]).ids
        seen = visit(user=owner)
        page = seen.page
        page.clock.install()
        seen.go("/")
        tile(page, 1).click()
        shows(seen, ids[1])
        heart = page.get_by_role("button", name="Favourite")
        expect(heart).to_be_enabled()
        expect(heart).to_have_attribute("aria-pressed", "false")
        page.keyboard.press("f")
        expect(heart).to_have_attribute("aria-pressed", "true")
        eventually(lambda: owner.photo(ids[1])["favourite"])
        seen.expected.append("status of 500")
        page.route("**/api/photos/bulk", answering(500))
        page.keyboard.press("f")
        expect(viewer(page).get_by_text("Something went wrong")).to_be_visible()
        expect(heart).to_have_attribute("aria-pressed", "true")
        page.unroute("**/api/photos/bulk")
        seen.expected.append("ERR_FAILED")
        page.route("**/api/photos/bulk", lambda route: route.abort())
        page.keyboard.press("f")
        expect(heart).to_have_attribute("aria-pressed", "false")
        unknown = viewer(page).get_by_text("The server did not answer")
        for _ in range(90):  # the client's patience; each attempt waits until this process fails it
            if unknown.is_visible():
                break
            page.clock.fast_forward(10_000)
            page.wait_for_timeout(100)
        expect(unknown).to_be_visible()
        expect(heart).to_have_attribute("aria-pressed", "true")
        page.unroute("**/api/photos/bulk")

        page.keyboard.press("Delete")
        shows(seen, ids[2])
        undo = viewer(page).get_by_role("button", name="Undo")
        expect(undo).to_be_visible()
        seen.picture("viewer-deleted")
        assert owner.api.get(f"/photos/{ids[1]}").status_code == 404
        expect(viewer(page).get_by_role("status").first).to_contain_text("2 of 2")
        undo.click()
        shows(seen, ids[1])
        assert owner.photo(ids[1])["favourite"]
        for _ in ids:
            page.get_by_role("button", name="Move to the trash").click()
        expect(viewer(page)).to_have_count(0)
        trashed = owner.api.get("/photos/trash").raise_for_status().json()
        assert {photo["id"] for photo in trashed} == set(ids)


def swipe(page: Page, dx: int) -> None:
    """A finger over more than half of the screen, so that it need not be quick."""
    touch = page.context.new_cdp_session(page)

    def at(kind: str, x: int) -> None:
        points = [] if kind == "touchEnd" else [{"x": x, "y": 400}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    at("touchStart", 340)
    for step in range(1, 9):
        at("touchMove", 340 + dx * step // 8)
        page.evaluate("new Promise(requestAnimationFrame)")  # the slide follows
    at("touchEnd", 0)


def test_a_phone_swipes_downloads_and_goes_back(
    photographs: Photographs, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    seen = visit(user=photographs.owner, size="phone", color_scheme="dark")
    page, ids = seen.page, photographs.ids
    seen.go("/")
    tile(page, 0).tap()
    shows(seen, ids[0])
    expect(picture(page, "Photo 0.jpg").last).to_be_visible()
    seen.picture("viewer")
    expect(page.locator(".picture[aria-label='Photo 1.jpg']")).to_be_attached()  # it is open now
    swipe(page, -290)
    shows(seen, ids[1])
    expect(picture(page, "Photo 1.jpg").last).to_be_visible()
    # No tap: Chromium takes one so soon after a swipe for its end.
    page.get_by_role("button", name="Details").click()
    expect(page.get_by_role("complementary")).to_contain_text("Canon EOS R6")
    seen.picture("viewer-details")
    assert faults(page) == []
    page.get_by_role("complementary").get_by_role("button", name="Close").tap()
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download the original").tap()
    begun.value.save_as(tmp_path / "original")
    assert begun.value.suggested_filename == "Photo 1.jpg"
    assert (tmp_path / "original").read_bytes() == photographs.files[1]
    page.go_back()
    expect(viewer(page)).to_have_count(0)
    expect(tile(page, 1)).to_be_in_viewport()


def test_photos_are_shown_however_they_are_delivered(
    gallery: Service, otherwise: Service, visit: Callable[..., Visit]
) -> None:
    """Streamed by the service; of an iPhone; not ready yet; and where there is no picture."""
    with gallery.new_user() as owner:
        damaged = owner.post_photo(b"\xff\xd8\xff\xe0" + bytes(500), filename="a.jpg").json()["id"]
        iphone = owner.post_photo(heic(1600, 1200), filename="b.heic").json()["id"]
        eventually(lambda: owner.photo(damaged)["renditions"] == "failed", 30)
        owner.rendered(iphone)
        seen = visit(user=owner, service=otherwise)
        page = seen.page
        seen.expected += ["status of 500"]
        page.route("**/image?size=preview", answering(500))
        seen.go(f"/?photo={iphone}")
        expect(viewer(page).get_by_text("could not be loaded")).to_be_visible()
        page.unroute("**/image?size=preview")
        viewer(page).get_by_role("button", name="Try again").click()
        preview = picture(page, "b.heic").last
        expect(preview).to_have_js_property("naturalWidth", 1440)
        page.keyboard.press("+")
        expect(picture(page, "b.heic").last).to_have_js_property(
            "naturalWidth", 1600, timeout=30_000
        )
        seen.picture("viewer-heic")
        page.keyboard.press("ArrowRight")
        expect(viewer(page).get_by_text("This photo cannot be shown")).to_be_visible()
        with page.expect_download() as begun:
            viewer(page).locator("p").get_by_role("button", name="Download").click()
        assert Path(begun.value.path()).stat().st_size == 504
        page.keyboard.press("ArrowLeft")
        expect(preview).to_be_visible()
        assert page.evaluate("document.querySelectorAll('.picture').length") <= 5
        assert seen.hosts == {"127.0.0.1"}

        blank = {"renditions": "pending", "preview_url": None, "thumbnail_url": None}
        page.route(
            f"**/api/photos/{iphone}",
            lambda route: route.fulfill(json=route.fetch().json() | blank),
        )
        page.clock.install()
        page.reload()
        expect(viewer(page).get_by_text("being prepared")).to_be_visible()
        page.unroute(f"**/api/photos/{iphone}")
        page.clock.fast_forward(10_000)  # until the page looks again
        expect(picture(page, "b.heic").last).to_have_js_property("naturalWidth", 1440)
