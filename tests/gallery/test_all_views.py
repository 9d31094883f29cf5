"""What holds for every view: axe finds nothing, nothing scrolls sideways, the keyboard is enough,
who wants no motion sees none, and the policy refuses what others would slip in."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.gallery.axe import faults
from tests.gallery.conftest import Visit
from tests.service import PASSWORD, Service, User, jpeg

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

WIDTHS = (320, 390, 768, 1280, 2560)

PHOTOS = "[data-index]"


@pytest.fixture(scope="module")
def user(gallery: Service) -> User:
    """Somebody who has something to be seen in every view."""
    user = gallery.new_user()
    album = user.album("Nara")["id"]
    sizes = ((320, 240), (240, 320), (480, 160), (240, 240), (320, 200), (200, 320))
    photos = [user.upload(jpeg(*size), album, title=f"Deer {size[0]}")["id"] for size in sizes]
    for photo in photos:
        user.rendered(photo)
    user.api.patch(f"/photos/{photos[0]}", json={"favourite": True}).raise_for_status()
    user.api.patch(f"/photos/{photos[1]}", json={"archived": True}).raise_for_status()
    user.api.delete(f"/photos/{photos[2]}").raise_for_status()
    user.api.post(f"/albums/{album}/share").raise_for_status()
    return user


@pytest.fixture(scope="module")
def views(user: User) -> dict[str, str]:
    """Paths, and what is there once the view is."""
    [album] = user.api.get("/albums").json()
    return {
        "/": PHOTOS,
        "/albums": f"a[href='/albums/{album['id']}']",
        f"/albums/{album['id']}": PHOTOS,
        "/search?taken_from=2000-01-01": PHOTOS,
        "/favourites": PHOTOS,
        "/archive": PHOTOS,
        "/trash": PHOTOS,
        "/account": "section li",
        "/register": "form",
        "/reset#token=x": "form",
    }


def shown(seen: Visit, views: dict[str, str]) -> Iterator[tuple[str, Page]]:
    for path, sign in views.items():
        seen.go(path)
        expect(seen.page.locator(f"#content {sign}").first).to_be_visible()
        yield path, seen.page


WIDER = """() => {
    const page = document.scrollingElement;
    const box = document.querySelector("#content");
    const found = [page, box].filter(one => one.scrollWidth > one.clientWidth);
    return found.map(one => `${one.tagName} ${one.scrollWidth} > ${one.clientWidth}`);
}"""

# Without a Korean font letters are narrower here than they are: they are as wide as they are high.
AS_WIDE_AS_HANGUL = """() => {
    const probe = document.createElement("span");
    probe.textContent = "가".repeat(10);
    document.body.append(probe);
    const size = parseFloat(getComputedStyle(probe).fontSize);
    const lacking = Math.max(0, size * 0.95 - probe.getBoundingClientRect().width / 10);
    probe.remove();
    document.documentElement.style.letterSpacing = `${lacking / size}em`;
}"""

CUT_OFF = """() => [...document.querySelectorAll("body *")].filter(one => {
    const style = getComputedStyle(one);
    const own = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    const meant = style.textOverflow === "ellipsis" || style.clipPath !== "none";
    return own && !meant && style.display !== "inline" && one.checkVisibility()
        && one.scrollWidth > one.clientWidth + 1 && !["auto", "scroll"].includes(style.overflowX);
}).map(one => `${one.tagName} ${one.className}: ${one.textContent.trim().slice(0, 40)}`)"""


def test_nothing_is_found_on_a_desktop_nor_wider_than_any_screen(
    user: User, views: dict[str, str], visit: Callable[..., Visit]
) -> None:
    seen = visit(user=user, color_scheme="light")
    found: list[Any] = []
    for path, page in shown(seen, views):
        seen.picture(f"view{path.partition('?')[0].partition('#')[0].replace('/', '-')}")
        found += [(path, fault) for fault in faults(page)]
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            found += [(path, width, wide) for wide in page.evaluate(WIDER)]
        page.set_viewport_size({"width": 1280, "height": 800})
    assert found == []


def test_nothing_is_found_nor_cut_off_on_a_dark_phone_in_korean(
    user: User, views: dict[str, str], visit: Callable[..., Visit]
) -> None:
    seen = visit(user=user, size="phone", language="ko", color_scheme="dark")
    found: list[Any] = []
    for path, page in shown(seen, views):
        seen.picture(f"view{path.partition('?')[0].partition('#')[0].replace('/', '-')}")
        found += [(path, fault) for fault in faults(page)]
        page.set_viewport_size({"width": 320, "height": 640})
        page.evaluate(AS_WIDE_AS_HANGUL)
        found += [(path, wide) for wide in page.evaluate(WIDER) + page.evaluate(CUT_OFF)]
        page.set_viewport_size({"width": 390, "height": 844})
    assert found == []


def tab_to(page: Page, name: str, most: int = 40) -> None:
    """By the key alone, as who has no mouse."""
    focused = "() => document.activeElement.getAttribute('aria-label')"
    names = f"{focused[6:]} || document.activeElement.textContent.trim()"
    passed = []
    for _ in range(most):
        page.keyboard.press("Tab")
        passed.append(page.evaluate(f"() => {names}"))
        if passed[-1].startswith(name):
            return
    raise AssertionError(f"no {name} among {passed}")


MOVING = """() => document.getAnimations().filter(one => one.playState === "running")
    .map(one => `${one.effect.target.className} ${one.transitionProperty ?? one.animationName}`)"""


def test_the_keyboard_is_enough_and_nothing_moves(
    gallery: Service, user: User, visit: Callable[..., Visit]
) -> None:
    seen = visit(reduced_motion="reduce")
    page = seen.page
    seen.go("/")
    expect(page.locator("input[autocomplete=username]")).to_be_focused()
    page.keyboard.type(user.email)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(PHOTOS).first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    tab_to(page, "Deer")
    first = page.evaluate("() => document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate(MOVING) == []
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    # Back on the photo that was shown last.
    name = "() => document.activeElement.getAttribute('aria-label') ?? ''"
    page.wait_for_function(f"({name})().startsWith('Deer')")
    assert page.evaluate(name) != first
    page.keyboard.press("Home")
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("() => document.activeElement.getAttribute('href')") == "/albums":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    tab_to(page, "Nara")
    page.keyboard.press("Enter")
    expect(page.locator(PHOTOS).first).to_be_visible()
    assert page.evaluate(MOVING) == []


def test_the_policy_refuses_what_others_slip_in(user: User, visit: Callable[..., Visit]) -> None:
    seen = visit(user=user)
    page = seen.page
    seen.go("/account")
    expect(page.locator("section li").first).to_be_visible()
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.slipped = true";
        document.body.append(script);
        const image = document.createElement("img");
        image.src = "http://127.0.0.2:9/x.png";
        document.body.append(image);
        document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>x</p>");
        return fetch("http://127.0.0.2:9/").catch(() => undefined);
    }""")
    assert page.evaluate("() => window.slipped") is None
    refused = [text for text in seen.complaints if "Content Security Policy" in text]
    for what in ("script-src", "img-src", "style-src", "connect-src"):
        assert any(what in text for text in refused), seen.complaints
    # Seen by what watches all other tests, too.
    assert seen.unexpected == seen.complaints
    seen.expected += ["Content Security Policy", "127.0.0.2"]
