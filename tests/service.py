"""The service under test as a process, and people who use it over HTTP."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import asyncpg
import httpx
import psutil
from argon2 import PasswordHasher
from PIL import Image

from photo_api.accounts.queries import insert_user
from photo_api.http.json import encode

PASSWORD = "correct horse battery"
CHEAP_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
T = TypeVar("T")

MIGRATED: set[tuple[str | None, str | None]] = set()
"""Addresses of databases, and whose migrations they have."""

STORES: dict[str, tuple[str | None, ...]] = {}
"""Addresses of databases that tests share, and the store that has the objects of each."""


def eventually(probe: Callable[[], T], seconds: float = 10.0, pause: float = 0.05) -> T:
    """Ask until the answer is true; fails with the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s; last answer: {answer!r}"
        time.sleep(pause)


def jpeg(width: int = 64, height: int = 48, seed: int | None = None) -> bytes:
    """A JPEG that is like no other (or, with `seed`, always the same)."""
    noise = os.urandom(3) if seed is None else seed.to_bytes(3)
    image = Image.new("RGB", (width, height), (noise[0], noise[1], noise[2]))
    out = BytesIO()
    image.save(out, "JPEG", comment=uuid4().bytes if seed is None else noise)
    return out.getvalue()


def heic(width: int = 64, height: int = 48) -> bytes:
    """As iPhones take photos: one that is like no other."""
    import pillow_heif

    noise = os.urandom(3)
    out = BytesIO()
    picture = Image.new("RGB", (width, height), (noise[0], noise[1], noise[2]))
    pillow_heif.from_pillow(picture).save(out, format="HEIF")
    return out.getvalue()


def new_address() -> str:
    """An IPv6 address in a network that no other client has."""
    return f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"


