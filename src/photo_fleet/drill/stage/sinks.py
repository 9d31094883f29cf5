"""Where a stage's instances send their log lines and their metrics, with a relay before each by
which it can be made to fail: a collector of this process's own, and a real Pushgateway."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import orjson

from photo_base.environment import PREFIX
from photo_base.listener import Listener
from photo_base.processes import CannotStart
from photo_fleet.drill.stage.http_relay import LONGEST_HEAD, NORMAL, Behaviour, HttpRelay
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.watching import gateway_beside

TAKEN = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d+)")

PUSH_INTERVAL, LOG_QUEUE, LOG_TIMEOUT = 1, 40, 1.0
"""So that a fault of seconds shows what one of minutes would: a queue that is full, a batch that is
given up."""


class Collector(Listener):
    """Takes batches as Loki does, and remembers the requests that their lines tell of."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.requests: set[str] = set()

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://{host}:{port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head[:LONGEST_HEAD])
            if length:
                self._take(gzip.decompress(await reader.readexactly(int(length[1]))))
            writer.write(TAKEN)
            await writer.drain()
        writer.close()

    def _take(self, body: bytes) -> None:
        for stream in orjson.loads(body)["streams"]:
            lines = (orjson.loads(line) for _, line in stream["values"])
            self.requests.update(line["request_id"] for line in lines if "request_id" in line)


class Sinks:
    """Both, once `running` is entered; until then only their addresses."""

    def __init__(self, free_port: Callable[[], int]) -> None:
        self.collector = Collector(free_port())
        self._logs, self._metrics = HttpRelay(free_port()), HttpRelay(free_port())
        self._gateway = ""

    @property
    def environ(self) -> dict[str, str]:
        """Settings of the instances that send there."""
        settings: dict[str, object] = {
            "LOG_LOKI_URL": self._logs.url,
            "LOG_QUEUE": LOG_QUEUE,
            "LOG_TIMEOUT": LOG_TIMEOUT,
            "PUSHGATEWAY": self._metrics.url,
            "PUSH_INTERVAL": PUSH_INTERVAL,
        }
        return {PREFIX + name: str(value) for name, value in settings.items()}

    @asynccontextmanager
    async def running(self, layout: Layout) -> AsyncIterator[None]:
        """While this is open they take what comes. Raises `CannotStart` without a Pushgateway."""
        layout.prepare()
        async with gateway_beside(layout) as gateway:
            if not gateway.url:
                raise CannotStart(gateway.told)
            self._gateway = self._metrics.endpoint = gateway.url
            self._logs.endpoint = self.collector.url
            listeners = (self.collector, self._logs, self._metrics)
            try:
                for item in listeners:
                    await item.start()
                yield
            finally:
                for item in listeners:
                    await item.stop()

    @asynccontextmanager
    async def behaving(self, collector: Behaviour, gateway: Behaviour) -> AsyncIterator[None]:
        """So while this is open, and as they should afterwards."""
        try:
            await self._logs.behave(collector)
            await self._metrics.behave(gateway)
            yield
        finally:
            await self._logs.behave(NORMAL)
            await self._metrics.behave(NORMAL)

    async def groups(self) -> dict[str, float]:
        """When each of the instances that the gateway knows has pushed last, in epoch seconds, by
        its `address:port`. Raises `httpx.HTTPError`."""
        async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
            answer = await http.get(f"{self._gateway}/api/v1/metrics")
            known: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
        return {
            group["labels"]["instance"]: float(group["push_time_seconds"]["metrics"][0]["value"])
            for group in known
        }
