"""The account's page: storage, devices, password, appearance, and the account's end."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.gallery.administering import let_have
from tests.gallery.axe import faults
from tests.gallery.conftest import Visit
from tests.service import PASSWORD, Service, User, eventually, new_address

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

NEW = "another long pass phrase"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


def sign_in_with(user: User, agent: str) -> None:
    user.api.headers["User-Agent"] = agent
    user.login().raise_for_status()


def test_somebody_keeps_their_account_in_order(
    gallery: Service, visit: Callable[..., Visit]
) -> None:
    user = gallery.new_user()
    for agent in (PHONE, FIREFOX, FIREFOX):
        sign_in_with(user, agent)
    user.upload()
    seen = visit(user=user, extra_http_headers={"X-Forwarded-For": new_address()})
    seen.expected.append("the server responded with a status of 4")
    page = seen.page
    seen.go("/account")
    expect(page.get_by_text(user.email)).to_be_visible()
    expect(page.get_by_text("there is no limit")).to_be_visible()

    devices = page.locator("section li")
    expect(devices).to_have_count(4)
    expect(devices.first).to_contain_text("This device")
    assert faults(page) == []
    seen.picture("account")
    page.get_by_role("button", name="Sign out Safari on iPhone").click()
    expect(devices).to_have_count(3)
    page.get_by_role("button", name="Sign out everywhere else").click()
    expect(page.get_by_text("2 devices were signed out")).to_be_visible()
    assert len(user.api.get("/auth/sessions").json()) == 1

    now = page.locator("section input[autocomplete=current-password]")
    page.locator("input[autocomplete=new-password]").fill(NEW)
    change = page.get_by_role("button", name="Change password")
    change.click()
    expect(now).to_be_focused()
    for password, words in (("wrong", "password is wrong"), (PASSWORD, "password is changed")):
        now.fill(password)
        change.click()
        expect(page.get_by_text(words)).to_be_visible()
    assert user.login(NEW).status_code == 200

    page.get_by_role("radio", name="Dark").check()
    page.get_by_role("radio", name="한국어").check()
    expect(page.get_by_role("heading", name="계정", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_text(user.email)).to_be_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    assert page.evaluate("document.documentElement.lang") == "ko"
    assert faults(page) == []
    seen.picture("account-dark")

    page.get_by_role("button", name="로그아웃", exact=True).first.click()
    expect(page.get_by_role("button", name="로그인")).to_be_visible()
    body = {"refresh_token": user.tokens["refresh_token"]}
    eventually(lambda: user.api.post("/auth/refresh", json=body).status_code == 401)


def test_somebody_leaves_for_good(gallery: Service, visit: Callable[..., Visit]) -> None:
    user = gallery.new_user()
    let_have(gallery, user, 1000)
    user.upload()
    seen = visit(user=user, size="phone", language="ko")
    seen.expected.append("the server responded with a status of 4")
    page = seen.page
    seen.go("/account")
    expect(page.get_by_role("meter")).to_be_visible()
    seen.picture("account")
    page.get_by_role("button", name="계정 삭제").click()
    dialog = page.get_by_role("dialog")
    typed, password = dialog.locator("input").nth(0), dialog.locator("input").nth(1)
    delete = dialog.get_by_role("button", name="영구 삭제")
    typed.fill("somebody@example.org")
    password.fill("wrong")
    delete.click()
    expect(typed).to_be_focused()
    assert faults(page) == []
    typed.fill(user.email.upper())
    delete.click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    seen.picture("account-delete")
    password.fill(PASSWORD)
    delete.click()
    expect(page.get_by_text("계정이 해지되었고")).to_be_visible()
    assert user.login().status_code == 401
