"""Keeping: what is deleted comes back as it was, or goes for good; many photos at once."""

from typing import Any

from tests.service import User


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
