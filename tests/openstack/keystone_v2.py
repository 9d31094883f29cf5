"""A small Keystone of API version 2.0, of which no release can be had any more: what NHN Cloud's
identity service documents ("API v2.0 User Guide": POST /v2.0/tokens) and nothing else. The tokens
that it hands out are the real ones of a Swift's tempauth."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

TENANT, USER, PASSWORD, REGION = "f00dcafe", "photo-api@example.org", "an API pass word", "KR1"


@dataclass
class KeystoneV2:
    """`issue` gives a token and the address of its account. What is set here is how it behaves from
    then on: `status` in place of 200, `life` of a token in seconds, `delay` before an answer, and
    by how many seconds its clock is ahead."""

    issue: Callable[[], tuple[str, str]]
    password: str = PASSWORD
    life: float = 3600.0
    delay: float = 0.0
    clock_ahead: float = 0.0
    status: int = 200
    catalogue: list[dict[str, Any]] | None = None
    asked: int = 0
    url: str = ""
    issued: list[str] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_ahead)

    async def answer(self, body: bytes) -> tuple[int, Any]:
        self.asked += 1
        await asyncio.sleep(self.delay)
        if self.status != 200:
            return self.status, {"error": {"message": "told to", "code": self.status}}
        given = json.loads(body)["auth"]
        who = {"username": USER, "password": self.password}
        if given["tenantId"] != TENANT or given["passwordCredentials"] != who:
            message = "The request you have made requires authentication."
            return 401, {"error": {"message": message, "code": 401, "title": "Unauthorized"}}
        token, account = await asyncio.to_thread(self.issue)
        self.issued.append(token)
        endpoint = {"region": REGION, "publicURL": account, "id": "1"}
        swift = {"type": "object-store", "name": "swift", "endpoints": [endpoint]}
        expires = self.now() + timedelta(seconds=self.life)
        return 200, {
            "access": {
                "token": {
                    "id": token,
                    "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "tenant": {"id": TENANT, "name": "photos"},
                },
                "serviceCatalog": [swift] if self.catalogue is None else self.catalogue,
                "user": {"id": "u", "name": USER, "roles": []},
            }
        }


@asynccontextmanager
async def serving(keystone: KeystoneV2) -> AsyncIterator[KeystoneV2]:
    """It answers at its `url` for as long as this is open."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lengths = (
                int(line.partition(":")[2])
                for line in head.lower().split("\r\n")
                if line.startswith("content-length:")
            )
            right = head.startswith("POST /v2.0/tokens ")
            body = await reader.readexactly(next(lengths, 0))
            status, answer = await keystone.answer(body) if right else (404, {})
            sent = json.dumps(answer).encode()
            date = format_datetime(keystone.now(), usegmt=True)
            lines = f"HTTP/1.1 {status} It\r\nDate: {date}\r\nContent-Type: application/json\r\n"
            writer.write(f"{lines}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
            await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    keystone.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2.0"
    try:
        yield keystone
    finally:
        server.close()


@contextmanager
def in_a_thread(keystone: KeystoneV2) -> Iterator[KeystoneV2]:
    """The same for who runs no event loop."""
    ready, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serving(keystone):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield keystone
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
