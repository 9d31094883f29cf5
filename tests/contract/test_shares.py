"""Share links."""

import asyncio
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import httpx
import pytest

from tests.service import Service, User, cli, eventually, jpeg

S = {
    *("id", "album_id", "token", "is_active", "expires_at", "view_count", "created_at"),
    *("share_url", "allow_original"),
}


@pytest.fixture
def share(alice: User) -> dict[str, Any]:
    album = alice.album("Dokdo")["id"]
    alice.upload(album_id=album)
    made: dict[str, Any] = alice.api.post(f"/albums/{album}/share").raise_for_status().json()
    return made


def test_create(alice: User) -> None:
    album = alice.album()["id"]
    for body in (None, {}, {"expires_in_days": 365}):
        answer = alice.api.post(f"/albums/{album}/share", json=body)
        assert (answer.status_code, set(answer.json())) == (201, S)
    share = answer.json()
    assert share["share_url"] == f"https://photos.example.org/share/{share['token']}"
    assert (share["is_active"], share["view_count"]) == (True, 0)
    assert share["expires_at"] is not None
    for wrong in (0, 366, -1, "7", 1.5):
        answer = alice.api.post(f"/albums/{album}/share", json={"expires_in_days": wrong})
        assert answer.status_code == 422


def test_list_is_newest_first_and_shows_the_tokens_again(alice: User) -> None:
    album = alice.album()["id"]
    made = [alice.api.post(f"/albums/{album}/share").json() for _ in range(2)]
    assert alice.api.get(f"/albums/{album}/share").json() == made[::-1]


def test_links_come_in_pages(alice: User) -> None:
    album = alice.album()["id"]
    made = [alice.api.post(f"/albums/{album}/share").json()["id"] for _ in range(5)]
    seen: list[int] = []
    where = f"/albums/{album}/share?limit=2"
    while where:
        answer = alice.api.get(where).raise_for_status()
        seen += [link["id"] for link in answer.json()]
        following = answer.links.get("next", {}).get("url", "")
        where = following.removeprefix("/api")
    assert seen == made[::-1]
    assert alice.api.get(f"/albums/{album}/share?limit=0").json() == []
    assert alice.api.get(f"/albums/{album}/share?cursor=x").status_code == 400


def shown(url: str) -> httpx.Response | None:
    """The image at full size, once it is made: until then there is a preview, or not yet one."""
    answer = httpx.get(url)
    if answer.status_code == 404 or answer.headers["Cache-Control"] == "private, no-store":
        assert answer.status_code == 302 or answer.headers["Retry-After"] == "5"
        return None
    return httpx.get(answer.headers["Location"])


def expiry(url: str) -> float:
    """The moment, in epoch seconds, after which a signed URL does not work."""
    fields = dict(parse_qsl(urlsplit(url).query))
    if "temp_url_expires" in fields:
        return float(fields["temp_url_expires"])
    signed = datetime.strptime(fields["X-Amz-Date"], "%Y%m%dT%H%M%S%z")
    return signed.timestamp() + float(fields["X-Amz-Expires"])


def test_urls_of_visitors_end_within_a_quarter_of_an_hour(
    service: Service, alice: User, share: dict[str, Any]
) -> None:
    """A clock that is 300 s wrong, which signing allows for, is part of it."""
    url = f"{service.url}/api/share/{share['token']}"
    [photo] = httpx.get(url).json()["photos"]
    alice.rendered(photo["id"])
    [photo] = httpx.get(url).json()["photos"]
    redirect = httpx.get(f"{service.url}/api{photo['url']}?size=preview")
    kept = int(redirect.headers["Cache-Control"].removeprefix("private, max-age="))
    now = time.time()
    for signed in (redirect.headers["Location"], photo["thumbnail_url"], photo["preview_url"]):
        assert 150 <= expiry(signed) - now <= 600
        assert kept <= 150
        # Browsers keep what it leads to as long as the URL works, and no longer.
        answer = httpx.get(signed)
        assert "max-age" not in answer.headers.get("Cache-Control", "")
        assert parsedate_to_datetime(answer.headers["Expires"]).timestamp() == expiry(signed)
    own = alice.photo(photo["id"])["preview_url"]
    assert expiry(own) - now > 3600, "an owner's work longer"


async def test_a_deactivated_owner_s_links_are_gone_for_good(
    service: Service, share: dict[str, Any], alice: User
) -> None:
    url = f"{service.url}/api/share/{share['token']}"
    photo = f"{url}/photos/{alice.api.get('/photos/').json()[0]['id']}/image"
    eventually(lambda: shown(photo))
    for action, state in (("deactivate", False), ("activate", True)):
        assert cli(service.environ, "users", action, alice.email).returncode == 0
        for gone in (url, photo):
            assert httpx.get(gone).status_code == 404, action
        if state:
            alice.tokens = alice.login().raise_for_status().json()
            alice.api.headers["Authorization"] = f"Bearer {alice.tokens['access_token']}"
    album = f"/albums/{share['album_id']}/share"
    assert alice.api.get(album).json()[0]["is_active"] is False
    again = alice.api.post(album).json()["token"]
    assert httpx.get(f"{service.url}/api/share/{again}").status_code == 200
    assert cli(service.environ, "users", "activate", alice.email).returncode == 0
    assert httpx.get(f"{service.url}/api/share/{again}").status_code == 200, "nothing changed"


