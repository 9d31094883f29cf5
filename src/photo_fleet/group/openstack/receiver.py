"""Hears the alarm that asks for one instance fewer, and sees to it, one at a time.

What Aodh posts is in its administrator's guide, "Alarm actions": a JSON object whose `current` is
the alarm's new state. It repeats what is not answered with 2xx, and with `repeat_actions` every
evaluation; a repetition while a scale-in is under way asks for nothing more, and after it the
policy's cooldown counts.
"""

import asyncio
import hmac
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping

from photo_base.environment import Variable, read
from photo_fleet.balancer.database_address import PREFIX, Unusable
from photo_fleet.group.openstack.scale_in import Order, Refusal, Removed, Unfinished

log = logging.getLogger(__name__)

PATH = b"/scale-in"
LONGEST_HEAD = 8192
LONGEST_BODY = 64 * 1024
PATIENCE = 5.0
MOST_AT_ONCE = 16
AGAIN = 60.0
"""Seconds until what is unfinished is gone on with, without another alarm."""


def _token(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{32,256}", value):
        raise ValueError("must hold 32 to 256 letters, digits, - and _")
    return value


TOKEN = Variable(
    "SCALE_IN_TOKEN",
    "what the alarm proves itself by, as `openssl rand -hex 32` gives it (or"
    " PHOTO_FLEET_SCALE_IN_TOKEN_FILE: a file with it)",
    default=None,
    parse=_token,
    secret=True,
)


def scale_in_token(environ: Mapping[str, str]) -> str:
    """Raises `Unusable`."""
    problems: list[str] = []
    token: str = read(TOKEN, environ, problems, PREFIX)
    if problems:
        raise Unusable(problems[0])
    return token


class Receiver:
    """Answers `POST /scale-in/TOKEN`, or `POST /scale-in` with the bearer token; `scale_in` does
    what an order asks for."""

    def __init__(
        self, place: tuple[str, int], token: str, scale_in: Callable[[Order], Awaitable[Removed]]
    ) -> None:
        self._place = place
        self._path = PATH + b"/" + token.encode()
        self._bearer = b"Bearer " + token.encode()
        self._scale_in = scale_in
        self._wanted = asyncio.Event()
        self._under_way = False
        self._busy = 0

    async def run(self) -> None:
        """Until cancelled. Raises OSError when the port cannot be had."""
        host, port = self._place
        try:
            server = await asyncio.start_server(self._serve, host, port, limit=LONGEST_HEAD)
        except OSError as error:
            reason = f"cannot listen at {host} port {port}: {error.strerror}"
            raise OSError(error.errno, reason) from None
        async with server:
            log.info("waiting for the alarm", extra={"fields": {"host": host, "port": port}})
            await self._attend()

    async def _attend(self) -> None:
        """First what an earlier start left unfinished, then what the alarm asks for."""
        unfinished = await self._do(Order(resume=True))
        while True:
            try:
                async with asyncio.timeout(AGAIN if unfinished else None):
                    await self._wanted.wait()
            except TimeoutError:
                unfinished = await self._do(Order(resume=True))
                continue
            self._wanted.clear()
            unfinished = await self._do(Order())

    async def _do(self, order: Order) -> bool:
        """Whether something is to be gone on with."""
        self._under_way = not order.resume
        try:
            done = await self._scale_in(order)
        except Refusal as why:
            log.info("nothing was removed", extra={"fields": {"reason": str(why)}})
            # Whether there is something to finish is not known when nobody could be asked.
            return order.resume and why.unknown
        except Unfinished as why:
            log.warning("a scale-in is unfinished", extra={"fields": {"reason": str(why)}})
            return True
        finally:
            self._under_way = False
        self._wanted.clear()  # an alarm that came meanwhile has had its instance
        fields = {"address": done.address, "left": done.left, "resumed": done.resumed}
        log.info("an instance was removed", extra={"fields": fields})
        return False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._busy += 1
        try:
            async with asyncio.timeout(PATIENCE):
                if self._busy <= MOST_AT_ONCE:
                    writer.write(await self._answer(reader))
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            # Among them the end of the patience: whoever says nothing keeps no place.
            writer.transport.abort()
        finally:
            self._busy -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response("431 Request Header Fields Too Large", "the head is too long")
        request, *lines = head.split(b"\r\n")
        method, path, *_ = [*request.split(b" "), b"", b""]
        pairs = (line.partition(b":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if not self._may(path, headers.get(b"authorization", b"")):
            return _response("401 Unauthorized", "the token is missing or wrong")
        if method != b"POST":
            return _response("405 Method Not Allowed", "POST alone", b"Allow: POST\r\n")
        length = headers.get(b"content-length", b"")
        if not re.fullmatch(rb"[0-9]{1,18}", length):
            return _response("411 Length Required", "a Content-Length is needed")
        if int(length) > LONGEST_BODY:
            return _response("413 Content Too Large", f"at most {LONGEST_BODY} bytes")
        return self._hear(await reader.readexactly(int(length)))

    def _may(self, path: bytes, authorization: bytes) -> bool:
        """Both are compared, and in a time that tells nothing of the token."""
        by_path = hmac.compare_digest(path, self._path)
        by_header = hmac.compare_digest(authorization, self._bearer)
        return by_path or (path == PATH and by_header)

    def _hear(self, body: bytes) -> bytes:
        try:
            told = json.loads(body)
            state = str(told["current"])
        except (ValueError, LookupError, TypeError, RecursionError):
            return _response("400 Bad Request", "a JSON object with the alarm's `current` state")
        if state != "alarm":
            return _response("200 OK", "nothing to do: the state is not `alarm`")
        if self._under_way:
            return _response("202 Accepted", "a scale-in is under way")
        self._wanted.set()
        return _response("202 Accepted", "begins")


def _response(status: str, told: str, more: bytes = b"") -> bytes:
    content = json.dumps({"told": told}).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n"
    )
    return head.encode() + more + b"\r\n" + content
