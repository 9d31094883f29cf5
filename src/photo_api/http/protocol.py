"""HTTP/1.1 in a worker: uvicorn's protocol, with limits on what a client can hold open.

uvicorn limits only how long a connection may idle after an answer. Here a request's head has its
time and its size, an answer that its client does not take ends, and a connection that is
idle when the worker stops may bring one more request, which would otherwise meet a reset.
"""

import asyncio
import math
import os
import select
import sys
from fcntl import ioctl
from functools import partial
from termios import TIOCOUTQ
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from photo_api.contract import INSTANCE_HEADER, REQUEST_ID_HEADER
from photo_api.errors import ApiError, Code
from photo_api.http.admission import told_length
from photo_api.http.connections import LEFT, WHOLE, Connections, has_left
from photo_api.http.cross_origin import headers_for_unread
from photo_api.http.errors import error_response
from photo_api.http.json import UNLESS_SAID
from photo_api.http.upgrades import parser_behind
from photo_api.settings.serving import HttpSettings

LARGEST_HEAD = 64 * 1024
"""Bytes of a request's head; also of a body's trailers and chunk extensions between two pieces."""

PIECE = 4096
"""Bytes that are parsed at a time where they may be requests, so that few wait; each takes many
times its own."""

LINGER = 0.5
"""Seconds for which a connection that is idle when the worker stops is kept for one request."""

RETRY_CLOSE = 0.05

GATHERED = 0.001
"""Seconds for which the first bytes of more are kept back: handing over costs more than they do."""