def test_what_was_made_while_a_deactivation_took_effect_ends_with_it(
    service: Service, share: dict[str, Any], alice: User, stack: dict[str, Any]
) -> None:
    """By a worker that trusts its verdict for 5 s, by a login that began before, or by the release
    before, which ends nothing."""

    async def deactivate_as_before() -> None:
        connection = await asyncpg.connect(stack["database_url"])
        await connection.execute(
            "UPDATE users SET is_active = false WHERE id = $1", alice.account["id"]
        )
        await connection.close()

    asyncio.run(deactivate_as_before())
    assert alice.api.post(f"/albums/{share['album_id']}/share").status_code in (201, 403)
    assert cli(service.environ, "users", "activate", alice.email).returncode == 0
    refresh = {"refresh_token": alice.tokens["refresh_token"]}
    assert alice.api.post("/auth/refresh", json=refresh).status_code == 401
    alice.tokens = alice.login().raise_for_status().json()
    alice.api.headers["Authorization"] = f"Bearer {alice.tokens['access_token']}"
    links = alice.api.get(f"/albums/{share['album_id']}/share").json()
    assert [link["is_active"] for link in links] == [False] * len(links)


def test_view_counts(service: Service, alice: User, share: dict[str, Any]) -> None:
    url = f"{service.url}/api/share/{share['token']}"
    view = httpx.get(url)
    assert view.status_code == 200
    body = view.json()
    assert {"album_name", "album_description", "photo_count", "photos", "created_at"} <= set(body)
    assert (body["album_name"], body["photo_count"]) == ("Dokdo", 1)
    httpx.get(url)
    listed = alice.api.get(f"/albums/{share['album_id']}/share").json()
    assert listed[0]["view_count"] == 2
    photo = f"{service.url}/api{body['photos'][0]['url']}"
    image = eventually(lambda: shown(photo))
    assert image is not None
    assert image.headers["Content-Type"] == "image/jpeg"
    assert httpx.head(photo).status_code == 302


def test_revoke(service: Service, alice: User, share: dict[str, Any]) -> None:
    path = f"/albums/{share['album_id']}/share/{share['id']}"
    assert alice.api.delete(path).status_code == 204
    url = f"{service.url}/api/share/{share['token']}"
    assert httpx.get(url).status_code == 404
    photo = alice.api.get(f"/albums/{share['album_id']}").json()["photos"][0]["id"]
    assert httpx.get(f"{url}/photos/{photo}/image").status_code == 404
    assert alice.api.get(f"/albums/{share['album_id']}/share").json()[0]["is_active"] is False


async def test_an_expired_link_is_410(
    service: Service, alice: User, share: dict[str, Any], stack: dict[str, Any]
) -> None:
    connection = await asyncpg.connect(stack["database_url"])
    await connection.execute(
        "UPDATE shares SET expires_at = now() - interval '1 second' WHERE id = $1", share["id"]
    )
    await connection.close()
    url = f"{service.url}/api/share/{share['token']}"
    photo = alice.api.get(f"/albums/{share['album_id']}").json()["photos"][0]["id"]
    for answer in (httpx.get(url), httpx.get(f"{url}/photos/{photo}/image")):
        assert (answer.status_code, answer.json()["code"]) == (410, "share_expired")
    assert alice.api.get(f"/albums/{share['album_id']}/share").json()[0]["view_count"] == 0


def test_only_the_album_is_shared(service: Service, alice: User, share: dict[str, Any]) -> None:
    elsewhere = alice.upload(jpeg())["id"]
    url = f"{service.url}/api/share/{share['token']}/photos/{elsewhere}/image"
    assert httpx.get(url).status_code == 404
    for token in ("x", "a" * 32, "%00", "ü"):
        assert httpx.get(f"{service.url}/api/share/{token}").status_code == 404


async def test_a_copy_of_the_database_opens_no_share(
    share: dict[str, Any], stack: dict[str, Any]
) -> None:
    connection = await asyncpg.connect(stack["database_url"])
    row = await connection.fetchrow(
        "SELECT s::text AS text, * FROM shares s WHERE id = $1", share["id"]
    )
    await connection.close()
    assert row is not None
    token: str = share["token"]
    assert token not in row["text"]
    assert token.encode().hex() not in row["text"]
    assert token.encode() not in row["token_sealed"]


def test_the_log_knows_no_token_and_no_signature(
    service: Service, alice: User, share: dict[str, Any]
) -> None:
    httpx.get(f"{service.url}/api/share/{share['token']}")
    assert "/api/share/{token}" in service.log
    for secret in (
        share["token"],
        "X-Amz-Signature",
        "temp_url_sig",
        alice.tokens["access_token"],
        alice.email,
    ):
        assert secret not in service.log
