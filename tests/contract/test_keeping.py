"""Keeping: what is deleted comes back as it was, or goes for good; many photos at once."""

import hashlib
from typing import Any

import httpx

from tests.service import User, jpeg, put


def bulk(user: User, operation: str, photo_ids: list[int], **more: Any) -> dict[int, str]:
    """What became of each."""
    body = {"operation": operation, "photo_ids": photo_ids, **more}
    answer = user.api.post("/photos/bulk", json=body).raise_for_status().json()
    return {one["id"]: one["status"] for one in answer["results"]}


def album(user: User, album_id: int) -> dict[str, Any]:
    found: dict[str, Any] = user.api.get(f"/albums/{album_id}").raise_for_status().json()
    assert found["photo_count"] == len(found["photos"])
    return found


def shown(user: User, album_id: int) -> list[int]:
    return [photo["id"] for photo in album(user, album_id)["photos"]]


def trash(user: User, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        user.api.get("/photos/trash", params=query).raise_for_status().json()
    )
    return found


def test_a_photo_comes_back_to_its_albums_and_covers(alice: User) -> None:
    albums = [alice.album()["id"] for _ in range(4)]
    photos = [alice.upload(album_id=albums[0])["id"] for _ in range(3)]
    for one in albums[1:]:
        alice.api.post(f"/albums/{one}/photos", json={"photo_ids": photos}).raise_for_status()
    middle = photos[1]
    for one in albums[:3]:
        alice.api.patch(f"/albums/{one}", json={"cover_photo_id": middle}).raise_for_status()
    link = alice.api.post(f"/albums/{albums[0]}/share").raise_for_status().json()["token"]

    assert alice.api.delete(f"/photos/{middle}").status_code == 204
    for answer in (
        alice.api.get(f"/photos/{middle}"),
        alice.api.delete(f"/photos/{middle}"),
        alice.api.get(f"/photos/{middle}/image"),
        alice.api.patch(f"/photos/{middle}", json={"title": "x"}),
        alice.api.get(f"/share/{link}/photos/{middle}/image"),
    ):
        assert answer.status_code == 404
    assert all(shown(alice, one) == [photos[0], photos[2]] for one in albums)
    assert all(album(alice, one)["cover_photo_id"] is None for one in albums)
    assert [photo["id"] for photo in alice.api.get(f"/share/{link}").json()["photos"]] == [
        photos[0], photos[2],
    ]  # fmt: skip
    [kept] = trash(alice)
    assert kept["id"] == middle
    assert kept["trashed_at"] < kept["purge_at"]

    alice.api.patch(f"/albums/{albums[1]}", json={"cover_photo_id": photos[0]}).raise_for_status()
    alice.api.delete(f"/albums/{albums[2]}").raise_for_status()
    assert bulk(alice, "restore", [middle, 2**70]) == {middle: "done", 2**70: "not_found"}
    assert shown(alice, albums[0]) == shown(alice, albums[1]) == shown(alice, albums[3]) == photos
    covers = [album(alice, albums[i])["cover_photo_id"] for i in (0, 1, 3)]
    assert covers == [middle, photos[0], None]
    assert trash(alice) == []
    assert bulk(alice, "restore", [middle]) == {middle: "unchanged"}


def test_marks_are_told_of_a_photo_alone(alice: User) -> None:
    photo = alice.upload()["id"]
    assert (alice.photo(photo)["favourite"], alice.photo(photo)["archived"]) == (False, False)
    marked = alice.api.patch(f"/photos/{photo}", json={"favourite": True}).json()
    assert (marked["favourite"], marked["archived"]) == (True, False)
    marked = alice.api.patch(f"/photos/{photo}", json={"archived": True}).json()
    assert (marked["favourite"], marked["archived"]) == (True, True)
    assert alice.api.patch(f"/photos/{photo}", json={"favourite": "yes"}).status_code == 422
    [listed] = alice.api.get("/photos/").json()
    assert listed["id"] == photo, "archived photos are in the list"
    assert not {"favourite", "archived"} & listed.keys()


