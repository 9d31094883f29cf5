"""Browsers that keep nothing, what is left in them, and networks that answer themselves."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.gallery.conftest import Visit
from tests.service import PASSWORD, User

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

DENIED = """for (const name of ["localStorage", "sessionStorage", "indexedDB", "BroadcastChannel"])
    Object.defineProperty(window, name, {
        get() { throw new DOMException("denied", "SecurityError") }})"""


def test_a_browser_that_keeps_nothing_shows_photos(
    uploader: User, visit: Callable[..., Visit]
) -> None:
    uploader.upload()
    seen = visit()
    page = seen.page
    page.add_init_script(DENIED)
    seen.go("/")
    page.get_by_label("E-mail").fill(uploader.email)
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("[data-index]")).to_have_count(1)


def test_what_is_no_session_leads_to_the_form(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.expected = ["favicon.ico"]  # for which browsers ask of the picture's page
    seen.go("/icon.svg")
    seen.page.evaluate("""localStorage.setItem("photo-api.session", '{"access": 1}')""")
    seen.go("/")
    expect(seen.page.get_by_label("E-mail")).to_be_visible()


def test_a_page_of_the_network_is_no_answer_of_the_service(
    uploader: User, visit: Callable[..., Visit]
) -> None:
    """As a hotel's, that wants a name first: in place of waiting for ever, the page says so."""
    seen = visit(user=uploader)
    page = seen.page
    page.route(
        "**/api/**", lambda route: route.fulfill(body="<html>Room?", content_type="text/html")
    )
    for path in ("/", "/albums", "/albums/1", "/search?q=a", "/favourites", "/trash", "/account"):
        seen.go(path)
        main = page.get_by_role("main")
        expect(main).to_contain_text("The server cannot be reached.")
        expect(main.get_by_role("button", name="Try again")).to_be_visible()
    page.unroute("**/api/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("main")).to_contain_text(uploader.email)


@pytest.mark.parametrize(
    ("language", "no_page", "too_long", "other"),
    [
        ("en", "There is no such page", "at most 255 characters", "did not take this: An odd one"),
        ("ko", "그런 페이지가 없습니다", "255자까지", "서버가 받지 않았습니다: An odd one"),
    ],
)
def test_what_is_wrong_is_told_in_the_reader_s_words(
    uploader: User,
    visit: Callable[..., Visit],
    language: str,
    no_page: str,
    too_long: str,
    other: str,
) -> None:
    seen = visit(user=uploader, language=language)
    page = seen.page
    seen.go("/albums/abc")
    expect(page.get_by_role("heading", level=2)).to_have_text(no_page)
    page.locator("#content a").click()
    expect(page).to_have_url(f"{seen.service.url}/")
    seen.go("/albums/")
    page.locator("main button").first.click()
    page.get_by_role("dialog").get_by_role("textbox").first.fill("Dokdo")
    seen.expected.append("status of 422")
    told = [("string_too_long", "String should have at most 255 characters", too_long)]
    for kind, text, shown in [*told, ("value_error", "An odd one", other)]:
        fault = {"loc": ["body", "name"], "msg": text, "type": kind}
        body = {"detail": [fault], "code": "validation_error", "request_id": "1"}
        page.route(ALBUMS, partial(answered, body))
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text(shown)
        page.unroute(ALBUMS)


ALBUMS = re.compile(r"/api/albums/?$")


def answered(body: dict[str, Any], route: Route) -> None:
    route.fulfill(status=422, json=body)
