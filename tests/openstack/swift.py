"""A real Swift, and what a test asks of it."""

import json
import socket
from dataclasses import dataclass
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from photo_local import swift
from photo_local.swift_files import PASSWORD, USER


@dataclass(frozen=True)
class Answer:
    """What Swift said to a request of the test; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(method: str, url: str, body: bytes = b"", **headers: str) -> Answer:
    """One request as a stranger makes it; `X_Delete_At` gives the header X-Delete-At."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(url, body or None, named, method=method)
    if body or method in ("PUT", "POST"):
        # urllib would call it a form.
        request.add_header("Content-Type", named.get("Content-Type", "application/octet-stream"))
        request.data = body
    try:
        with urlopen(request, timeout=30) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found, response.read())
    except HTTPError as error:
        found = {name.lower(): value for name, value in error.headers.items()}
        return Answer(error.code, found, error.read())


class Swift(swift.Swift):
    """With tempauth, if there is no Keystone."""

    def pids(self) -> list[int]:
        return [process.pid for process in self.processes.values()]

    def sign_in(self) -> tuple[str, str]:
        """A token of tempauth, and the account's address."""
        url = f"{self.url}/auth/v1.0"
        found = ask("GET", url, X_Storage_User=USER, X_Storage_Pass=PASSWORD).headers
        return found["x-auth-token"], found["x-storage-url"]

    def forget(self) -> None:
        """All tokens of tempauth are void from now on, and what is known of those of Keystone is
        asked for again."""
        with socket.create_connection(("127.0.0.1", self._ports[swift.CACHE]), 5) as memcached:
            memcached.sendall(b"flush_all\r\n")
            assert memcached.recv(16) == b"OK\r\n"

    def info(self) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = json.loads(ask("GET", f"{self.url}/info").body)
        return found