class _Unfit(Exception):
    """Stops the parser, whose error then ends in `send_400_response`."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection; `protocol_class` makes the class that uvicorn is given."""

    limits: HttpSettings
    instance: str
    counted: Connections

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_head = self._in_body = False
        self._unfit = ""
        self._ahead = b""  # was sent while a request waits for the answer to another
        self._unparsed = 0  # bytes that have made neither a head nor a piece of a body yet
        self._body_left = 0  # of a body that is coming and whose head told its length
        self._deadline = math.inf
        self._counting = False  # the deadline is that of a head or a body, and more bytes keep it
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._send_timer: asyncio.TimerHandle | None = None
        self._unsent = 0

    @property
    def is_idle(self) -> bool:
        """No request is being read or answered."""
        return not (self._in_head or self._in_body or self._is_answering())

    @property
    def is_unsent(self) -> bool:
        """An answer was made to its end, and its client has not taken all of it."""
        return not self._is_answering() and self.transport.get_write_buffer_size() > 0

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = self.app_state | {LEFT: partial(has_left, transport)}
        self.counted.opened(self)
        self._limit_client()

    @property
    def peer(self) -> str:
        """The address at the other end, of a balancer perhaps."""
        return self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        self.counted.closed(self)
        if self._timer is not None:
            self._timer.cancel()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._ahead += data
        self._parse_ahead()

    def _parse_ahead(self) -> None:
        """Parse what there is until a request has to wait for the answer to another."""
        ahead, parsed = memoryview(self._ahead), 0
        while parsed < len(ahead) and not self.pipeline:
            piece = ahead[parsed : parsed + max(PIECE, self._body_left)]
            parsed = parsed + len(piece) if self._parse_piece(piece) else len(ahead)
        self._ahead = bytes(ahead[parsed:])
        if self.pipeline:
            self.flow.pause_reading()
        elif not self._is_answering():
            self._limit_client()

    def _parse_piece(self, piece: memoryview) -> bool:
        """Whether anything may follow it."""
        self._unparsed += len(piece)
        try:
            self._parse(piece)
            if self._unparsed <= LARGEST_HEAD:
                return not self.transport.is_closing()
            self._refuse(_too_large())
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        return False

    def _parse(self, data: memoryview) -> None:
        while True:
            try:
                return self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                data = data[stopped.args[0] :]
                self.parser, complete = parser_behind(self.parser, self)
                if complete:
                    self.on_message_complete()

    # What the parser calls

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        # A head behind another request in the same piece is not in the count.
        if (self._unparsed > LARGEST_HEAD or not self._unparsed) and self._head() > LARGEST_HEAD:
            raise _Unfit
        if not self._names_host():
            self._unfit = "A request of HTTP/1.1 names its host in one Host header"
            raise _Unfit
        if self.parser.get_method() == b"CONNECT":
            self._unfit = "This is no proxy"
            raise _Unfit
        super().on_headers_complete()
        self._in_head, self._in_body, self._unparsed = False, True, 0
        self._deadline, self._counting = math.inf, False
        if self.counted.stopping:
            self.cycle.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # What stands behind a body (a trailer) was not checked in front, and is no header.
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        self._body_left = (self._body_left or told_length(self.headers)) - len(body)
        if self.cycle.response_complete:
            return
        if len(body) > HIGH_WATER_LIMIT and not self.cycle.body:
            # Handed over as it is: uvicorn would copy it twice.
            self.cycle.body = body  # type: ignore[assignment]
            super().on_body(b"")
            return
        if isinstance(self.cycle.body, bytes):
            self.cycle.body = bytearray(self.cycle.body)
        if self._body_left <= 0 or len(self.cycle.body) + len(body) > HIGH_WATER_LIMIT:
            super().on_body(body)
        else:
            if not self.cycle.body:
                self.loop.call_later(GATHERED, self.cycle.message_event.set)
            self.cycle.body += body

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # the parser says so before the body
        self._in_body, self._unparsed, self._counting = False, 0, False
        self._body_left = 0
        self.scope["state"][WHOLE] = True
        super().on_message_complete()

    def _head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _names_host(self) -> bool:
        """RFC 9112, 3.2: one Host, which HTTP/1.0 may leave out."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        return hosts == 1 or (not hosts and self.parser.get_http_version() == "1.0")

    # The client's time for a request

    def _limit_client(self) -> None:
        """Nothing is being answered: whatever comes next has its time, counted from its first
        byte and not begun again by more of them."""
        if self._counting or self.transport.is_closing():
            return
        self._counting = True
        if self._in_body:  # the rest of a request that was refused before its end
            seconds = self.limits.body_timeout
        elif self._in_head or self._unparsed:
            seconds = self.limits.header_timeout
        else:
            self._counting = False
            seconds = LINGER if self.counted.stopping else self.timeout_keep_alive
        self._set_deadline(self.loop.time() + seconds)

    def _set_deadline(self, deadline: float) -> None:
        """The timer may ring too early and is then set again: that is rare, and costs less than
        uvicorn's way of setting and cancelling one with every request."""
        self._deadline = deadline
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self.loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._deadline == math.inf or self.transport.is_closing():
            return
        if self._deadline > self._timer_at:
            self._set_deadline(self._deadline)
        elif self._in_head:
            text = f"The request's head did not come within {self.limits.header_timeout:g} s"
            self._refuse(ApiError(Code.REQUEST_TIMEOUT, text))
        elif self._counting or not self._has_unread():
            self._close()
        else:  # a request has arrived and is not read yet
            self._set_deadline(self.loop.time() + RETRY_CLOSE)

    def _has_unread(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor(), select.POLLIN)
        return bool(poll.poll(0))

    def shutdown(self) -> None:
        """uvicorn calls this when the worker stops. A client that was not told `Connection: close`
        yet may have sent a request already, which gets `LINGER` to arrive, and the answer that
        tells."""
        self.counted.stopping = True
        if not self._is_answering():
            self._limit_client()
        elif not self.cycle.response_started:
            self.cycle.keep_alive = False

    # The client's time for an answer

    def on_response_complete(self) -> None:
        """In place of uvicorn's, for the one timer."""
        self.server_state.total_requests += 1
        if self.transport.get_write_buffer_size():
            self._watch_sending()
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        self._parse_ahead()
        if not self.pipeline:
            self.flow.resume_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_sending()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    def _watch_sending(self) -> None:
        """While the application waits for the client, or is done and only the client is waited
        for: some of what is unsent must go within each `send_timeout`."""
        if self._send_timer is not None:
            self._send_timer.cancel()
        self._unsent = self._count_unsent()
        size = self.transport.get_write_buffer_size()
        self.counted.waits(self, size, self.limits.max_unsent)
        self._send_timer = self.loop.call_later(self.limits.send_timeout, self._check_sending)

    def _stop_watching(self) -> None:
        self.counted.taken(self)
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _check_sending(self) -> None:
        if not self.transport.get_write_buffer_size():
            self._stop_watching()
            return
        if self._count_unsent() < self._unsent:
            self._watch_sending()
        elif self.flow.write_paused or not self._is_answering():
            self.transport.abort()

    def _count_unsent(self) -> int:
        """Bytes here and in the kernel, which takes no more from us before megabytes have gone:
        a slow client, that takes some all the time, would look like one that takes nothing."""
        queued = ioctl(self._descriptor(), TIOCOUTQ, bytes(4))
        return self.transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)

    def _descriptor(self) -> int:
        descriptor: int = self.transport.get_extra_info("socket").fileno()
        return descriptor

    def _close(self) -> None:
        """What is unsent still goes, if it goes within `send_timeout`."""
        if self.transport.get_write_buffer_size():
            self._watch_sending()
        self.transport.close()

    # What never becomes a request

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for whatever its parser or this class could not take."""
        large = self._in_head and self._head() > LARGEST_HEAD
        self._refuse(_too_large() if large else ApiError(Code.BAD_REQUEST, self._unfit or msg))

    def _refuse(self, error: ApiError) -> None:
        """Answer and close; after an earlier request's answer just close."""
        if self.transport.is_closing():
            return
        if self._is_answering():
            if not self._in_body:
                self.cycle.keep_alive = False
                return self.flow.pause_reading()
            if self.cycle.response_started or self.pipeline:
                return self._close()
        request_id = os.urandom(16).hex()
        answer = error_response(error, request_id)
        headers = [
            *self.server_state.default_headers,
            *answer.raw_headers,
            *UNLESS_SAID,
            *headers_for_unread(self.limits.cors_origins, self.headers or ()),
            (REQUEST_ID_HEADER.lower().encode(), request_id.encode()),
            (INSTANCE_HEADER.lower().encode(), self.instance.encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[answer.status_code] + lines + b"\r\n" + answer.body)
        self.counted.refused(answer.status_code)
        self._close()


def _too_large() -> ApiError:
    text = f"A request's head may have at most {LARGEST_HEAD} bytes"
    return ApiError(Code.HEADERS_TOO_LARGE, text)


def protocol_class(
    settings: HttpSettings, name: str, connections: Connections
) -> type[LimitedProtocol]:
    """The class whose instances uvicorn makes, one for each connection, with these limits; they
    count themselves in `connections`, and refuse in the `name` of the instance."""

    class Protocol(LimitedProtocol):
        limits = settings
        instance = name
        counted = connections

    return Protocol
