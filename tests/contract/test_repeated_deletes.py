"""A DELETE repeated under its X-Request-ID, as a proxy does whose first try got no answer."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.service import User


def path(user: User, kind: str) -> str:
    """Of something of the user's that may be deleted."""
    album = user.album()["id"]
    if kind == "photo":
        return f"/photos/{user.upload(album_id=album)['id']}"
    if kind == "album":
        return f"/albums/{album}"
    share = user.api.post(f"/albums/{album}/share").raise_for_status().json()["id"]
    return f"/albums/{album}/share/{share}"


def delete(user: User, place: str, request_id: str) -> int:
    return user.api.delete(place, headers={"X-Request-ID": request_id}).status_code


@pytest.mark.parametrize("kind", ["photo", "album", "share"])
def test_a_repeat_is_204_and_a_new_request_404(alice: User, bob: User, kind: str) -> None:
    place, request_id = path(alice, kind), uuid4().hex
    assert delete(bob, place, request_id) == 404, "not his"
    assert [delete(alice, place, request_id) for _ in range(3)] == [204] * 3
    assert delete(alice, place, uuid4().hex) == 404
    assert delete(bob, place, request_id) == 404, "he learns nothing of it"
    another = path(alice, kind)
    assert delete(alice, another, request_id) == 204, "an id that is used for everything"
    assert alice.api.delete(another).status_code == 404


@pytest.mark.parametrize("kind", ["photo", "album", "share"])
def test_repeats_that_overlap_are_all_204(alice: User, kind: str) -> None:
    place, request_id = path(alice, kind), uuid4().hex
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: delete(alice, place, request_id), range(8)))
    assert set(answers) == {204}


def test_a_link_s_repeat_counts_for_its_own_album_alone(alice: User, bob: User) -> None:
    place, request_id = path(alice, "share"), uuid4().hex
    share = place.rpartition("/")[2]
    assert delete(alice, place, request_id) == 204
    for album in (alice.album()["id"], bob.album()["id"], 2**40):
        assert delete(alice, f"/albums/{album}/share/{share}", request_id) == 404
