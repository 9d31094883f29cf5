"""Instances whose clocks are wrong, one 2 minutes ahead and one 2 minutes behind."""

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from tests.fleet.conftest import Start
from tests.service import PASSWORD, Service, User, eventually, jpeg, new_address, put

pytestmark = pytest.mark.needs("faketime")

OFF = 120
TTL = 30


def faked(offset: str) -> dict[str, str]:
    """What makes a process believe in another time. The `faketime` program itself would stand
    between the test's signals and the service."""
    told = subprocess.run(
        ["faketime", "-f", offset, "env"], capture_output=True, text=True, check=True
    )
    environ = dict(line.split("=", 1) for line in told.stdout.splitlines() if "=" in line)
    faked = {name: environ[name] for name in ("LD_PRELOAD", "FAKETIME")}
    return faked | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.fixture(scope="module")
def instances(start: Start) -> dict[str, Service]:
    short = {"PHOTO_API_ACCESS_TTL": str(TTL)}
    services = {
        "ahead": start(**faked(f"+{OFF}s"), **short),
        "behind": start(**faked(f"-{OFF}s"), **short),
    }
    for service in services.values():
        eventually(service.is_healthy, 60)
    return services


@pytest.fixture(params=["ahead", "behind"])
def issuer(request: pytest.FixtureRequest, instances: dict[str, Service]) -> Service:
    """The instance that a user talks to first."""
    return instances[request.param]


@pytest.fixture
def other(issuer: Service, instances: dict[str, Service]) -> Service:
    [other] = [service for service in instances.values() if service is not issuer]
    return other


@pytest.fixture
def user(issuer: Service) -> Iterator[User]:
    with issuer.new_user() as user:
        yield user


def test_the_clocks_are_apart(instances: dict[str, Service]) -> None:
    for name, offset in (("ahead", OFF), ("behind", -OFF)):
        told = httpx.get(f"{instances[name].url}/health").json()["timestamp"]
        wrong = datetime.fromisoformat(told) - datetime.now(UTC)
        assert abs(wrong.total_seconds() - offset) < 60


def test_tokens_are_valid_on_both(issuer: Service, other: Service, user: User) -> None:
    """Although they last for less than the clocks differ."""
    for service in (issuer, other):
        assert user.api.get(f"{service.url}/api/auth/me").status_code == 200
    token = user.tokens["refresh_token"]
    for service in (other, issuer, other):
        body = {"refresh_token": token}
        answer = user.api.post(f"{service.url}/api/auth/refresh", json=body)
        token = answer.raise_for_status().json()["refresh_token"]
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        for verifier in (issuer, other):
            me = user.api.get(f"{verifier.url}/api/auth/me", headers=headers)
            assert me.status_code == 200


@pytest.mark.slow
def test_a_token_lasts_its_time_on_both(issuer: Service, other: Service, user: User) -> None:
    end = time.monotonic() + TTL - 5
    while time.monotonic() < end:
        for service in (issuer, other):
            assert user.api.get(f"{service.url}/api/auth/me").status_code == 200
        time.sleep(1)


def test_uploads_and_images_work(issuer: Service, other: Service, user: User) -> None:
    data, album = jpeg(), user.album()["id"]
    presigned = user.presign(album, data)
    assert put(presigned, data).is_success
    body = {"photo_id": presigned["photo_id"]}
    assert user.api.post(f"{other.url}/api/photos/confirm", json=body).status_code == 200
    through_server = user.upload(data, album)["id"]
    for service in (issuer, other):
        for photo in (presigned["photo_id"], through_server):
            image = f"{service.url}/api/photos/{photo}/image"
            assert user.api.get(image, follow_redirects=True).content == data
    photo = user.rendered(through_server, 60)
    assert photo["renditions"] == "ready"
    for service in (issuer, other):
        [listed, _] = user.api.get(f"{service.url}/api/photos/").json()
        assert httpx.get(listed["thumbnail_url"]).status_code == 200, "signed by this instance"


def test_shares_work(issuer: Service, other: Service, user: User) -> None:
    data, album = jpeg(), user.album()["id"]
    photo = user.upload(data, album)["id"]
    made = user.api.post(
        f"/albums/{album}/share", json={"expires_in_days": 1, "allow_original": True}
    )
    token = made.raise_for_status().json()["token"]
    for service in (issuer, other):
        link = f"{service.url}/api/share/{token}"
        assert httpx.get(link).json()["photos"][0]["id"] == photo
        image = httpx.get(f"{link}/photos/{photo}/image?size=original", follow_redirects=True)
        assert image.content == data


def test_idempotency_keys_hold(issuer: Service, other: Service, user: User) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    made = [
        user.api.post(f"{service.url}/api/albums/", json={"name": "one"}, headers=headers)
        for service in (issuer, other, issuer)
    ]
    assert [answer.status_code for answer in made] == [201] * 3
    assert len({answer.json()["id"] for answer in made}) == 1


def test_failed_logins_are_counted_together(issuer: Service, other: Service, user: User) -> None:
    headers = {"X-Forwarded-For": new_address()}

    def login(service: Service, password: str) -> httpx.Response:
        body = {"email": user.email, "password": password}
        return httpx.post(f"{service.url}/api/auth/login", json=body, headers=headers, timeout=30)

    for service in (issuer, other, issuer, other, issuer):
        assert login(service, "wrong password").status_code == 401
    for service in (issuer, other):
        refused = login(service, PASSWORD)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["Retry-After"]) <= 15 * 60


@pytest.mark.slow
@pytest.mark.parametrize("off", ["+5h", "-2d"])
def test_a_clock_that_is_off_by_hours_refuses_and_loses_nothing(
    off: str, start: Start, instances: dict[str, Service]
) -> None:
    """What others issued ends early there, and what it issues may not begin elsewhere; the sessions
    behind both are the database's. The store takes nothing that is signed by such a clock."""
    sound, wrong = instances["ahead"], start(**faked(off))
    eventually(wrong.is_healthy, 60)
    with sound.new_user() as user:
        data, album = jpeg(), user.album()["id"]
        photo = user.upload(data, album)["id"]
        assert user.api.get(f"{wrong.url}/api/auth/me").status_code == 401
        body = {"refresh_token": user.tokens["refresh_token"]}
        renewed = user.api.post(f"{wrong.url}/api/auth/refresh", json=body).raise_for_status()
        headers = {"Authorization": f"Bearer {renewed.json()['access_token']}"}
        assert user.api.get(f"{wrong.url}/api/auth/me", headers=headers).status_code == 200
        refused = user.api.post(
            f"{wrong.url}/api/photos/",
            data={"album_id": str(album)},
            files={"file": ("a.jpg", jpeg(), "image/jpeg")},
            headers=headers,
        )
        assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
        body = {"refresh_token": renewed.json()["refresh_token"]}
        again = user.api.post(f"{sound.url}/api/auth/refresh", json=body).raise_for_status()
        headers = {"Authorization": f"Bearer {again.json()['access_token']}"}
        [kept] = user.api.get(f"{sound.url}/api/photos/", headers=headers).json()
        assert kept["id"] == photo
        image = f"{sound.url}/api/photos/{photo}/image"
        assert user.api.get(image, headers=headers, follow_redirects=True).content == data
