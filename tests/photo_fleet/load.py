"""People who use a fleet, and who count every request: none may fail."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

import httpx

from tests.service import User, jpeg

SLOW_UPLOAD = 12.0
"""Seconds that a slow client takes to send a photo."""

PIECES = 24
BOUNDARY = "a-border-between-parts"


@dataclass
class Ledger:
    """What became of every request, by kind. A failure is whatever is not the answer expected."""

    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, expected: int, send: Callable[[], httpx.Response]) -> httpx.Response:
        """Send a request and count it. Raises `httpx.TransportError` after having noted it."""
        began = time.time()
        try:
            answer = send()
        except httpx.TransportError as error:
            self._fail(f"{kind} {_clock(began)}–{_clock(time.time())}: {error!r}")
            raise
        if answer.status_code != expected:
            told = f"{answer.status_code} {answer.text[:200]}"
            self._fail(f"{kind} {_clock(began)}–{_clock(time.time())}: {told}")
        with self._lock:
            self.done[kind] += 1
        return answer

    def assert_nothing_failed(self) -> None:
        """Shows some of what did."""
        assert not self.failed, "\n".join(
            [f"{len(self.failed)} of {self.done.total()}", *self.failed[:30]]
        )

    def _fail(self, text: str) -> None:
        with self._lock:
            self.failed.append(text)


class Visitor(threading.Thread):
    """Does the same again and again until told to stop; `pause` seconds in between."""

    def __init__(self, act: Callable[[], None], stop: threading.Event, pause: float) -> None:
        super().__init__(daemon=True)
        self._act = act
        self._stop_asked = stop
        self._pause = pause
        self.broke: BaseException | None = None

    def run(self) -> None:
        while not self._stop_asked.is_set():
            try:
                self._act()
            except httpx.TransportError:
                pass  # noted in the ledger
            except BaseException as error:
                self.broke = error
                return
            self._stop_asked.wait(self._pause)


class People:
    """One account and what its owners do at the same time, each over a connection of their own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.ledger = Ledger()
        self.acknowledged: dict[int, str] = {}
        """Photos of whose upload they have been told, with the SHA-256 of their bytes."""
        self._user = User(url)
        self._album = self._user.album()["id"]
        self._photo = self._user.upload(album_id=self._album)["id"]

    def reader(self, pause: float = 0.02) -> tuple[Callable[[], None], float]:
        """A client that keeps its connection and looks at lists, photos and images."""
        api = self._client()
        paths = {"/albums/": 200, f"/photos/{self._photo}": 200, f"/photos/{self._photo}/image": 0}

        def act() -> None:
            for path, status in paths.items():
                kind, expected = ("GET", status) if status else ("GET image", 302)
                self._get(api, kind, expected, path)

        return act, pause

    def _get(self, api: httpx.Client, kind: str, expected: int, path: str) -> None:
        self.ledger.note(kind, expected, lambda: api.get(path, follow_redirects=False))

    def direct_uploader(self, pause: float = 0.3) -> tuple[Callable[[], None], float]:
        """Presign, PUT to the store, confirm."""
        api, store = self._client(), httpx.Client(timeout=60)

        def act() -> None:
            self._upload_directly(api, store, lambda data: data)

        return act, pause

    def slow_direct_uploader(self) -> tuple[Callable[[], None], float]:
        """The same over a bad line."""
        api, store = self._client(), httpx.Client(timeout=60)

        def act() -> None:
            self._upload_directly(api, store, _slowly)

        return act, 0.1

    def _upload_directly(
        self,
        api: httpx.Client,
        store: httpx.Client,
        line: Callable[[bytes], "bytes | Iterator[bytes]"],
    ) -> None:
        data = jpeg(300, 200)
        body = {
            "album_id": self._album,
            "filename": "photo.jpg",
            "content_type": "image/jpeg",
            "file_size": len(data),
        }
        note = self.ledger.note
        granted = note("presign", 200, lambda: api.post("/photos/presigned-url", json=body)).json()
        headers = {**granted["upload_headers"], "Content-Length": str(len(data))}
        url = granted["upload_url"]
        note("PUT", 200, lambda: store.put(url, content=line(data), headers=headers))
        photo = {"photo_id": granted["photo_id"]}
        note("confirm", 200, lambda: api.post("/photos/confirm", json=photo)).raise_for_status()
        self.acknowledged[granted["photo_id"]] = sha256(data).hexdigest()

    def uploader(self, pause: float = 0.3) -> tuple[Callable[[], None], float]:
        """Through the server."""
        api = self._client()

        def act() -> None:
            form, data = {"album_id": str(self._album)}, jpeg(300, 200)
            file = {"file": ("photo.jpg", data, "image/jpeg")}
            post = lambda: api.post("/photos/", data=form, files=file)  # noqa: E731
            self._keep(self.ledger.note("upload", 201, post), data)

        return act, pause

    def slow_uploader(self) -> tuple[Callable[[], None], float]:
        """Through the server, over a bad line."""
        api = self._client()

        def act() -> None:
            data = jpeg(300, 200)
            body = _form(self._album, data)
            headers = {
                "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
                "Content-Length": str(len(body)),
            }
            answer = self.ledger.note(
                "slow upload",
                201,
                lambda: api.post("/photos/", content=_slowly(body), headers=headers),
            )
            self._keep(answer, data)

        return act, 0.1

    def _keep(self, answer: httpx.Response, data: bytes) -> None:
        if answer.is_success:
            self.acknowledged[answer.json()["id"]] = sha256(data).hexdigest()

    def lost(self) -> list[int]:
        """Acknowledged photos that are not what was uploaded, or are not there."""
        with self._client() as api, httpx.Client(timeout=60) as store:
            return [
                photo
                for photo, digest in self.acknowledged.items()
                if sha256(_original(api, store, photo)).hexdigest() != digest
            ]

    def writer(self, pause: float = 0.1) -> tuple[Callable[[], None], float]:
        """Makes albums and deletes them."""
        api = self._client()

        def act() -> None:
            note = self.ledger.note
            album = note("POST", 201, lambda: api.post("/albums/", json={"name": "A"})).json()
            note("DELETE", 204, lambda: api.delete(f"/albums/{album['id']}"))

        return act, pause

    def _client(self) -> httpx.Client:
        headers = {"Authorization": self._user.api.headers["Authorization"]}
        return httpx.Client(base_url=f"{self._url}/api", headers=headers, timeout=60)

    @contextmanager
    def busy(self, *visitors: tuple[Callable[[], None], float]) -> Iterator[Ledger]:
        """All of them at the same time; at the end each finishes what it began."""
        stop = threading.Event()
        threads = [Visitor(act, stop, pause) for act, pause in visitors]
        for thread in threads:
            thread.start()
        try:
            yield self.ledger
        finally:
            stop.set()
            for thread in threads:
                thread.join(90)
        broken = [thread.broke for thread in threads if thread.broke is not None]
        assert not broken, broken
        assert not any(thread.is_alive() for thread in threads)


def _original(api: httpx.Client, store: httpx.Client, photo: int) -> bytes:
    """Its bytes; nothing when it is not there."""
    found = api.get(f"/photos/{photo}/image", params={"size": "original"})
    return store.get(found.headers["Location"]).content if found.is_redirect else b""


def _slowly(data: bytes) -> Iterator[bytes]:
    size = len(data) // PIECES + 1
    for start in range(0, len(data), size):
        time.sleep(SLOW_UPLOAD / PIECES)
        yield data[start : start + size]


def _form(album: int, data: bytes) -> bytes:
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="album_id"\r\n\r\n{album}\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode() + (data + f"\r\n--{BOUNDARY}--\r\n".encode())


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment)) + f".{moment % 1:.2f}"[2:]
