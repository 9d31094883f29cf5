"""An edge as small as can be: it verifies nginx's secure links, and asks the real store with what
the URL carries for it."""

import asyncio
from collections import Counter
from contextlib import suppress
from urllib.parse import parse_qsl, quote

import httpx

from photo_api.delivery.nginx_edge import secure_link
from photo_api.settings.loading import load
from photo_base.listener import Listener
from tests.own_stage import endpoint_in
from tests.service import free_port

KID, SECRET = "e1", "4c1f0b93a7d2465e8b90c3d5e6f7a812"
OWN = ("expires", "kid", "md5", "filename")
LONGEST_HEAD = 64 * 1024


class PlainEdge(Listener):
    """It `fails` with a status, or with None passes on, with `told` as further headers: of staging
    nothing, unless it `reads_all`. One that does not verify `first` gives to everybody what it has
    fetched before."""

    def __init__(self, settings: dict[str, str]) -> None:
        super().__init__(free_port())
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self.fails: int | None = None
        self.first = True
        self._kept: dict[str, bytes] = {}
        self.reads_all = False
        self.told = ""
        self.statuses: Counter[int] = Counter()
        self._origin = origin_of(settings)

    @property
    def settings(self) -> dict[str, str]:
        """Of a service whose CDN it is, without prefix; it looks at it often."""
        return {
            "CDN": "nginx",
            "CDN_URL": self.url,
            "CDN_KEYS": f"{KID}:{SECRET}",
            "CDN_PROBE_INTERVAL": "0.5",
        }

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.decode().split(" ", 2)
            status, body = await self._answer(method, target)
            self.statuses[status] += 1
            writer.write(
                f"HTTP/1.1 {status} Told\r\nConnection: close\r\n{self.told}"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + (b"" if method == "HEAD" else body)
            )
            await writer.drain()
        writer.close()

    async def _answer(self, method: str, target: str) -> tuple[int, bytes]:
        if self.fails is not None:
            return self.fails, b"the edge fails"
        path, _, query = target.partition("?")
        pieces = [piece for piece in query.split("&") if piece.partition("=")[0] not in OWN]
        own = dict(parse_qsl(query))
        name = quote(own.get("filename", ""), safe="")
        signed = secure_link(f"{own.get('expires')}{path} {name} {'&'.join(pieces)} {SECRET}")
        if path.startswith("/staging/") and not self.reads_all:
            return 403, b""
        if not self.first and path in self._kept:
            return 200, self._kept[path]
        if own.get("md5") != signed:
            return 403, b""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self._origin}{path}?{'&'.join(pieces)}")
        if answer.status_code == 200:
            self._kept = {**self._kept, path: answer.content}
        return answer.status_code, answer.content


def origin_of(settings: dict[str, str]) -> str:
    """The address of the bucket, or container, as the edge reaches it."""
    loaded = load(settings)
    if loaded.store == "swift":
        return f"{loaded.swift.url}/{loaded.swift.container}"
    return f"{endpoint_in(settings)}/{loaded.s3.bucket}"
