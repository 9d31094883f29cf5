"""/albums/…"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.service import User

A = {
    "id",
    "owner_id",
    "name",
    "description",
    "cover_photo_id",
    "photo_count",
    "sort",
    "created_at",
    "updated_at",
}


def test_create_and_get(alice: User) -> None:
    created = alice.api.post("/albums/", json={"name": "Dokdo", "description": "islands"})
    assert created.status_code == 201
    assert set(created.json()) == A
    assert created.json()["photo_count"] == 0
    page = alice.api.get(f"/albums/{created.json()['id']}").json()
    assert page == created.json() | {"photos": [], "next": None}


@pytest.mark.parametrize("path", ["/albums", "/albums/"])
def test_both_spellings_answer_directly(alice: User, path: str) -> None:
    assert alice.api.get(path).status_code == 200
    assert alice.api.post(path, json={"name": "x"}).status_code == 201


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": " "}, {"name": "x" * 256}, {"name": 7}, {"name": "\x00"}, []],
)
def test_create_refuses(alice: User, body: Any) -> None:
    assert alice.api.post("/albums/", json=body).status_code == 422


def test_list_is_newest_first(alice: User) -> None:
    ids = [alice.album(f"album {n}")["id"] for n in range(3)]
    listed = alice.api.get("/albums/").json()
    assert [album["id"] for album in listed] == ids[::-1]
    assert set(listed[0]) == A
    assert [a["id"] for a in alice.api.get("/albums/?skip=1&limit=1").json()] == [ids[1]]


@pytest.mark.parametrize("path", ["/albums/", "/photos/"])
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 200),
        ("limit=100000", 200),
        ("skip=-1", 422),
        ("limit=-1", 422),
        ("limit=x", 422),
        ("skip=1e3", 422),
        ("skip=" + "9" * 18, 200),
        ("skip=" + "9" * 30, 422),
        ("limit=" + "9" * 5000, 422),
        ("cursor=x", 400),
        ("cursor=f_________8", 200),  # the last one
    ],
)
def test_limits_of_lists(alice: User, path: str, query: str, status: int) -> None:
    answer = alice.api.get(f"{path}?{query}")
    assert answer.status_code == status
    if query == "limit=0":
        assert answer.json() == []


def test_limit_is_clamped_to_100(alice: User) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: alice.album(f"{n}"), range(103)))
    first = alice.api.get("/albums/?limit=1000")
    assert len(first.json()) == 100
    following = first.links["next"]["url"]
    rest = alice.api.get(str(alice.api.base_url.join(following)))
    assert len(rest.json()) == 3
    assert "next" not in rest.links


def test_patch(alice: User) -> None:
    album = alice.api.post("/albums/", json={"name": "a", "description": "b"}).json()
    path = f"/albums/{album['id']}"
    assert alice.api.patch(path, json={"name": "c"}).json()["description"] == "b"
    unchanged = alice.api.patch(path, json={"name": None, "description": None}).json()
    assert (unchanged["name"], unchanged["description"]) == ("c", "b")
    assert alice.api.patch(path, json={"description": "  "}).json()["description"] is None
    assert alice.api.patch(path, json={"name": ""}).status_code == 422
    assert alice.api.patch(path, json={"cover_photo_id": "7"}).status_code == 422


def test_cover(alice: User, bob: User) -> None:
    album = alice.album()["id"]
    mine, foreign = alice.upload(album_id=album)["id"], bob.upload()["id"]
    path = f"/albums/{album}"
    assert alice.api.patch(path, json={"cover_photo_id": mine}).json()["cover_photo_id"] == mine
    for wrong in (foreign, 10**15, 2**60, 10**30, -1, 0):
        answer = alice.api.patch(path, json={"cover_photo_id": wrong, "name": "changed?"})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cover")
    kept = alice.api.get(path).json()
    assert (kept["cover_photo_id"], kept["name"]) == (mine, "Album")
    assert alice.api.delete(f"/photos/{mine}").status_code == 204
    assert alice.api.get(path).json()["cover_photo_id"] is None


def test_photos_come_and_go_in_album_order(alice: User) -> None:
    album, other = alice.album()["id"], alice.album()["id"]
    ids = [alice.upload(album_id=other)["id"] for _ in range(3)]
    wanted = [ids[2], ids[0], ids[1]]
    added = alice.api.post(f"/albums/{album}/photos", json={"photo_ids": [*wanted, ids[0]]})
    assert (added.status_code, added.json()["count"]) == (200, 3)
    page = alice.api.get(f"/albums/{album}").json()
    assert [photo["id"] for photo in page["photos"]] == wanted
    assert page["photo_count"] == 3
    again = alice.api.post(f"/albums/{album}/photos", json={"photo_ids": wanted})
    assert again.json()["count"] == 0
    removed = alice.api.request(
        "DELETE", f"/albums/{album}/photos", json={"photo_ids": [ids[0], 10**15]}
    )
    assert removed.json()["count"] == 1
    page = alice.api.get(f"/albums/{album}").json()
    assert [photo["id"] for photo in page["photos"]] == [ids[2], ids[1]]
    assert alice.api.get(f"/photos/{ids[0]}").status_code == 200, "the photo itself stays"


def test_unknown_and_foreign_photo_ids_are_skipped(alice: User, bob: User) -> None:
    album, mine, foreign = alice.album()["id"], alice.upload()["id"], bob.upload()["id"]
    path = f"/albums/{album}/photos"
    answer = alice.api.post(path, json={"photo_ids": [foreign, mine, 10**15, 2**60, 10**30, -5]})
    assert (answer.status_code, answer.json()["count"]) == (200, 1)
    for wrong in ([], ["7"], [1.5], [True], "7", None):
        assert alice.api.post(path, json={"photo_ids": wrong}).status_code == 422


def test_pages_of_an_album(alice: User) -> None:
    album = alice.album()["id"]
    ids = [alice.upload(album_id=album)["id"] for _ in range(5)]
    path = f"/albums/{album}"

    def shown(query: str) -> list[int]:
        return [photo["id"] for photo in alice.api.get(f"{path}?{query}").json()["photos"]]

    assert shown("limit=2") == ids[:2]
    assert shown("skip=3&limit=2") == ids[3:]
    assert shown("limit=0") == []
    cursor = alice.api.get(f"{path}?limit=2").json()["next"]
    assert shown(f"limit=2&cursor={cursor}") == ids[2:4]
    assert alice.api.get(f"{path}?skip=3&limit=2").json()["next"] is None
    assert alice.api.get(f"{path}?limit=5").json()["next"] is None


def test_delete_leaves_the_photos(alice: User) -> None:
    album = alice.album()["id"]
    photo = alice.upload(album_id=album)["id"]
    assert alice.api.delete(f"/albums/{album}").status_code == 204
    assert alice.api.delete(f"/albums/{album}").status_code == 404
    assert alice.api.get(f"/photos/{photo}").status_code == 200


def test_ten_edits_at_once_all_count(alice: User) -> None:
    album = alice.album()["id"]
    ids = [alice.upload()["id"] for _ in range(10)]
    path = f"/albums/{album}/photos"
    with ThreadPoolExecutor(10) as pool:
        added = list(pool.map(lambda i: alice.api.post(path, json={"photo_ids": [i]}), ids))
    assert {answer.status_code for answer in added} == {200}
    assert alice.api.get(f"/albums/{album}").json()["photo_count"] == 10
    with ThreadPoolExecutor(10) as pool:
        gone = list(pool.map(lambda i: alice.api.delete(f"/photos/{i}"), ids))
    assert {answer.status_code for answer in gone} == {204}
    page = alice.api.get(f"/albums/{album}").json()
    assert (page["photo_count"], page["photos"]) == (0, [])
