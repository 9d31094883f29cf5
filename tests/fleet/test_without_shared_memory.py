"""What holds across instances although they share no memory: throttling, idempotency, sessions."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.service import PASSWORD, Service, User, jpeg, new_address, put

Create = Callable[[User, Service, int, str], httpx.Response]


@pytest.fixture
def user(fleet: list[Service]) -> Iterator[User]:
    """Somebody whose account was opened and who logged in at the first instance."""
    with fleet[0].new_user() as user:
        yield user


def post(user: User, service: Service, path: str, body: object = None) -> httpx.Response:
    return user.api.post(f"{service.url}/api{path}", json=body)


def login(service: Service, email: str, password: str, address: str) -> httpx.Response:
    return httpx.post(
        f"{service.url}/api/auth/login",
        json={"email": email, "password": password},
        headers={"X-Forwarded-For": address},
        timeout=30,
    )


def test_failed_logins_are_counted_across_instances(fleet: list[Service], user: User) -> None:
    here, there = new_address(), new_address()
    for number in range(5):
        instance = fleet[number % len(fleet)]
        assert login(instance, user.email, "wrong password", here).status_code == 401
    for instance in fleet:
        refused = login(instance, user.email, PASSWORD, here)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert int(refused.headers["Retry-After"]) > 0
        assert login(instance, user.email, PASSWORD, there).status_code == 200


def test_a_burst_over_all_instances_gets_no_more_guesses(fleet: list[Service], user: User) -> None:
    here = new_address()
    with ThreadPoolExecutor(9) as pool:
        answers = pool.map(
            lambda n: login(fleet[n % len(fleet)], user.email, "wrong one", here).status_code,
            range(18),
        )
    assert sorted(answers) == [401] * 5 + [429] * 13


def create_album(user: User, service: Service, _: int, key: str) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return user.api.post(f"{service.url}/api/albums/", json={"name": "one"}, headers=headers)


def upload(user: User, service: Service, album: int, key: str) -> httpx.Response:
    return user.api.post(
        f"{service.url}/api/photos/",
        data={"album_id": str(album)},
        files={"file": ("photo.jpg", jpeg(seed=9), "image/jpeg")},
        headers={"Idempotency-Key": key},
    )


@pytest.mark.parametrize("create", [create_album, upload])
def test_one_key_at_several_instances_creates_one(
    fleet: list[Service], user: User, create: Create
) -> None:
    key, album = uuid4().hex, user.album()["id"]
    with ThreadPoolExecutor(9) as pool:
        at_once = list(
            pool.map(lambda n: create(user, fleet[n % len(fleet)], album, key), range(9))
        )
    refused = {(answer.status_code, answer.json()["code"]) for answer in at_once if answer.is_error}
    assert refused <= {(409, "request_in_progress")}
    later = [create(user, instance, album, key) for instance in fleet]
    assert {answer.status_code for answer in later} == {201}
    done = [answer.json()["id"] for answer in at_once + later if answer.is_success]
    assert len(set(done)) == 1
    listed = user.api.get("/photos/" if create is upload else "/albums/").json()
    assert [item["id"] for item in listed].count(done[0]) == 1
    assert len(listed) == (1 if create is upload else 2), "the one at hand, and the one made here"


def test_tokens_of_one_instance_are_valid_on_all(fleet: list[Service]) -> None:
    for issuer in fleet:
        with issuer.new_user() as user:
            for instance in fleet:
                me = user.api.get(f"{instance.url}/api/auth/me")
                assert me.json()["email"] == user.email


def test_a_session_goes_on_at_whichever_instance(fleet: list[Service], user: User) -> None:
    """Rotation, the repeat after a lost answer, the refusal of one that was used, and logout."""
    first, second, third = fleet

    def refresh(instance: Service, token: str) -> httpx.Response:
        return post(user, instance, "/auth/refresh", {"refresh_token": token})

    old = user.tokens["refresh_token"]
    successor = refresh(second, old).raise_for_status().json()["refresh_token"]
    assert refresh(third, old).json()["refresh_token"] == successor
    newest = refresh(first, successor).raise_for_status().json()["refresh_token"]
    assert refresh(second, old).status_code == 401
    assert refresh(third, newest).status_code == 200, "for that caller alone"
    other = user.login().json()["refresh_token"]
    assert post(user, second, "/auth/logout", {"refresh_token": other}).status_code == 204
    assert refresh(third, other).status_code == 401


def test_a_token_refreshed_at_all_instances_at_once_has_one_successor(
    fleet: list[Service], user: User
) -> None:
    body = {"refresh_token": user.tokens["refresh_token"]}
    with ThreadPoolExecutor(9) as pool:
        answers = list(
            pool.map(lambda n: post(user, fleet[n % len(fleet)], "/auth/refresh", body), range(9))
        )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


def test_an_upload_may_meet_another_instance_at_each_step(fleet: list[Service], user: User) -> None:
    first, second, third = fleet
    data, album = jpeg(), user.album()["id"]
    presigned = user.presign(album, data)
    assert put(presigned, data).is_success
    confirmed = post(user, second, "/photos/confirm", {"photo_id": presigned["photo_id"]})
    assert confirmed.status_code == 200
    link = post(user, third, f"/albums/{album}/share", {"allow_original": True}).json()["token"]
    image = f"{first.url}/api/share/{link}/photos/{presigned['photo_id']}/image?size=original"
    assert httpx.get(image, follow_redirects=True).content == data
