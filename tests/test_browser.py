"""A real browser: the documentation, and a front end that lives on another origin."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pillow_heif
import pytest
from playwright.sync_api import Browser, Page, Request, expect

from photo_local.bucket import BucketAdmin
from tests.chromium import BOUND, killed_after, running_chromium
from tests.own_stage import own_database
from tests.service import Service, User, eventually, heic, jpeg, put, running_service

pytestmark = pytest.mark.needs("chromium")


@dataclass
class Browsing:
    """A page, and what went on behind it."""

    page: Page
    requests: list[Request]
    complaints: list[str]

    @property
    def hosts(self) -> set[str | None]:
        """Which servers were asked; what a page's own policy forbade is not sent."""
        sent = [request for request in self.requests if request.failure != "csp"]
        urls = [urlsplit(request.url) for request in sent]
        return {url.hostname for url in urls if url.scheme not in ("data", "blob")}


@pytest.fixture(scope="module")
def browser(service: Service, front_end: tuple[str, Service]) -> Iterator[Browser]:
    """Chromium, for all tests here. While it runs, nobody in this thread has an event loop of their
    own, so what needs one is started before it."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def browsing(browser: Browser) -> Iterator[Browsing]:
    """A page that shares neither cache nor storage with another's."""
    page = browser.new_page()
    browsing = Browsing(page, [], [])
    page.on("request", lambda request: browsing.requests.append(request))
    page.on("requestfailed", lambda request: browsing.complaints.append(request.url))
    page.on("pageerror", lambda error: browsing.complaints.append(str(error)))
    page.on(
        "console",
        lambda line: browsing.complaints.append(line.text) if line.type == "error" else None,
    )
    yield browsing
    with killed_after(BOUND):
        page.close()


def test_the_documentation_lists_all_operations_offline(
    service: Service, browsing: Browsing
) -> None:
    browsing.page.goto(f"{service.url}/docs")
    paths = httpx.get(f"{service.url}/openapi.json").json()["paths"]
    operations = sum(len(methods) for methods in paths.values())
    expect(browsing.page.locator(".opblock")).to_have_count(operations)
    browsing.page.get_by_text("/api/albums/{album_id}/share", exact=False).first.wait_for()
    assert browsing.hosts == {"127.0.0.1"}
    assert browsing.complaints == []


def test_the_documentation_can_be_tried_out(service: Service, browsing: Browsing) -> None:
    page = browsing.page
    page.goto(f"{service.url}/docs")
    operation = page.locator(".opblock", has=page.locator('[data-path="/health/live"]')).first
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table")
    expect(answer).to_contain_text('"status": "healthy"')


def test_the_reference_renders_offline(service: Service, browsing: Browsing) -> None:
    browsing.page.goto(f"{service.url}/redoc")
    expect(browsing.page.locator("h1").first).to_contain_text("Photo API")
    browsing.page.get_by_text("Begin a direct upload").first.wait_for()
    assert browsing.hosts == {"127.0.0.1"}


