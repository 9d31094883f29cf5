"""What is sent to PostgreSQL, counted on its way by a relay: nothing in the service knows of it."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from photo_base.listener import CHUNK, LOOPBACK, Listener

VERSION = 3
"""Of the protocol (PostgreSQL's manual, message formats); other first messages of a connection ask
for encryption."""

WAITS = b"QSH"
"""Query, Sync and Flush: upon these the server sends what somebody waits for."""


@dataclass(slots=True)
class Sent:
    """`statements` by their texts, without those that begin or end a transaction; of each
    transaction, which is one statement where none is begun, the first; and how often an answer was
    waited for."""

    statements: list[str] = field(default_factory=list)
    transactions: list[str] = field(default_factory=list)
    round_trips: int = 0


@dataclass(slots=True)
class _Connection:
    """What one has prepared and bound, by name, and whether it is in a transaction, of which no
    statement was sent yet."""

    prepared: dict[bytes, str] = field(default_factory=dict)
    bound: dict[bytes, str] = field(default_factory=dict)
    inside: bool = False
    begun: bool = False

    def told(self, kind: bytes, body: bytes) -> str | None:
        """The statement that this message has carried out."""
        one, _, rest = body.partition(b"\0")
        two = rest.partition(b"\0")[0]
        if kind == b"P":
            self.prepared[one] = two.decode()
        elif kind == b"B":  # a portal, and what was prepared
            self.bound[one] = self.prepared[two]
        elif kind == b"Q":
            return one.decode()
        return self.bound[one] if kind == b"E" else None

    def note(self, text: str, sent: Sent) -> None:
        if text.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            self.inside = self.begun = text.startswith("BEGIN")
            return
        if self.begun or not self.inside:
            sent.transactions.append(text)
        self.begun = False
        sent.statements.append(text)


class StatementRelay(Listener):
    """Passes connections without encryption on to the server of `url`, and keeps what those send
    whose application_name is one of `counted`; nobody else's."""

    def __init__(self, port: int, url: str, counted: Collection[str]) -> None:
        super().__init__(port)
        self._counted = counted
        self._behind = _place(url)
        self.url = _moved(url, port)
        self._sent = Sent()

    def take(self) -> Sent:
        """What was sent since the last time."""
        taken, self._sent = self._sent, Sent()
        return taken

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if isinstance(self._behind, str):
                back, there = await asyncio.open_unix_connection(self._behind, limit=CHUNK)
            else:
                back, there = await asyncio.open_connection(*self._behind, limit=CHUNK)
            answers = asyncio.create_task(_copy(back, writer))
            try:
                counts = await self._begin(reader, there)
                await self._follow(reader, there, _Connection() if counts else None)
            finally:
                answers.cancel()
                there.close()
        writer.close()

    async def _begin(self, reader: asyncio.StreamReader, there: asyncio.StreamWriter) -> bool:
        """Pass on the messages without a type; whether the connection is one of those counted."""
        while True:
            length = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(length) - 4)
            there.write(length + body)
            if int.from_bytes(body[:2]) == VERSION:
                words = body[4:].decode().split("\0")
                return words[words.index("application_name") + 1] in self._counted

    async def _follow(
        self,
        reader: asyncio.StreamReader,
        there: asyncio.StreamWriter,
        connection: _Connection | None,
    ) -> None:
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
            if connection is not None:
                self._sent.round_trips += head[:1] in WAITS
                text = connection.told(head[:1], body)
                if text is not None:
                    connection.note(text, self._sent)
            there.write(head + body)
            await there.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


def _place(url: str) -> str | tuple[str, int]:
    """The server's socket in the file system, or its host and port."""
    parts = urlsplit(url)
    folder = dict(parse_qsl(parts.query)).get("host")
    port = parts.port or 5432
    return f"{folder}/.s.PGSQL.{port}" if folder else (parts.hostname or LOOPBACK, port)


def _moved(url: str, port: int) -> str:
    """The same database and login at the relay."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    query = {name: value for name, value in parse_qsl(parts.query) if name not in ("host", "port")}
    place = f"{login}@{LOOPBACK}:{port}"
    return urlunsplit(parts._replace(netloc=place, query=urlencode(query)))
