"""An answer on its way out, and what it has come to."""

from collections.abc import Callable

from starlette.types import Message, Scope, Send

from photo_api.http.errors import CLIENT_GONE

Pairs = list[tuple[bytes, bytes]]


class Answer:
    """What everyone around the routes has to know of a request's answer, told by the one place
    through which its messages pass (`scope["state"]["answer"]`): each layer that looked at them for
    itself would be called with every one of them. `sent` is in bytes of the body. Of an answer
    that `varies` by its Origin, the headers say so."""

    __slots__ = (
        "_completed",
        "_send",
        "at_start",
        "complete",
        "sent",
        "started",
        "status",
        "varies",
    )

    def __init__(self, send: Send, completed: Callable[["Answer", Message], Pairs]) -> None:
        """`completed` gives the headers of an answer whose first message this is."""
        self._send = send
        self._completed = completed
        self.status = CLIENT_GONE
        self.sent = 0
        self.started = self.complete = self.varies = False
        self.at_start: Callable[[], None] | None = None

    async def send(self, message: Message) -> None:
        """To the client."""
        kind, last = message["type"], False
        if kind == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._completed(self, message)
            self.started = True
            self.start()
        elif kind == "http.response.body":
            self.sent += len(message.get("body", b""))
            last = not message.get("more_body", False)
        await self._send(message)
        self.complete = self.complete or last

    def start(self) -> None:
        """Call `at_start`, once: from here on the request waits for its client alone."""
        if (at_start := self.at_start) is not None:
            self.at_start = None
            at_start()


def answer_of(scope: Scope) -> Answer:
    """That of this request."""
    answer: Answer = scope["state"]["answer"]
    return answer