class User:
    """Somebody with an account, logged in. `api` has the base URL and the token. With the URL of
    the service's `database` the account is opened there."""

    def __init__(
        self, base_url: str, address: str | None = None, database: str | None = None
    ) -> None:
        self.email = f"{uuid4().hex}@example.org"
        self.password = PASSWORD
        # An address of one's own, so that nobody is throttled for the failures of other tests.
        headers = {"X-Forwarded-For": address or new_address()}
        self.api = httpx.Client(base_url=f"{base_url}/api", headers=headers, timeout=30)
        if database is None:
            body = {"email": self.email, "username": "somebody", "password": PASSWORD}
            self.account = self.api.post("/auth/register", json=body).raise_for_status().json()
        else:
            self.account = _opened_account(database, self.email)
        self.tokens = self.login().raise_for_status().json()
        self.api.headers["Authorization"] = f"Bearer {self.tokens['access_token']}"

    def login(self, password: str | None = None) -> httpx.Response:
        body = {"email": self.email, "password": password or self.password}
        return self.api.post("/auth/login", json=body)

    def album(self, name: str = "Album") -> dict[str, Any]:
        album: dict[str, Any] = (
            self.api.post("/albums/", json={"name": name}).raise_for_status().json()
        )
        return album

    def presign(self, album_id: int, data: bytes, **more: Any) -> dict[str, Any]:
        body = {
            "album_id": album_id,
            "filename": "photo.jpg",
            "content_type": "image/jpeg",
            "file_size": len(data),
            **more,
        }
        answer = self.api.post("/photos/presigned-url", json=body)
        presigned: dict[str, Any] = answer.raise_for_status().json()
        return presigned

    def confirm(self, photo_id: int) -> httpx.Response:
        return self.api.post("/photos/confirm", json={"photo_id": photo_id})

    def upload(
        self, data: bytes | None = None, album_id: int | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Through the server; the answer's body."""
        answer = self.post_photo(data, album_id, **fields)
        uploaded: dict[str, Any] = answer.raise_for_status().json()
        return uploaded

    def post_photo(
        self,
        data: bytes | None = None,
        album_id: int | None = None,
        *,
        filename: str = "photo.jpg",
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> httpx.Response:
        album_id = self.album()["id"] if album_id is None else album_id
        file = (filename, jpeg() if data is None else data, "image/jpeg")
        form = {"album_id": str(album_id), **fields}
        return self.api.post("/photos/", data=form, files={"file": file}, headers=headers)

    def photo(self, photo_id: int) -> dict[str, Any]:
        photo: dict[str, Any] = self.api.get(f"/photos/{photo_id}").raise_for_status().json()
        return photo

    def rendered(self, photo_id: int, seconds: float = 30) -> dict[str, Any]:
        """The photo, once its renditions are ready or have failed."""
        eventually(lambda: self.photo(photo_id)["renditions"] != "pending", seconds, 0.1)
        return self.photo(photo_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.api.close()


def put(presigned: Mapping[str, Any], data: bytes) -> httpx.Response:
    """What a browser does with a presigned upload."""
    return httpx.put(presigned["upload_url"], content=data, headers=presigned["upload_headers"])


def _opened_account(database: str, email: str) -> dict[str, Any]:
    """As the service opens one, but for what the hash of its password costs."""

    async def open_account() -> Any:
        # Under a name: relays in front of databases tell by it whose statements they count.
        name = {"application_name": "tests"}
        connection = await asyncpg.connect(database, server_settings=name)
        try:
            return await insert_user(connection, email, "somebody", CHEAP_HASH)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as aside:  # of the test's own loop, if it has one
        row = aside.submit(asyncio.run, open_account()).result(30)
    account: dict[str, Any] = json.loads(encode(dict(row)))
    return account


@dataclass
class Service:
    """A running `photo-api serve`."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path
    environ: dict[str, str]

    def new_user(self, address: str | None = None) -> User:
        """One whose password costs next to nothing: what it costs others, at the niceness of those
        who hash, would be most of what a short test takes."""
        return User(self.url, address, self.environ.get("PHOTO_API_DATABASE_URL"))

    def children(self, module: str) -> list[psutil.Process]:
        """Its processes that run this module."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if module in " ".join(child.cmdline()):
                    found.append(child)
        return found

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def is_healthy(self) -> bool:
        assert self.process.poll() is None, self.log
        try:
            return httpx.get(f"{self.url}/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def cli(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `photo-api …` to its end. With MIGRATE_WITH, a folder of sources, `migrate` is that of
    another release."""
    assert arguments[:1] != ("reconcile",) or fits(environ), "it would repair others' photos"
    # As the working directory, because that is where `-m` looks first.
    sources = os.environ.get("MIGRATE_WITH") if arguments[:1] == ("migrate",) else None
    return subprocess.run(
        [sys.executable, "-m", "photo_api.cli", *arguments],
        cwd=sources,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def migrate_once(environ: Mapping[str, str]) -> None:
    """`photo-api migrate`, for a database that these tests have not migrated before."""
    # In a file it may change.
    url = environ.get("PHOTO_API_DATABASE_URL")
    if url is None or (url, os.environ.get("MIGRATE_WITH")) not in MIGRATED:
        migrated = cli(environ, "migrate")
        assert migrated.returncode == 0, migrated.stderr
        MIGRATED.add((url, os.environ.get("MIGRATE_WITH")))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def store_named(environ: Mapping[str, str]) -> tuple[str | None, ...]:
    """Whatever tells a store from another."""
    names = ("STORE", "S3_ENDPOINT", "S3_BUCKET", "SWIFT_URL", "SWIFT_CONTAINER")
    return tuple(environ.get(f"PHOTO_API_{name}") for name in names)


def fits(environ: Mapping[str, str]) -> bool:
    """Whether its database is no shared one, or its store is the one that has the objects of all
    photos there. Where services have different stores, each leases jobs whose objects are in the
    other's, and a test fails for photos that are not its own."""
    own = store_named(environ)
    return STORES.get(environ.get("PHOTO_API_DATABASE_URL", ""), own) == own


@contextmanager
def running_service(environ: dict[str, str], folder: Path, *arguments: str) -> Iterator[Service]:
    """Migrate, serve on a free port, wait until healthy, and end it."""
    migrate_once(environ)
    with serving(environ, folder / "service.log", *arguments) as service:
        eventually(service.is_healthy, 30)
        yield service


@contextmanager
def serving(
    environ: dict[str, str],
    log_file: Path,
    *arguments: str,
    python: str = sys.executable,
    stderr: int | None = None,
) -> Iterator[Service]:
    """Serve on a free port, ready or not, and end it. `stderr` in place of the log file."""
    assert fits(environ), "with another store it needs a database of its own: own_database"
    port = free_port()
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [
                *(python, "-m", "photo_api.cli", "serve"),
                *("--host", "127.0.0.1", "--port", str(port), *arguments),
            ],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log if stderr is None else stderr,
            preexec_fn=die_with_parent,
        )
    try:
        yield Service(f"http://127.0.0.1:{port}", process, log_file, environ)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that is full and that nobody reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


def die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
