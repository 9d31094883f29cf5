"""Two users: nothing of the one can be reached by the other, by any route."""

from typing import Any

import httpx
import pytest

from tests.service import Service, User


@pytest.fixture
def things(alice: User) -> dict[str, Any]:
    album = alice.album("private")["id"]
    photo = alice.upload(album_id=album, title="secret title")["id"]
    pending = alice.presign(album, b"x" * 10)["photo_id"]
    share = alice.api.post(f"/albums/{album}/share").json()
    session = alice.api.get("/auth/sessions").json()[0]["id"]
    return {
        "album": album,
        "photo": photo,
        "pending": pending,
        "share": share["id"],
        "session": session,
    }


FORGED = f"owner=1&until=99999999999&signature={'A' * 43}"
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/albums/{album}", None),
    ("PATCH", "/albums/{album}", {"name": "mine now"}),
    ("DELETE", "/albums/{album}", None),
    ("POST", "/albums/{album}/photos", {"photo_ids": [1]}),
    ("DELETE", "/albums/{album}/photos", {"photo_ids": [1]}),
    ("POST", "/albums/{album}/photos/move", {"photo_ids": [1], "to": "end"}),
    ("POST", "/albums/{album}/share", {}),
    ("GET", "/albums/{album}/share", None),
    ("DELETE", "/albums/{album}/share/{share}", None),
    ("GET", "/photos/{photo}", None),
    ("PATCH", "/photos/{photo}", {"title": "mine now"}),
    ("DELETE", "/photos/{photo}", None),
    ("DELETE", "/photos/{photo}/upload", None),
    ("GET", "/photos/{photo}/image", None),
    ("GET", "/photos/{photo}/albums", None),
    ("HEAD", "/photos/{photo}/image", None),
    ("HEAD", "/albums/{album}", None),
    ("HEAD", "/albums/{album}/share", None),
    ("HEAD", "/photos/{photo}", None),
    ("HEAD", "/photos/{photo}/albums", None),
    ("GET", f"/photos/{{photo}}/thumbnail?{FORGED}", None),
    ("HEAD", f"/photos/{{photo}}/thumbnail?{FORGED}", None),
    ("DELETE", "/auth/sessions/{session}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_another_users_object_is_404(
    bob: User, things: dict[str, Any], method: str, path: str, body: Any
) -> None:
    answer = bob.api.request(method, path.format(**things), json=body)
    assert answer.status_code == 404


def test_every_route_with_an_id_is_tried(service: Service) -> None:
    """A new route must be added above, or be one of those that need no owner."""
    document = httpx.get(f"{service.url}/openapi.json").json()
    tried = {
        (method, "/api" + path.partition("?")[0].replace("}", "_id}")) for method, path, _ in ROUTES
    }
    there = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if "_id}" in path and not path.startswith("/api/share/")
    }
    assert there == tried


def test_ids_in_bodies(alice: User, bob: User, things: dict[str, Any]) -> None:
    presign = {
        "album_id": things["album"],
        "filename": "a.jpg",
        "content_type": "image/jpeg",
        "file_size": 10,
    }
    assert bob.api.post("/photos/presigned-url", json=presign).status_code == 404
    assert bob.confirm(things["pending"]).status_code == 404
    assert bob.confirm(things["photo"]).status_code == 404
    assert bob.api.delete(f"/photos/{things['pending']}/upload").status_code == 404
    assert bob.post_photo(album_id=things["album"]).status_code == 404
    own = bob.album()["id"]
    added = bob.api.post(f"/albums/{own}/photos", json={"photo_ids": [things["photo"]]})
    assert added.json()["count"] == 0
    cover = bob.api.patch(f"/albums/{own}", json={"cover_photo_id": things["photo"]})
    assert cover.status_code == 400
    assert bob.api.delete(f"/albums/{own}/share/{things['share']}").status_code == 404
    own_share = alice.api.delete(f"/albums/{own}/share/{things['share']}")
    assert own_share.status_code == 404


def test_lists_hold_ones_own_things_only(bob: User, things: dict[str, Any]) -> None:
    assert bob.api.get("/albums/").json() == []
    assert bob.api.get("/photos/").json() == []


def test_nothing_was_changed(alice: User, bob: User, things: dict[str, Any]) -> None:
    for method, path, body in ROUTES:
        bob.api.request(method, path.format(**things), json=body)
    album = alice.api.get(f"/albums/{things['album']}").json()
    assert (album["name"], album["photo_count"]) == ("private", 1)
    assert album["photos"][0]["title"] == "secret title"
    assert len(alice.api.get(f"/albums/{things['album']}/share").json()) == 1
    assert [one["id"] for one in alice.api.get("/auth/sessions").json()] == [things["session"]]
