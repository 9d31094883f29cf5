"""Signing in, staying so, and leaving; accounts and passwords by links."""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.gallery.administering import invitation, reset
from tests.gallery.conftest import Visit
from tests.service import PASSWORD, Service, new_address

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

NEW = "another long pass phrase"
REFUSED = "the server responded with a status of 4"
"""What the console says of an answer that the page then puts into words."""


@pytest.fixture
def arriving(visit: Callable[..., Visit]) -> Callable[..., Visit]:
    """A visit from an address of its own, so that nobody is throttled for others' failures."""

    def arrived(**more: Any) -> Visit:
        seen = visit(extra_http_headers={"X-Forwarded-For": new_address()}, **more)
        seen.expected.append(REFUSED)
        return seen

    return arrived


def fill(page: Page, email: str | None, password: str) -> None:
    if email is not None:
        page.locator("input[autocomplete=username]").fill(email)
    page.locator("input[autocomplete$=password]").fill(password)


def enter(page: Page) -> None:
    page.locator("button.main").click()


def is_inside(page: Page) -> None:
    expect(page.get_by_role("navigation")).to_be_visible()


@pytest.mark.parametrize(
    ("language", "size", "wrong", "wait"),
    [
        ("en", "desktop", "E-mail or password is wrong", "15 minutes"),
        ("ko", "phone", "비밀번호가 올바르지 않습니다", "15분"),
    ],
)
def test_somebody_signs_in_where_they_wanted_to_go(
    gallery: Service,
    arriving: Callable[..., Visit],
    language: str,
    size: str,
    wrong: str,
    wait: str,
) -> None:
    user = gallery.new_user()
    seen = arriving(language=language, size=size)
    page, alert = seen.page, seen.page.get_by_role("alert")
    seen.go("/albums")
    enter(page)
    expect(page.locator("[aria-invalid=true]")).to_have_count(2)
    for attempt in range(5):
        fill(page, user.email, f"wrong {attempt}")
        with page.expect_response("**/auth/login"):
            enter(page)
        expect(alert).to_contain_text(wrong)
    fill(page, None, PASSWORD)
    enter(page)
    expect(alert).to_contain_text(wait)
    seen.picture("sign-in-throttled")
    assert page.locator("input[autocomplete=username]").input_value() == user.email

    # From elsewhere the same account is open, and the password can be looked at.
    page.set_extra_http_headers({"X-Forwarded-For": new_address()})
    page.locator("button.icon").click()
    shown = page.locator("input[autocomplete=current-password]")
    assert (shown.get_attribute("type"), shown.input_value()) == ("text", PASSWORD)
    shown.press("Enter")
    is_inside(page)
    assert page.url == f"{gallery.url}/albums"
    page.reload()
    is_inside(page)
    assert seen.hosts == {"127.0.0.1"}


def test_somebody_opens_an_account(gallery: Service, arriving: Callable[..., Visit]) -> None:
    user, email = gallery.new_user(), f"{uuid4().hex}@example.org"
    seen = arriving()
    page = seen.page
    seen.go("/")
    page.get_by_role("link", name="Create account").click()
    expect(page).to_have_url(f"{gallery.url}/register")
    page.locator("input[autocomplete=username]").fill(user.email)
    page.locator("input[autocomplete=nickname]").fill("미나")
    page.reload()
    assert page.locator("input[autocomplete=nickname]").input_value() == "미나"
    fill(page, None, "short")
    enter(page)
    expect(page.get_by_text("Use at least 8 characters")).to_be_visible()
    fill(page, None, NEW)
    enter(page)
    expect(page.get_by_role("alert")).to_contain_text("already")
    seen.picture("register")

    # The first answer is lost on its way; the account is opened, and once.
    lost: list[str] = []

    def lose(route: Any) -> None:
        if not lost:
            lost.append(route.fetch().text())
            route.abort()
        else:
            route.continue_()

    page.route("**/auth/register", lose)
    seen.expected.append("net::ERR_FAILED")
    fill(page, email, NEW)
    enter(page)
    is_inside(page)
    assert json.loads(lost[0])["username"] == "미나"
    assert page.url == f"{gallery.url}/"


def test_links_open_accounts_and_set_passwords(
    otherwise: Service, arriving: Callable[..., Visit]
) -> None:
    """The token is in no address that anybody but the browser sees, and works once."""
    link = invitation(otherwise)
    email = f"{uuid4().hex}@example.org"
    seen = arriving(service=otherwise)
    page = seen.page
    seen.go("/register")
    expect(page.locator("p.word")).to_contain_text("by invitation")
    seen.go("/")
    expect(page.get_by_text("New accounts need an invitation")).to_be_visible()
    # The tab is at the same page without the token.
    seen.go("/register")
    page.evaluate("link => { location.href = link }", link)
    page.locator("input[autocomplete=nickname]").fill("mina")
    expect(page).to_have_url(f"{otherwise.url}/register")
    page.reload()
    fill(page, email, PASSWORD)
    enter(page)
    is_inside(page)

    link = otherwise.url + reset(otherwise, email)
    page.goto(link)
    expect(page).to_have_url(f"{otherwise.url}/reset")
    fill(page, None, NEW)
    seen.picture("reset")
    enter(page)
    expect(page.locator("p.word")).to_contain_text("The password is set")
    fill(page, email, NEW)
    enter(page)
    is_inside(page)
    page.goto(link)
    fill(page, None, PASSWORD)
    enter(page)
    expect(page.get_by_role("alert")).to_contain_text("has been used")
    assert not [url for url in seen.requested if "token=" in url.partition("#")[0]]


STALE = """() => {
    const kept = JSON.parse(localStorage.getItem("photo-api.session"));
    localStorage.setItem("photo-api.session", JSON.stringify({ ...kept, at: 0, expiresAt: 1 }));
}"""


def test_a_session_that_ended_elsewhere_goes_on_where_it_was(
    gallery: Service, arriving: Callable[..., Visit]
) -> None:
    user = gallery.new_user()
    seen = arriving(user=user)
    page = seen.page
    seen.go("/search")
    is_inside(page)
    other = page.context.new_page()
    other.goto(f"{gallery.url}/account")
    is_inside(other)

    # A refresh shows nothing, and both tabs have what one of them got.
    with page.context.expect_event("response", lambda told: "/auth/refresh" in told.url):
        page.evaluate(STALE)
        page.get_by_role("link", name="Account").click()
    page.go_back()
    is_inside(page)

    with closing(gallery.new_user().api) as elsewhere:
        tokens = user.login().json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        elsewhere.delete("/auth/sessions", headers=bearer).raise_for_status()
    page.evaluate(STALE)
    page.get_by_role("link", name="Account").click()
    for tab in (page, other):
        expect(tab.locator("p.word")).to_contain_text("You are signed out here")
    seen.picture("sign-in-ended")
    fill(other, user.email, PASSWORD)
    enter(other)
    is_inside(other)
    assert other.url == f"{gallery.url}/account"
    is_inside(page)
