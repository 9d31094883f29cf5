"""A real browser that acts on 300 photos as fast as its connections go, through nginx with a
production's limits, over HTTP/1.1 and over HTTP/2: it is never refused."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer, Fleet, Tls
from tests.chromium import running_chromium
from tests.photo_fleet.nginx_stage import running_front, short_folder
from tests.photo_fleet.test_nginx_text import write_certificate
from tests.service import Service, User, free_port, jpeg

pytestmark = [pytest.mark.needs("nginx"), pytest.mark.needs("chromium"), pytest.mark.slow]

PHOTOS = 300

SESSION = """
async ([token, album, photo, number]) => {
  const seen = {}
  const headers = {Authorization: `Bearer ${token}`, "Content-Type": "application/json"}
  const bytes = Uint8Array.from(atob(photo), sign => sign.charCodeAt(0))
  async function ask(act, path, method = "GET", body = undefined) {
    const sent = body && JSON.stringify(body)
    const answer = await fetch(`/api${path}`, {method, headers, body: sent, cache: "no-store"})
    const key = `${act} ${answer.status}`
    seen[key] = (seen[key] || 0) + 1
    return await answer.blob()  // or its connection would stay taken
  }
  async function upload() {
    const wanted = {album_id: album, filename: "a.jpg", content_type: "image/jpeg",
                    file_size: bytes.length}
    const told = await ask("presign", "/photos/presigned-url", "POST", wanted)
    const presigned = JSON.parse(await told.text())
    const sent = {method: "PUT", headers: presigned.upload_headers, body: bytes}
    await (await fetch(presigned.upload_url, sent)).blob()
    await ask("confirm", "/photos/confirm", "POST", {photo_id: presigned.photo_id})
    return presigned.photo_id
  }
  const each = (ids, act) => Promise.all(ids.map(act))
  const ids = await each([...Array(number).keys()], upload)
  await each(ids, id => ask("edit", `/photos/${id}`, "PATCH", {title: `Photo ${id}`}))
  await each(ids, id => ask("look", `/photos/${id}`))
  await each(ids, id => ask("image", `/photos/${id}/image?size=original`))
  for (let page = 0; page < 3; page++) {
    await ask("list", `/photos/?limit=100&skip=${page * 100}`)
    await each(ids.slice(0, 100), id => ask("thumbnail", `/photos/${id}/image?size=thumbnail`))
  }
  await each(ids, id => ask("delete", `/photos/${id}`, "DELETE"))
  const versions = performance.getEntriesByType("resource").map(one => one.nextHopProtocol)
  return [seen, [...new Set(versions)].filter(Boolean)]
}
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", ["http/1.1", "h2"])
def test_a_person_who_acts_on_300_photos_is_never_refused(
    start_service: Callable[..., Service], environ: dict[str, str], version: str
) -> None:
    with short_folder() as folder:
        places = replace(Places.below(folder, free_port()), tls_port=free_port())
        tls = Tls()
        url = f"http://127.0.0.1:{places.port}"
        if version == "h2":
            write_certificate(folder)
            tls = Tls(str(folder / "cert.pem"), str(folder / "key.pem"))
            url = f"https://127.0.0.1:{places.tls_port}"
        service = start_service("--no-jobs", S3_PUBLIC_ENDPOINT=url)
        store, bucket = environ["PHOTO_API_S3_ENDPOINT"], environ["PHOTO_API_S3_BUCKET"]
        fleet = Fleet(balancer=Balancer(store=store, bucket=bucket, tls=tls))
        address = service.url.removeprefix("http://")
        only = {"id": "boot", "address": address, "instance": "127.0.0.1"}
        with running_front(fleet, only, folder=folder, places=places), User(service.url) as user:
            seen, versions = session(url, user)
    assert versions == [version]
    assert not any(act.endswith(" 429") for act in seen), seen
    assert seen["confirm 200"] == seen["edit 200"] == seen["image 200"] == PHOTOS
    assert seen["delete 204"] == PHOTOS


def session(url: str, user: User) -> tuple[dict[str, int], list[str]]:
    """How often each act was answered with which status, and by which versions of HTTP."""
    token = user.tokens["access_token"]
    photo = b64encode(jpeg()).decode()
    with running_chromium() as browser:
        page = browser.new_page(ignore_https_errors=True)
        page.goto(url)
        told: Any = page.evaluate(SESSION, [token, user.album()["id"], photo, PHOTOS])
    return told[0], told[1]