def test_bulk_answers_for_each_id(alice: User, bob: User) -> None:
    old, new = alice.album()["id"], alice.album()["id"]
    one, two, three = (alice.upload(album_id=old)["id"] for _ in range(3))
    foreign = bob.upload()["id"]
    wanted = [two, one, two, foreign, 2**70, 0]
    missing = dict.fromkeys((foreign, 2**70, 0), "not_found")
    for operation in ("favourite", "archive", "unarchive", "unfavourite", "delete", "restore"):
        assert bulk(alice, operation, wanted) == {two: "done", one: "done"} | missing, operation
        assert bulk(alice, operation, [one]) == {one: "unchanged"}, operation
    to = {"album_id": new, "from_album_id": old}
    assert bulk(alice, "move", wanted, **to) == {two: "done", one: "done"} | missing
    assert (shown(alice, old), shown(alice, new)) == ([three], [two, one])
    assert bulk(alice, "move", [one, three], **to) == {one: "unchanged", three: "done"}
    alice.api.delete(f"/photos/{two}").raise_for_status()
    outside = alice.upload()["id"]
    assert bulk(alice, "move", [two, outside], **to) == dict.fromkeys((two, outside), "not_found")
    assert bulk(alice, "move", [outside], album_id=old) == {outside: "done"}
    assert bulk(alice, "favourite", [two]) == {two: "not_found"}
    assert bulk(alice, "purge", [one, two]) == {one: "not_found", two: "done"}
    assert bulk(alice, "purge", [two]) == bulk(alice, "delete", [two]) == {two: "unchanged"}
    assert bulk(alice, "restore", [two]) == {two: "not_found"}
    assert bob.photo(foreign)["favourite"] is False


def test_odd_bulks_are_refused_and_change_nothing(alice: User, bob: User) -> None:
    photo, own = alice.upload()["id"], alice.album()["id"]
    move = {"operation": "move", "photo_ids": [photo]}
    for body, status in (
        ({"operation": "delete", "photo_ids": [photo, "1"]}, 422),
        ({"operation": "delete", "photo_ids": []}, 422),
        ({"operation": "delete", "photo_ids": [photo] * 1001}, 422),
        ({"operation": "forget", "photo_ids": [photo]}, 422),
        ({"photo_ids": [photo]}, 422),
        (move, 422),
        (move | {"album_id": own, "from_album_id": own}, 422),
        (move | {"album_id": bob.album()["id"]}, 404),
        (move | {"album_id": own, "from_album_id": bob.album()["id"]}, 404),
        (move | {"album_id": 2**70}, 404),
    ):
        answer = alice.api.post("/photos/bulk", json=body)
        assert answer.status_code == status, body
    assert shown(alice, own) == []
    assert alice.photo(photo)["id"] == photo


def test_a_key_carries_a_bulk_out_once(alice: User) -> None:
    photo = alice.upload()["id"]
    alice.api.headers["Idempotency-Key"] = "once"
    assert bulk(alice, "delete", [photo, 2**50]) == {photo: "done", 2**50: "not_found"}
    del alice.api.headers["Idempotency-Key"]
    assert bulk(alice, "restore", [photo]) == {photo: "done"}
    alice.api.headers["Idempotency-Key"] = "once"
    assert bulk(alice, "delete", [photo, 2**50]) == {photo: "unchanged", 2**50: "not_found"}
    assert alice.photo(photo)["id"] == photo, "the repeat deleted nothing"
    other = {"operation": "delete", "photo_ids": [photo]}
    assert alice.api.post("/photos/bulk", json=other).json()["code"] == "idempotency_key_reused"


