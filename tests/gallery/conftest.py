"""The gallery in a real Chromium, on a real service that it is a page of."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from photo_local.bucket import BucketAdmin
from tests.chromium import BOUND, LAN_NAME, killed_after, loop_of_ones_own, running_chromium
from tests.gallery.many_photos import many_photos
from tests.own_stage import own_database
from tests.service import Service, User, running_service

Language = Literal["en", "ko"]
Size = Literal["desktop", "phone"]

FAILED = pytest.StashKey[bool]()

LOCALES = {"en": "en-GB", "ko": "ko-KR"}
SIZES: dict[Size, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}


@pytest.fixture(scope="session")
def gallery(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service with its page, a database of its own, and a bucket that takes uploads from it."""
    bucket = f"own-{uuid4().hex}"
    keys = (stack["access_key"], stack["secret_key"])
    origins = ["http://127.0.0.1:*", f"http://{LAN_NAME}:*"]
    BucketAdmin(stack["s3_endpoint"], bucket, stack["region"], *keys).prepare(origins)
    changed = environ | {"PHOTO_API_PUBLIC_URL": "", "PHOTO_API_S3_BUCKET": bucket}
    with (
        own_database(stack, changed) as settings,
        running_service(settings, tmp_path_factory.mktemp("gallery")) as service,
    ):
        yield service


@pytest.fixture(scope="session")
def otherwise(gallery: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The same accounts and photos by other settings: it streams, deletes for good, and lets in who
    was invited. Its jobs are done by the other one."""
    changed = {"DELIVERY": "stream", "TRASH_DAYS": "0", "REGISTRATION": "invitation"}
    settings = gallery.environ | {f"PHOTO_API_{name}": value for name, value in changed.items()}
    with running_service(settings, tmp_path_factory.mktemp("otherwise"), "--no-jobs") as service:
        yield service


@pytest.fixture(scope="session")
def collector(stack: dict[str, Any], gallery: Service) -> User:
    """Somebody with 3,000 photos, some 180 a month; tests leave them as they were."""
    user = gallery.new_user()
    many_photos(stack, gallery, user, 3_000, 240)
    return user


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    if call.excinfo is not None:
        item.session.stash[FAILED] = True


@pytest.fixture(scope="package")
def chromiums(gallery: Service, request: pytest.FixtureRequest) -> Iterator[Callable[[], Browser]]:
    """One for all tests, and another one after a test that failed, which may have been interrupted
    in the middle of a call, or have had its browser killed."""
    browsers, stash = list[Browser](), request.session.stash
    with ExitStack() as running:

        def chromium() -> Browser:
            if not browsers or stash.get(FAILED, False):
                stash[FAILED] = False
                running.close()
                browsers.append(running.enter_context(running_chromium()))
            return browsers[-1]

        yield chromium


@pytest.fixture
def chromium(chromiums: Callable[[], Browser]) -> Browser:
    return chromiums()


@pytest.fixture(autouse=True)
def _loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests without a browser may follow others that have one."""
    if "chromium" in request.fixturenames:
        yield
    else:
        with loop_of_ones_own():
            yield


@pytest.fixture
def uploader(gallery: Service) -> Iterator[User]:
    """Somebody who has no photo yet."""
    with gallery.new_user() as user:
        yield user


@dataclass
class Visit:
    """A page of the gallery as somebody sees it. What the browser complains of fails the test,
    unless that has named it in `expected` (parts of the texts)."""

    page: Page
    service: Service
    size: Size
    language: Language
    expected: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(self.service.url + path)

    def sign_in(self, user: User) -> None:
        """As if this browser had signed in before: the tokens, and no form."""
        kept = """granted => localStorage.setItem("photo-api.session", JSON.stringify({
            access: granted.access_token, refresh: granted.refresh_token, at: Date.now(),
            expiresAt: Date.now() + granted.expires_in * 1000}))"""
        self.go("/icon.svg")
        self.page.evaluate(kept, user.tokens)

    def open_tab(self) -> None:
        """Another one of the same browser, which is the page from now on."""
        self.page = self.page.context.new_page()
        _listen(self)

    def picture(self, name: str) -> None:
        """A screenshot for people to look at, where GALLERY_PICTURES names a folder."""
        if folder := os.environ.get("GALLERY_PICTURES"):
            path = Path(folder) / f"{name}-{self.size}-{self.language}.png"
            self.page.screenshot(path=path)

    @property
    def unexpected(self) -> list[str]:
        return [
            text for text in self.complaints if not any(known in text for known in self.expected)
        ]

    @property
    def hosts(self) -> set[str | None]:
        return {urlsplit(url).hostname for url in self.requested if url.startswith("http")}


@pytest.fixture
def visit(chromium: Browser, gallery: Service) -> Iterator[Callable[..., Visit]]:
    """Open a browser of one's own: `visit(size=…, language=…, user=…)`, signed in as `user`."""
    contexts: list[BrowserContext] = []
    visits: list[Visit] = []

    def opened(
        size: Size = "desktop",
        language: Language = "en",
        user: User | None = None,
        service: Service = gallery,
        **more: Any,
    ) -> Visit:
        context = chromium.new_context(locale=LOCALES[language], **(SIZES[size] | more))
        contexts.append(context)
        visit = Visit(context.new_page(), service, size, language)
        visits.append(visit)
        if user is not None:
            visit.sign_in(user)
        # Not before: of the picture's page browsers ask for an icon that there is not.
        visit.page.goto("about:blank")
        _listen(visit)
        return visit

    yield opened
    with killed_after(BOUND):
        for context in contexts:
            context.close()
    assert [visit.unexpected for visit in visits] == [[] for _ in visits]


def _listen(visit: Visit) -> None:
    def said(line: ConsoleMessage) -> None:
        # Errors of the policy come as console errors, too.
        if line.type in ("error", "warning"):
            # Of what was asked in vain, the text alone says only that it was.
            visit.complaints.append(f"{line.text} {line.location.get('url', '')}")

    visit.page.on("console", said)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", lambda request: visit.requested.append(request.url))
