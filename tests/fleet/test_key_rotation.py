"""Both kinds of keys rotate in three rolling steps under load, and nobody is logged out."""

import random
import threading
import time
from collections import Counter
from contextlib import suppress

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.fleet.conftest import Start
from tests.service import Service, User, eventually

OLD, NEW = "9f3c1d5e7a8b4260c1d2e3f4a5b69788", "71c04b5dd2e8f39a6be1007c2f48d935"
STEPS = {
    "the new key is known": f"old:{OLD},new:{NEW}",
    "the new key signs": f"new:{NEW},old:{OLD}",
    "the old key is gone": f"new:{NEW}",
}
CLIENTS = 4


class Balancer:
    """Which instances get requests. One is taken out before it is stopped."""

    def __init__(self, *services: Service) -> None:
        self._services = list(services)

    def any(self) -> str:
        return random.choice(self._services).url

    def members(self) -> list[Service]:
        return list(self._services)

    def add(self, service: Service) -> None:
        self._services = [*self._services, service]

    def remove(self, service: Service) -> None:
        self._services = [item for item in self._services if item is not service]


class Client(threading.Thread):
    """Somebody who goes on logging in, refreshing and listing, each time at any instance."""

    def __init__(self, balancer: Balancer) -> None:
        super().__init__(daemon=True)
        self._balancer = balancer
        self._user = User(balancer.any())
        self._tokens = self._user.tokens
        self._done = threading.Event()
        self.statuses: Counter[int] = Counter()
        self.refreshes = 0

    def run(self) -> None:
        while not self._done.is_set():
            for _ in range(5):
                self._send("GET", "/auth/me")
                self._send("GET", "/albums/")
            body = {"refresh_token": self._tokens["refresh_token"]}
            self._take(self._send("POST", "/auth/refresh", body))
            self.refreshes += 1
            if random.random() < 0.2:
                who = {"email": self._user.email, "password": self._user.password}
                self._take(self._send("POST", "/auth/login", who))
            time.sleep(0.02)

    def stop(self) -> None:
        self._done.set()
        self.join(60)
        self._user.api.close()

    def _send(self, method: str, path: str, body: object = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._tokens['access_token']}"}
        while True:
            url = f"{self._balancer.any()}/api{path}"
            # Between the choice of an instance and its removal; a balancer would try another.
            with suppress(httpx.TransportError):
                answer = self._user.api.request(method, url, json=body, headers=headers)
                self.statuses[answer.status_code] += 1
                return answer

    def _take(self, answer: httpx.Response) -> None:
        if answer.is_success:
            self._tokens = answer.json()


def keys(value: str) -> dict[str, str]:
    sealing = value.replace(OLD, OLD[::-1]).replace(NEW, NEW[::-1])
    return {"PHOTO_API_JWT_KEYS": value, "PHOTO_API_SECRET_KEYS": sealing}


def roll(balancer: Balancer, start: Start, value: str) -> None:
    """Replace all instances by ones with these keys, one at a time."""
    for service in balancer.members():
        balancer.remove(service)
        assert service.stop() == 0
        replacement = start("--no-jobs", **keys(value))
        eventually(replacement.is_healthy, 60)
        balancer.add(replacement)


def all_refresh(clients: list[Client]) -> None:
    """Wait until nobody has a token from before."""
    before = {client: client.refreshes for client in clients}
    eventually(lambda: all(client.refreshes > n + 1 for client, n in before.items()), 60)


@pytest.mark.slow
def test_keys_rotate_in_three_rolling_steps_without_a_401(start: Start) -> None:
    balancer = Balancer()
    for _ in range(2):
        balancer.add(start("--no-jobs", **keys(f"old:{OLD}")))
    for service in balancer.members():
        eventually(service.is_healthy, 60)
    with balancer.members()[0].new_user() as user:
        ancient = user.tokens["access_token"]
        link = user.api.post(f"/albums/{user.album()['id']}/share", json={}).json()["token"]
    clients = [Client(balancer) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for value in STEPS.values():
        roll(balancer, start, value)
        all_refresh(clients)
    for client in clients:
        client.stop()
    statuses = sum((client.statuses for client in clients), Counter[int]())
    assert set(statuses) == {200}, statuses
    assert statuses[200] > 100
    for service in balancer.members():
        assert me(service, ancient) == 401, "the old key is truly gone"
        assert httpx.get(f"{service.url}/api/share/{link}").status_code == 200
    newest = jwt.decode(clients[0]._tokens["access_token"], OctKey.import_key(NEW))
    assert newest.header["kid"] == "new"


def me(service: Service, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{service.url}/api/auth/me", headers=headers).status_code
