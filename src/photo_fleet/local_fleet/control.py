"""The socket by which other terminals tell a local fleet what to do.

One request is one line of JSON, `{"do": "scale", "size": 4}`. The answer is any number of lines
`{"progress": …}` and a last one, `{"done": true, …}` or `{"done": false, "error": …}`. A caller who
goes away gives up what it asked for.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from photo_base.tasks import cancel, first
from photo_fleet.group.local import Refused
from photo_fleet.group.rollout import RolledBack

LONGEST_LINE = 4 * 1024 * 1024

Say = Callable[[str], None]
Act = Callable[[Mapping[str, Any], Say], Awaitable[dict[str, object]]]


class NoFleet(Exception):
    """Nobody answers at the socket; the text says what to do."""


@asynccontextmanager
async def control_socket(path: Path, act: Act) -> AsyncIterator[None]:
    """Let `act` answer requests for as long as this is open; it may raise `Refused` and
    `RolledBack`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await _answer(act, reader, writer)
        writer.close()

    with _bind(path) as listening:
        server = await asyncio.start_unix_server(answer, sock=listening, limit=LONGEST_LINE)
        try:
            yield
        finally:
            server.close()


@contextmanager
def _bind(path: Path) -> Iterator[socket.socket]:
    """A Unix socket for our user alone, in place of one that a killed fleet left."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o600)
        try:
            yield listening
        finally:
            path.unlink(missing_ok=True)


async def ask(path: Path, request: Mapping[str, object], say: Say) -> dict[str, Any]:
    """The last answer to a request; `say` gets the progress. Raises `NoFleet`, also when something
    else answers there."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_LINE)
    except OSError:
        raise NoFleet(
            f"no fleet runs in {path.parent.parent}; start one with `photo-fleet up`, or name its"
            " folder with --data"
        ) from None
    try:
        writer.write(_line(request))
        await writer.drain()
        while line := await reader.readline():
            told: dict[str, Any] = json.loads(line)
            if "done" in told:
                return dict(told)
            say(str(told["progress"]))
    except OSError:
        pass  # it ended, as below
    except (ValueError, TypeError, LookupError, RecursionError):
        raise NoFleet(f"what answers at {path} is no fleet of this release") from None
    finally:
        writer.close()
    raise NoFleet("the fleet ended before it had answered")


async def _answer(act: Act, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = json.loads(await reader.readline() or b"{}")
    acting = asyncio.ensure_future(
        act(request, lambda text: writer.write(_line({"progress": text})))
    )
    try:
        await first(acting, reader.read())
        if acting.done():
            writer.write(_line({"done": True, **acting.result()}))
    except (Refused, RolledBack) as refused:
        writer.write(_line({"done": False, "error": str(refused)}))
    finally:
        await cancel(acting)
    await writer.drain()


def _line(message: Mapping[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"
