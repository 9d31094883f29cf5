"""Search: words and filters, kept in the address, and what they find."""

import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.gallery.axe import faults
from tests.gallery.conftest import Visit
from tests.gallery.many_photos import many_photos
from tests.service import Service, User

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

CAMERA = "Canon EOS R6"


def photographed(camera: str) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", camera
    exif.get_ifd(0x8769)[0x9003] = "2023:05:12 15:30:00"
    out = BytesIO()
    Image.new("RGB", (480, 320), "steelblue").save(out, "JPEG", exif=exif)
    return out.getvalue()


@pytest.fixture(scope="module")
def user(gallery: Service, stack: dict[str, Any]) -> User:
    """Somebody with 155 photos and one of Seoul."""
    user = gallery.new_user()
    many_photos(stack, gallery, user, 150, 600)
    album = user.album("여행")["id"]
    user.rendered(user.upload(photographed(CAMERA), album, title="서울대공원 소풍")["id"])
    return user


def is_found(page: Page, words: str) -> None:
    expect(page.locator(".head [role=status]")).to_have_text(words)


def test_words_and_filters_find_photos(user: User, visit: Callable[..., Visit]) -> None:
    seen = visit(user=user)
    page, field = seen.page, seen.page.get_by_role("searchbox")
    seen.go("/search")
    expect(page.get_by_text("Find photos by words")).to_be_visible()
    assert faults(page) == []

    field.press_sequentially("대공원")
    is_found(page, "1 photo")
    assert page.evaluate("decodeURIComponent(location.search)") == "?q=대공원"
    page.get_by_label("Camera").select_option(CAMERA)
    page.get_by_label("Album").select_option("여행")
    expect(page).to_have_url(re.compile("camera=Canon.*album=[0-9]"))
    is_found(page, "1 photo")
    expect(page.get_by_role("list", name="Search").get_by_role("button").first).to_be_visible()
    assert faults(page) == []
    seen.picture("search")
    page.get_by_role("button", name="Favourites").click()
    expect(page.get_by_text("No photo suits this")).to_be_visible()
    page.reload()
    expect(page.get_by_text("No photo suits this")).to_be_visible()
    seen.picture("search-nothing")
    page.go_back()
    is_found(page, "1 photo")
    page.get_by_role("button", name="Clear all filters").click()
    expect(page).to_have_url(re.compile(r"/search\?q=[^&]*$"))
    page.get_by_role("button", name="Clear the field").click()
    expect(field).to_be_focused()

    page.get_by_role("button", name="Date").click()
    page.get_by_label("To", exact=True).fill("2024-05-31")
    is_found(page, "151 photos")
    assert any("taken_before=2024-06-01&limit=100&cursor=" in url for url in seen.requested)
    page.get_by_label("From", exact=True).fill("2024-05-31")
    page.get_by_label("To", exact=True).fill("2024-05-31")
    is_found(page, "1 photo")
    assert "taken_from=2024-05-31&taken_before=2024-06-01" in page.url


def test_only_the_last_question_is_answered(user: User, visit: Callable[..., Visit]) -> None:
    held: list[Route] = []
    seen = visit(user=user, size="phone", language="ko")
    seen.expected.append("the server responded with a status of 4")
    page, field = seen.page, seen.page.get_by_role("searchbox")
    page.route(re.compile(r"/photos/\?q=slow&"), lambda route: held.append(route))
    seen.go("/search?q=slow")
    expect(page.get_by_text("검색하는 중")).to_be_visible()
    field.fill("")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    # A syllable that is not complete is not searched for; one that rests is, uncommitted.
    cdp = page.context.new_cdp_session(page)
    for text in ("소", "소ㅍ", "소푸", "소풍"):
        at = {"selectionStart": len(text), "selectionEnd": len(text)}
        cdp.send("Input.imeSetComposition", {"text": text, **at})
        if text == "소ㅍ":
            page.wait_for_timeout(1_000)
            assert [url for url in asked if "/photos/?q" in url] == []
    is_found(page, "사진 1장")
    assert field.input_value() == "소풍"
    held[0].fulfill(json=[])
    page.wait_for_timeout(100)
    is_found(page, "사진 1장")
    assert len([url for url in asked if "/photos/?q" in url]) == 1
    seen.picture("search")

    broad = {"detail": "Too many photos", "code": "filter_too_broad", "request_id": "1"}
    page.route(
        re.compile(r"/photos/\?q=broad&"), lambda route: route.fulfill(status=422, json=broad)
    )
    field.fill("broad")
    expect(page.get_by_role("alert")).to_contain_text("더 길거나 드문 말")
    field.fill("__")
    expect(page.get_by_text("글자나 숫자를 하나 이상")).to_be_visible()
    assert faults(page) == []
