"""What visitors of a share link see in a browser, with scripts and without, and on which size."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from photo_api.gallery.share_page import TEXTS
from tests.gallery.axe import faults
from tests.gallery.conftest import Language, Size, Visit
from tests.service import Service, User, jpeg

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]


@pytest.fixture(scope="module")
def owner(gallery: Service) -> User:
    return gallery.new_user()


@pytest.fixture(scope="module")
def album(owner: User) -> dict[str, Any]:
    """Three photos, with a link to them."""
    about = {"name": "Dokdo", "description": "Two islands,\none day"}
    made: dict[str, Any] = owner.api.post("/albums/", json=about).json()
    shapes = ((1600, 1067), (800, 1200), (1500, 1500))
    photos = [
        owner.upload(jpeg(width, height), made["id"], title=f"Photo {number}")["id"]
        for number, (width, height) in enumerate(shapes, 1)
    ]
    for photo in photos:
        owner.rendered(photo)
    link = owner.api.post(f"/albums/{made['id']}/share").json()
    return made | {"photos": photos, "path": f"/share/{link['token']}"}


CASES: list[tuple[Size, Language, bool]] = [("desktop", "en", True), ("phone", "ko", False)]


@pytest.mark.parametrize(("size", "language", "scripts"), CASES)
def test_a_visitor_leafs_through_an_album(
    visit: Callable[..., Visit],
    album: dict[str, Any],
    size: Size,
    language: Language,
    scripts: bool,
) -> None:
    more = {"java_script_enabled": scripts, "color_scheme": "dark" if scripts else "light"}
    seen = visit(size=size, language=language, **more)
    page, text = seen.page, TEXTS[language]
    seen.go(album["path"])
    expect(page.get_by_role("heading", name="Dokdo")).to_be_visible()
    expect(page.get_by_text(text["count"].format(n=3))).to_be_visible()
    tiles = page.locator(".tiles img")
    expect(tiles).to_have_count(3)
    for tile in tiles.all():
        tile.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    seen.picture("share-album")
    if scripts:
        assert page.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("link", name="Photo 2").click()
    expect(page.get_by_role("heading", name="Photo 2")).to_be_visible()
    page.wait_for_load_state("networkidle")
    seen.picture("share-photo")
    if scripts:
        assert faults(page) == []
        page.keyboard.press("ArrowRight")
    else:
        page.get_by_role("link", name=text["next"]).click()
    expect(page.get_by_role("heading", name="Photo 3")).to_be_visible()
    expect(page.get_by_role("link", name=text["next"])).to_have_count(0)
    if scripts:
        page.keyboard.press("Escape")
    else:
        page.get_by_role("link", name=text["back"]).click()
    expect(page).to_have_url(re.compile(r"/share/[\w-]+\?seen=1#photo-\d+$"))
    seen.expected.append("404")
    seen.go("/share/unknown")
    expect(page.get_by_role("heading", name=text["not_found"])).to_be_visible()
    seen.picture("share-gone")
    assert seen.hosts == {"127.0.0.1"}


def test_a_picture_whose_address_has_ended_is_asked_for_again(
    visit: Callable[..., Visit], album: dict[str, Any], gallery: Service
) -> None:
    """As in a page that was open for longer than its addresses work."""
    seen = visit()
    store = gallery.environ["PHOTO_API_S3_ENDPOINT"]
    ended: list[str] = []

    def once(route: Any) -> None:
        if "photo" in route.request.url and route.request.redirected_from is None:
            ended.append(route.request.url)
            route.fulfill(status=403)
        else:
            route.continue_()

    seen.expected.append("403")
    seen.page.route(f"{store}/**", once)
    seen.go(album["path"])
    expect(seen.page.locator(".tiles img[data-again]")).to_have_count(3)
    seen.page.wait_for_load_state("networkidle")
    assert seen.page.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
    assert len(ended) == 3


@pytest.mark.parametrize("what", ["script", "style"])
def test_the_page_begins_anew_where_another_release_was_asked(
    visit: Callable[..., Visit], what: str
) -> None:
    """By a balancer that cannot ask again: nginx does (tests/photo_fleet/test_nginx_gallery.py)."""
    seen, refused = visit(), list[str]()
    ending = ".js" if what == "script" else ".css"

    def refuse(route: Any) -> None:
        if len(refused) < 2:
            refused.append(route.request.url)
            route.fulfill(status=404, body="{}", content_type="application/json")
        else:
            route.continue_()

    seen.expected += ["404", "MIME type"]
    seen.page.route(re.compile(rf"/assets/first-[^/]*\{ending}$"), refuse)
    seen.go("/")
    # Without its style the page runs, and begins anew a moment later.
    for _ in range(200):
        if len(refused) == 2:
            break
        seen.page.wait_for_timeout(100)
    assert len(refused) == 2
    expect(seen.page.locator("input[type=password]")).to_be_visible(timeout=20_000)
    expect(seen.page.locator("body")).to_have_css("margin", "0px")
    assert seen.page.evaluate("sessionStorage.getItem('photo-api.start')") is None


def test_a_view_whose_release_is_gone_loads_the_page_anew_at_the_same_address(
    visit: Callable[..., Visit], owner: User
) -> None:
    seen = visit(user=owner)

    def refuse(route: Any) -> None:
        if f"{seen.service.url}/account" not in seen.requested:
            route.fulfill(status=404, body="{}", content_type="application/json")
        else:
            route.continue_()

    seen.expected += ["404", "MIME type", "dynamically imported module"]
    seen.page.route(re.compile(r"/assets/Account-.*\.js$"), refuse)
    seen.go("/")
    with seen.page.expect_event("load", timeout=60_000):
        seen.page.locator("nav a[href='/account']").click()
    expect(seen.page.locator("nav a[href='/account'][aria-current=page]")).to_be_visible()
    expect(seen.page.locator("#content h1, #content h2").first).to_be_visible(timeout=20_000)


def test_the_page_can_be_installed(visit: Callable[..., Visit], gallery: Service) -> None:
    seen = visit()
    seen.go("/")
    devtools = seen.page.context.new_cdp_session(seen.page)
    told = devtools.send("Page.getAppManifest")
    assert told["errors"] == []
    problems = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # The browser of a test is private, where nothing is installed.
    assert [one["errorId"] for one in problems if one["errorId"] != "in-incognito"] == []
    manifest = httpx.get(f"{gallery.url}/manifest.webmanifest").json()
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in manifest["icons"]}
