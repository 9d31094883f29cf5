"""The timeline over HTTP: months, their pages, and tiles, whichever way images are delivered."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from photo_api.delivery.windows import CLOCK_SKEW
from photo_api.photos.thumbnail_urls import ThumbnailUrls
from tests.own_stage import ask
from tests.service import Service, User, jpeg, running_service


@pytest.fixture(scope="module")
def streaming(
    environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    changed = environ | {"PHOTO_API_DELIVERY": "stream"}
    with running_service(changed, tmp_path_factory.mktemp("streaming"), "--no-jobs") as running:
        yield running


def got(user: User, path: str, **query: Any) -> dict[str, Any]:
    body: dict[str, Any] = user.api.get(path, params=query).raise_for_status().json()
    return body


def months(user: User, **query: Any) -> dict[str, int]:
    return {each["month"]: each["photos"] for each in got(user, "/timeline", **query)["months"]}


def pages(user: User, month: str, **query: Any) -> Iterator[dict[str, Any]]:
    following: dict[str, Any] = {}
    while True:
        page = got(user, f"/timeline/{month}", **query, **following)
        yield page
        if page["next"] is None:
            return
        following = {"cursor": page["next"]}


def test_months_and_their_pages(alice: User, bob: User, service: Service) -> None:
    album = alice.album()["id"]
    named = [f"IMG_2024{month}{day}_120000.jpg" for month, day in
             (("02", "29"), ("05", "12"), ("05", "12"), ("05", "31"), ("05", "01"))]  # fmt: skip
    ids = [
        alice.upload(jpeg(40 + 20 * n, 60), album_id=album, filename=name)["id"]
        for n, name in enumerate(named)
    ]
    bob.upload(filename="IMG_20240512_120000.jpg")
    for photo_id in ids:
        alice.rendered(photo_id)
    assert got(alice, "/timeline")["months"] == [
        {"month": "2024-05", "photos": 4}, {"month": "2024-02", "photos": 1},
    ]  # fmt: skip
    whole = {
        "month": "2024-05",
        "ids": [ids[3], ids[2], ids[1], ids[4]],
        "ratios": [1.67, 1.33, 1.0, 2.0],
        "days": [31, 12, 12, 1],
        "favourites": [],
        "next": None,
    }
    assert got(alice, "/timeline/2024-05") == whole
    for limit in (1, 2, 3, 4, 5):
        seen = list(pages(alice, "2024-05", limit=limit))
        for column in ("ids", "ratios", "days"):
            assert [one for page in seen for one in page[column]] == whole[column]
        assert all(len(page["ids"]) <= limit for page in seen)
    beyond = got(alice, "/timeline/2024-05", limit=3)["next"]
    assert got(alice, "/timeline/2024-02", cursor=beyond)["ids"] == [ids[0]], "of this month"
    for empty in ("1999-01", "2999-12", "1800-01"):
        assert got(alice, f"/timeline/{empty}")["ids"] == []
    assert got(alice, "/timeline/2024-05", limit=0)["next"] is None
    ask(
        service.environ,
        "UPDATE photos SET archived = id = ANY($1), favourite = id = $2"
        " WHERE owner_id = $3 AND status = 'ready' RETURNING id",
        ids[2:4], ids[1], alice.account["id"],
    )  # fmt: skip
    assert months(alice) == {"2024-05": 2, "2024-02": 1}
    assert months(alice, archived=True) == {"2024-05": 2}
    full = [page["ids"] for page in pages(alice, "2024-05", limit=2)]
    assert full == [[ids[1], ids[4]], []], "whatever is archived between them"
    page = got(alice, "/timeline/2024-05")
    assert (page["ids"], page["favourites"]) == ([ids[1], ids[4]], [ids[1]])
    put_away = [page["ids"] for page in pages(alice, "2024-05", archived=True, limit=1)]
    assert put_away == [[ids[3]], [ids[2]], []]
    assert [photo["id"] for photo in alice.api.get("/photos/").json()] == ids[::-1], "lists do"
    alice.api.patch(f"/photos/{ids[1]}", json={"sort_at": "2020-01-01T00:00:00"})
    alice.api.delete(f"/photos/{ids[4]}")
    assert months(alice) == {"2024-02": 1, "2020-01": 1}
    assert months(bob) == {"2024-05": 1}


def test_what_is_no_month_or_cursor_is_refused(alice: User) -> None:
    for wrong in ("2024-13", "2024-00", "2024-5", "0000-01", "9999-12", "2024-05-01", "x"):
        assert alice.api.get(f"/timeline/{wrong}").status_code == 404, wrong
    for query, status in (
        ({"limit": -1}, 422), ({"limit": "x"}, 422), ({"archived": "perhaps"}, 422),
        ({"cursor": "AAAAAAAAACo"}, 400), ({"cursor": "A" * 22}, 200), ({"cursor": "_" * 22}, 400),
        ({"limit": 10**9}, 200),
    ):  # fmt: skip
        answer = alice.api.get("/timeline/2024-05", params=query)
        assert answer.status_code == status, query


def test_tiles_are_the_callers_in_the_order_asked_and_an_img_can_use_them(
    alice: User, bob: User, service: Service, streaming: Service
) -> None:
    album = alice.album()["id"]
    one, two = (alice.upload(album_id=album, title=title)["id"] for title in ("one", ""))
    foreign, pending = bob.upload()["id"], alice.presign(album, b"x")["photo_id"]
    alice.rendered(one), alice.rendered(two)
    body = {"photo_ids": [two, foreign, 2**70, one, 0, pending, two, -5]}
    asked = alice.api.post("/photos/tiles", json=body).raise_for_status().json()["tiles"]
    assert [(tile["id"], tile["title"]) for tile in asked] == [(two, None), (one, "one")]
    shown = alice.photo(one)
    for name in ("blurhash", "width", "height", "content_type", "renditions", "sort_at"):
        assert asked[1][name] == shown[name]
    assert (asked[1]["favourite"], asked[1]["archived"]) == (False, False)
    assert asked[1]["thumbnail_url"] == shown["thumbnail_url"], "one address, and one cache"
    assert httpx.get(asked[1]["thumbnail_url"]).headers["Content-Type"] == "image/webp"
    assert alice.api.post("/photos/tiles", json={"photo_ids": [1] * 201}).status_code == 422
    assert alice.api.post("/photos/tiles", json={"photo_ids": []}).status_code == 422

    api = f"{streaming.url}/api"
    bearer = {"Authorization": alice.api.headers["Authorization"]}

    def streamed() -> str:
        answer = httpx.post(f"{api}/photos/tiles", json={"photo_ids": [one]}, headers=bearer)
        url: str = answer.raise_for_status().json()["tiles"][0]["thumbnail_url"]
        return url

    url = streamed()
    assert url == streamed(), "browsers can cache it"
    image = httpx.get(api + url)
    assert (image.status_code, image.headers["Content-Type"]) == (200, "image/webp")
    assert image.headers["Cache-Control"].startswith("private, max-age=")
    assert httpx.head(api + url).status_code == 200
    followed = httpx.get(f"{service.url}/api{url}", follow_redirects=True)
    assert followed.content == image.content, "of an instance that delivers in the other way, too"
    path, query = urlsplit(url).path, dict(parse_qsl(urlsplit(url).query))
    for other in (
        {"owner": str(bob.account["id"])}, {"until": str(int(query["until"]) + 1)},
        {"signature": "A" * 43}, {"signature": query["signature"][:-1] + "_"},
    ):  # fmt: skip
        forged = httpx.get(f"{api}{path}?{urlencode(query | other)}")
        assert (forged.status_code, forged.json()["code"]) == (404, "not_found"), other
    elsewhere = path.replace(str(one), str(two))
    assert httpx.get(f"{api}{elsewhere}?{urlencode(query)}").status_code == 404
    assert httpx.get(f"{api}{path}").status_code == 422
    alice.api.delete(f"/photos/{one}").raise_for_status()
    assert httpx.get(api + url).status_code == 200, "the trash shows it"
    alice.api.post("/photos/trash/empty", json={}).raise_for_status()
    assert httpx.get(api + url).status_code == 404, "at once"


def test_tiles_that_are_kept_show_each_change_at_once(
    alice: User, bob: User, service: Service, streaming: Service
) -> None:
    ids = [alice.upload(title=title)["id"] for title in ("one", "two", "three")]

    def tiles(url: str = service.url, of: User = alice) -> list[dict[str, Any]]:
        """As they are kept: of all that is asked for, the second answer is."""
        bearer, body = {"Authorization": of.api.headers["Authorization"]}, {"photo_ids": ids}
        answers = [
            httpx.post(f"{url}/api/photos/tiles", json=body, headers=bearer).raise_for_status()
            for _ in range(3)
        ]
        assert len({answer.content for answer in answers}) == 1
        shown: list[dict[str, Any]] = answers[0].json()["tiles"]
        return shown

    for photo_id in ids:
        alice.rendered(photo_id)
    for url in (service.url, streaming.url):
        assert [tile["title"] for tile in tiles(url)] == ["one", "two", "three"]
    alice.api.patch(f"/photos/{ids[1]}", json={"favourite": True}).raise_for_status()
    for url in (service.url, streaming.url):
        assert [tile["favourite"] for tile in tiles(url)] == [False, True, False]
    alice.api.delete(f"/photos/{ids[1]}").raise_for_status()
    assert [tile["id"] for tile in tiles()] == [ids[0], ids[2]]
    assert tiles(of=bob) == []
    ids.reverse()
    assert [tile["title"] for tile in tiles()] == ["three", "one"]


def test_an_address_works_for_two_windows_and_outlives_a_rotation() -> None:
    now = [1_000_000_000.0]
    before = ThumbnailUrls({"old": "a" * 32}, 600, lambda: now[0])
    seen = []
    for _ in range(1200):
        seen.append(before.url(1, 42))
        now[0] += 1
    assert len(set(seen)) == 3
    assert max(map(seen.count, seen)) == 600, "the same for a whole window"
    now[0] -= 1200
    query = dict(parse_qsl(urlsplit(before.url(1, 42)).query))
    until, signature = int(query["until"]), query["signature"]
    assert 600 < until - now[0] <= 1200
    added = ThumbnailUrls({"old": "a" * 32, "new": "b" * 32}, 600, lambda: now[0])
    moved = ThumbnailUrls({"new": "b" * 32, "old": "a" * 32}, 600, lambda: now[0])
    dropped = ThumbnailUrls({"new": "b" * 32}, 600, lambda: now[0])
    assert [each.allows(1, 42, until, signature) for each in (before, added, moved, dropped)] == [
        True, True, True, False,
    ]  # fmt: skip
    for other in ((2, 42, until), (1, 43, until), (1, 42, until + 1)):
        assert not before.allows(*other, signature)
    now[0] = until + CLOCK_SKEW - 1
    assert before.allows(1, 42, until, signature)
    now[0] += 1
    assert not before.allows(1, 42, until, signature)
