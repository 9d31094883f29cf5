"""A service on a database of the test's own, and what it answers while that is in trouble."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from tests.service import PASSWORD, Service, User, eventually, new_address

BUSY = {"database_unavailable", "database_read_only"}


@dataclass
class Reader:
    """Somebody with an album, a photo and a share link."""

    user: User
    album: int
    photo: int
    share: str

    @classmethod
    def settle(cls, user: User) -> "Reader":
        album = user.album()["id"]
        photo = user.rendered(user.upload(album_id=album)["id"])["id"]
        shared = user.api.post(f"/albums/{album}/share").raise_for_status().json()
        return cls(user, album, photo, shared["token"])

    def reads(self) -> list[httpx.Response]:
        """One of each kind of reading, with the caller's token freshly verified."""
        api = self.user.api
        return [
            api.get(path)
            for path in (
                "/auth/me",
                "/photos/",
                f"/photos/{self.photo}",
                f"/photos/{self.photo}/image",
                "/albums/",
                f"/albums/{self.album}",
                f"/albums/{self.album}/share",
                f"/share/{self.share}",
                f"/share/{self.share}/photos/{self.photo}/image",
            )
        ]

    def writes(self) -> list[httpx.Response]:
        """One of each kind of writing."""
        api = self.user.api
        refresh = {"refresh_token": self.user.tokens["refresh_token"]}
        email = f"{uuid4().hex}@example.org"
        registration = {"email": email, "username": "newcomer", "password": PASSWORD}
        return [
            api.post("/albums/", json={"name": "another"}),
            api.post("/albums/", json={"name": "once"}, headers={"Idempotency-Key": "k"}),
            api.patch(f"/albums/{self.album}", json={"name": "changed"}),
            api.delete(f"/photos/{self.photo}"),
            self.user.post_photo(album_id=self.album),
            self.user.login(),
            api.post("/auth/refresh", json=refresh),
            api.post(
                "/auth/register", json=registration, headers={"X-Forwarded-For": new_address()}
            ),
        ]

    def can_write(self) -> bool:
        return self.user.api.patch(f"/albums/{self.album}", json={"name": "new"}).status_code == 200

    def can_read(self) -> bool:
        return all(answer.status_code in (200, 302, 307) for answer in self.reads())


@contextmanager
def settled(service: Service) -> Iterator[Reader]:
    with service.new_user() as user:
        yield Reader.settle(user)


def refused(answer: httpx.Response, *codes: str) -> bool:
    """Whether this is the 503 of the contract, with one of these codes."""
    body: dict[str, Any] = answer.json()
    return (
        answer.status_code == 503
        and body["code"] in (codes or BUSY)
        and int(answer.headers["Retry-After"]) >= 1
    )


def in_the_end(probe: Callable[[], bool]) -> None:
    """What comes back by itself, on a machine that may be busy."""
    eventually(probe, 40, 0.1)
