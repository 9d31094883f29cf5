"""A worker's connections, and what of them waits for its client."""

import asyncio
import select
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photo_api.http.protocol import LimitedProtocol


LEFT = "client_left"
"""In a request's state: whether its client has closed the connection."""

WHOLE = "body_is_whole"
"""In a request's state, once all of its body has come: nothing of it is waited for any more."""


def has_left(transport: asyncio.Transport) -> bool:
    """Whether the other end is closed, which a connection that is not read from does not say."""
    if transport.is_closing():
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))


class Connections:
    """A worker's connections, counted. `last_accepted` is when the newest came, on the monotonic
    clock, or before the first when the worker began; `stopping` makes every answer the last on its
    connection and closes idle ones after a moment."""

    def __init__(self) -> None:
        self.accepted = 0
        self.last_accepted = time.monotonic()
        self.stopping = False
        self.refused: Callable[[int], None] = lambda _: None
        """Told the status of each answer to what never became a request."""
        self._open: set[LimitedProtocol] = set()
        self._unsent: dict[LimitedProtocol, int] = {}
        """Connections whose clients have not taken an answer, the longest first, and its bytes."""

    def opened(self, connection: "LimitedProtocol") -> None:
        self.accepted += 1
        self.last_accepted = time.monotonic()
        self._open.add(connection)

    def closed(self, connection: "LimitedProtocol") -> None:
        self._open.discard(connection)

    def waits(self, connection: "LimitedProtocol", size: int, most: int) -> None:
        """A client has not taken `size` bytes yet. While all of them are more than `most`, the
        address that holds the most loses the connection that has waited longest."""
        self._unsent[connection] = size
        if sum(self._unsent.values()) <= most:
            return
        # Most clients take the end of an answer soon, without a call to this protocol.
        now = {one: one.transport.get_write_buffer_size() for one in self._unsent}
        self._unsent = {one: unsent for one, unsent in now.items() if unsent}
        held: Counter[str] = Counter()
        for one, unsent in self._unsent.items():
            held[one.peer] += unsent
        while held.total() > most:
            [(heaviest, _)] = held.most_common(1)
            oldest = next(one for one in self._unsent if one.peer == heaviest)
            held[heaviest] -= self._unsent.pop(oldest)
            oldest.transport.abort()

    def taken(self, connection: "LimitedProtocol") -> None:
        """Its client has taken everything, or is gone."""
        self._unsent.pop(connection, None)

    @property
    def unsent(self) -> int:
        """Open ones that still hold bytes of an answer that was made to its end; counted when
        asked."""
        return sum(connection.is_unsent for connection in self._open)

    @property
    def idle(self) -> int:
        """Open ones on which no request is being read or answered; counted when asked."""
        return sum(connection.is_idle for connection in self._open)