def test_the_next_user_of_a_browser_gets_nothing_that_it_kept_of_the_one_before(
    service: Service, browsing: Browsing
) -> None:
    first, second = User(service.url), User(service.url)
    photo = first.upload(jpeg())
    page = browsing.page
    page.goto(f"{service.url}/docs")
    asked = """([url, token]) => fetch(url, {
        headers: {Authorization: `Bearer ${token}`}, redirect: "manual"
    }).then(answer => answer.type)"""

    def ask(user: User) -> str:
        url = f"/api/photos/{photo['id']}/image"
        return str(page.evaluate(asked, [url, user.tokens["access_token"]]))

    kept = "opaqueredirect"
    assert [ask(user) for user in (first, second, first)] == [kept, "basic", kept]


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing of it."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def serve_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Serve an empty page on an origin of its own."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "index.html").write_text('<!DOCTYPE html><link rel="icon" href="data:,"><p>Front end')
    servers: list[ThreadingHTTPServer] = []

    def serve() -> str:
        handler = partial(Quiet, directory=str(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def front_end(
    stack: dict[str, Any],
    environ: dict[str, str],
    serve_page: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, Service]]:
    """Where a front end lives, and the service that knows it, as its bucket does."""
    origin, bucket = serve_page(), f"own-{uuid4().hex}"
    keys = (stack["access_key"], stack["secret_key"])
    BucketAdmin(stack["s3_endpoint"], bucket, stack["region"], *keys).prepare([origin])
    changed = environ | {"PHOTO_API_CORS_ORIGINS": origin, "PHOTO_API_S3_BUCKET": bucket}
    with (
        own_database(stack, changed) as settings,
        running_service(settings, tmp_path_factory.mktemp("front-end")) as service,
    ):
        yield origin, service


@pytest.fixture
def origin(front_end: tuple[str, Service]) -> str:
    return front_end[0]


@pytest.fixture
def api(front_end: tuple[str, Service]) -> Iterator[User]:
    """Somebody on the front end's service."""
    with front_end[1].new_user() as user:
        yield user


SCRIPT = """
const call = async (base, path, {token, method = 'GET', json} = {}) => {
    const headers = {};
    if (token) headers['Authorization'] = `Bearer ${token}`;
    if (json) headers['Content-Type'] = 'application/json';
    const body = json && JSON.stringify(json);
    return await fetch(base + path, {method, headers, body});
};
const bytes = async answer => {
    const codes = Array.from(new Uint8Array(await answer.arrayBuffer()));
    return btoa(codes.map(code => String.fromCharCode(code)).join(''));
};
const put = (url, headers, data) => new Promise(resolve => {
    const request = new XMLHttpRequest();
    request.open('PUT', url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.onload = () => resolve(request.status);
    request.onerror = () => resolve('blocked');
    request.send(Uint8Array.from(atob(data), c => c.charCodeAt(0)));
});
const shown = url => new Promise(resolve => {
    const image = new Image();
    image.onload = () => resolve(image.naturalWidth);
    image.onerror = () => resolve(0);
    image.src = url;
});
const blob = async (base, path, token) => {
    const answer = await call(base, path, {token});
    return URL.createObjectURL(await answer.blob());
};
const colour = async url => {
    const picture = await createImageBitmap(await (await fetch(url)).blob());
    const canvas = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
    canvas.drawImage(picture, 0, 0);
    const middle = canvas.getImageData(picture.width / 2, picture.height / 2, 1, 1);
    return Array.from(middle.data).slice(0, 3);
};
const readable = async promise => {
    try { return (await promise).status; } catch (error) { return 'blocked'; }
};
"""

UPLOAD = """
async ({base, email, password, data}) => {
    const json = async answer => await answer.json();
    const token = (await json(await call(base, '/auth/login',
        {method: 'POST', json: {email, password}}))).access_token;
    const album = await json(await call(base, '/albums/',
        {token, method: 'POST', json: {name: 'From the browser'}}));
    const file_size = atob(data).length;
    const presigned = await json(await call(base, '/photos/presigned-url', {token, method: 'POST',
        json: {album_id: album.id, filename: '바다.jpg', content_type: 'image/jpeg', file_size}}));
    const stored = await put(presigned.upload_url, presigned.upload_headers, data);
    const confirmed = await json(await call(base, '/photos/confirm',
        {token, method: 'POST', json: {photo_id: presigned.photo_id}}));
    const image = await call(base, confirmed.url, {token});
    return {
        stored, photo_id: confirmed.photo_id, token,
        status: image.status, redirected: image.redirected, image: await bytes(image),
        request_id: (await call(base, '/auth/me', {token})).headers.get('X-Request-ID'),
    };
}
"""


def base_of(user: User) -> str:
    return str(user.api.base_url).rstrip("/")


def evaluate(page: Page, function: str, argument: dict[str, Any]) -> Any:
    return page.evaluate(f"argument => {{ {SCRIPT} return ({function})(argument) }}", argument)


def test_a_front_end_on_another_origin_uploads_and_shows(
    api: User, origin: str, browsing: Browsing
) -> None:
    """As a browser does it: preflights, XHR to the store, and a redirect after which the origin
    is null."""
    data = jpeg(400, 300)
    browsing.page.goto(origin)
    account = {"email": api.email, "password": api.password, "base": base_of(api)}
    done = evaluate(browsing.page, UPLOAD, account | {"data": base64.b64encode(data).decode()})
    assert (done["stored"], done["status"], done["redirected"]) == (200, 200, True)
    assert base64.b64decode(done["image"]) == data
    assert done["request_id"], "scripts may read it, to tell it to support"
    photo = api.rendered(done["photo_id"])
    assert photo["original_filename"] == "바다.jpg"
    assert evaluate(browsing.page, "shown", photo["thumbnail_url"]) == 320
    assert browsing.complaints == []


@pytest.mark.slow
def test_a_front_end_of_before_shows_an_iphone_s_photo(
    api: User, origin: str, browsing: Browsing
) -> None:
    """It asks for the image with its token, without a size, and puts what comes into an <img>; a
    visitor's <img> has the link's address."""
    data, album = heic(400, 300), api.album()["id"]
    photo = api.upload(data, album, filename="IMG_0042.HEIC")
    share = api.api.post(f"/albums/{album}/share").json()["token"]
    base, url = base_of(api), photo["url"]
    eventually(lambda: "-display." in api.api.get(url).headers.get("Location", ""), 30)
    browsing.page.goto(origin)
    found = evaluate(
        browsing.page,
        """async ({base, path, token, share}) => {
            const url = await blob(base, path, token);
            const original = await blob(base, path + '?size=original', token);
            return {
                own: await shown(url), colour: await colour(url), original: await shown(original),
                shared: await shown(`${base}/share/${share}${path}`),
            };
        }""",
        {"base": base, "path": url, "token": api.tokens["access_token"], "share": share},
    )
    assert (found["own"], found["shared"]) == (400, 400)
    assert found["original"] == 0, "a Chromium that shows HEIC needs none of this"
    meant = pillow_heif.open_heif(data).to_pillow().convert("RGB").getpixel((200, 150))
    assert max(abs(a - b) for a, b in zip(meant, found["colour"], strict=True)) <= 8


def test_a_front_end_can_use_every_method_and_read_errors(
    api: User, origin: str, browsing: Browsing
) -> None:
    browsing.page.goto(origin)
    album = api.album()["id"]
    statuses = evaluate(
        browsing.page,
        """async ({base, token, album}) => [
            await readable(call(base, `/albums/${album}`,
                {token, method: 'PATCH', json: {name: 'B'}})),
            await readable(call(base, `/albums/${album}/photos`,
                {token, method: 'DELETE', json: {photo_ids: [1]}})),
            await readable(call(base, `/albums/${album}`, {token, method: 'DELETE'})),
            await readable(call(base, `/albums/${album}`, {token})),
            await readable(call(base, '/auth/me', {token: 'nonsense'})),
            await readable(call(base, '/albums/', {token, method: 'POST', json: {}})),
            await readable(call(base, '/nothing', {token})),
        ]""",
        {"base": base_of(api), "token": api.tokens["access_token"], "album": album},
    )
    assert statuses == [200, 200, 204, 404, 401, 422, 404]


def test_a_stranger_s_page_can_neither_call_nor_upload(
    api: User, serve_page: Callable[[], str], browsing: Browsing
) -> None:
    """But it may show an image for which it was given a signed URL."""
    data = jpeg()
    presigned = api.presign(api.album()["id"], data)
    photo = api.rendered(api.upload(data)["id"])
    browsing.page.goto(serve_page())
    results = evaluate(
        browsing.page,
        """async ({base, token, presigned, data, thumbnail}) => [
            await readable(call(base, '/auth/me', {token})),
            await put(presigned.upload_url, presigned.upload_headers, data),
            await readable(fetch(thumbnail)),
            await shown(thumbnail) > 0,
        ]""",
        {
            "base": base_of(api),
            "token": api.tokens["access_token"],
            "presigned": presigned,
            "data": base64.b64encode(data).decode(),
            "thumbnail": photo["thumbnail_url"],
        },
    )
    assert results == ["blocked", "blocked", 200, True]
    assert api.confirm(presigned["photo_id"]).status_code == 409
    assert put(presigned, data).is_success, "the URL itself was good"
