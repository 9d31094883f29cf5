"""Signing in, staying so, and leaving."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.gallery.conftest import Visit
from tests.service import PASSWORD, Service

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]


@pytest.mark.parametrize(("language", "name"), [("en", "Sign in"), ("ko", "로그인")])
def test_somebody_signs_in(
    gallery: Service, visit: Callable[..., Visit], language: str, name: str
) -> None:
    user = gallery.new_user()
    seen = visit(language=language)
    seen.go("/")
    seen.page.locator("input[type=email]").fill(user.email)
    seen.page.locator("input[type=password]").fill(PASSWORD)
    seen.page.get_by_role("button", name=name).click()
    expect(seen.page.get_by_role("navigation")).to_be_visible()
    seen.page.reload()
    expect(seen.page.get_by_role("navigation")).to_be_visible()
    assert seen.hosts == {"127.0.0.1"}