def test_the_trash_is_paged_and_emptied(alice: User, bob: User) -> None:
    photos = [alice.rendered(alice.upload()["id"])["id"] for _ in range(2)]
    photos += [alice.upload()["id"] for _ in range(3)]
    bulk(alice, "delete", photos[:2])
    for photo in photos[2:4]:
        alice.api.delete(f"/photos/{photo}").raise_for_status()
    newest_first = [photos[3], photos[2], photos[1], photos[0]]
    assert [photo["id"] for photo in trash(alice)] == newest_first
    pages, path = list[int](), "/photos/trash?limit=1"
    while path:
        answer = alice.api.get(path).raise_for_status()
        pages += [photo["id"] for photo in answer.json()]
        path = answer.links.get("next", {}).get("url", "").removeprefix("/api")
    assert pages == newest_first
    assert alice.api.get("/photos/trash?cursor=AAAAAAAAACo").status_code == 400
    image = httpx.get(trash(alice)[2]["thumbnail_url"])
    assert (image.status_code, image.headers["content-type"]) == (200, "image/webp")
    assert trash(bob) == []

    until = trash(alice)[2]["trashed_at"]
    assert bob.api.post("/photos/trash/empty", json={}).json()["purged"] == 0
    emptied = alice.api.post("/photos/trash/empty", json={"until": until}).json()
    assert emptied == {"purged": 2, "left": 0, "until": until}
    assert [photo["id"] for photo in trash(alice)] == newest_first[:2]
    for odd in ("now", 0, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert alice.api.post("/photos/trash/empty", json={"until": odd}).status_code == 422
    emptied = alice.api.post("/photos/trash/empty", json={}).json()
    assert (emptied["purged"], emptied["left"], trash(alice)) == (2, 0, [])
    assert bulk(alice, "restore", photos)[photos[4]] == "unchanged"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def checked(user: User, *digests: str) -> list[tuple[str, int | None]]:
    answer = user.api.post("/photos/check", json={"sha256": digests}).raise_for_status().json()
    assert [one["sha256"] for one in answer["results"]] == list(digests)
    return [(one["status"], one["photo_id"]) for one in answer["results"]]


def test_a_backup_asks_before_it_sends(alice: User, bob: User) -> None:
    here, away = jpeg(), jpeg()
    one, two = (alice.upload(data)["id"] for data in (here, away))
    alice.api.delete(f"/photos/{two}").raise_for_status()
    wanted = sha256(away), sha256(here).upper(), sha256(here), "00" * 32
    assert checked(alice, *wanted) == [
        ("trashed", two), ("present", one), ("present", one), ("absent", None),
    ]  # fmt: skip
    assert checked(bob, *wanted) == [("absent", None)] * 4
    for odd in ([], ["x" * 64], ["00" * 32] * 1001, ["00"]):
        assert alice.api.post("/photos/check", json={"sha256": odd}).status_code == 422


def test_an_upload_of_trashed_bytes_restores_them(alice: User) -> None:
    """By its digest, at its confirmation and through the server; `keep` makes a new photo."""
    data, albums = jpeg(), [alice.album()["id"] for _ in range(4)]
    photo = alice.upload(data, albums[0])["id"]

    def delete() -> None:
        alice.api.delete(f"/photos/{photo}").raise_for_status()
        assert all(photo not in shown(alice, one) for one in albums)

    pending = alice.presign(albums[1], data, on_duplicate="reuse")
    put(pending, data).raise_for_status()
    delete()
    confirmed = alice.confirm(pending["photo_id"]).raise_for_status().json()
    assert (confirmed["photo_id"], confirmed["duplicate"]) == (photo, True)
    assert (shown(alice, albums[0]), shown(alice, albums[1])) == ([photo], [photo])
    delete()
    begun = alice.presign(albums[2], data, on_duplicate="reuse", sha256=sha256(data))
    assert (begun["photo_id"], begun["duplicate"]) == (photo, True)
    delete()
    answer = alice.post_photo(data, albums[3], on_duplicate="reuse")
    assert (answer.status_code, answer.json()["id"]) == (200, photo)
    assert all(shown(alice, one) == [photo] for one in albums)
    delete()
    kept = alice.upload(data, albums[0])["id"]
    assert kept != photo
    assert [one["id"] for one in trash(alice)] == [photo]
    again = alice.presign(albums[0], data, on_duplicate="reuse", sha256=sha256(data))
    assert again["photo_id"] == kept, "what is there comes before what is in the trash"
