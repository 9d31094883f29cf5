"""What people do at the same moment to the same albums: nobody gets a server error for it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from tests.service import User, jpeg

Act = Callable[[], httpx.Response]
ROUNDS = 15


def at_once(acts: list[Act]) -> list[int]:
    with ThreadPoolExecutor(len(acts)) as pool:
        return [done.result().status_code for done in [pool.submit(act) for act in acts]]


def test_links_are_made_while_their_album_is_deleted(alice: User) -> None:
    api = alice.api
    for _ in range(3 * ROUNDS):
        place = f"/albums/{alice.album()['id']}"
        acts: list[Act] = [partial(api.post, f"{place}/share") for _ in range(8)]
        acts.insert(4, partial(api.delete, place))
        answers = at_once(acts)
        assert answers.pop(4) == 204
        assert set(answers) <= {201, 404}


def test_photos_and_their_albums_are_deleted_in_any_order(alice: User) -> None:
    """Covers cross: each photo is the cover of an album that another one's deletion changes."""
    api = alice.api
    for _ in range(ROUNDS):
        albums = [alice.album()["id"] for _ in range(4)]
        photos = [alice.upload(jpeg(8, 8), albums[0])["id"] for _ in range(4)]
        for album, cover in zip(albums, reversed(photos), strict=True):
            api.post(f"/albums/{album}/photos", json={"photo_ids": photos}).raise_for_status()
            api.patch(f"/albums/{album}", json={"cover_photo_id": cover}).raise_for_status()
        some = {"photo_ids": photos[1:]}
        acts: list[Act] = [partial(api.delete, f"/photos/{photo}") for photo in photos]
        acts.append(partial(api.delete, f"/albums/{albums[0]}"))
        acts.append(partial(api.request, "DELETE", f"/albums/{albums[1]}/photos", json=some))
        acts.append(partial(api.post, f"/albums/{albums[2]}/photos", json=some))
        answers = at_once(acts)
        assert answers[:5] == [204] * 5
        assert set(answers[5:]) <= {200, 204}
        for album in albums[1:]:
            left = api.get(f"/albums/{album}").raise_for_status().json()
            assert (left["photo_count"], left["cover_photo_id"]) == (0, None)
