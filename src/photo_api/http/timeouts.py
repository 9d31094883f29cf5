"""The time that a request's body has. A head's and an answer's are `lifecycle.protocol`'s, which
puts this around the application."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyTimeout:
    """Each piece of a request's body must come within `seconds` of being waited for, or the answer
    is 408 and the connection closes. However long a body takes that keeps coming is no matter."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ended = False

        async def receive_in_time() -> Message:
            nonlocal ended
            if ended:  # the wait for a disconnect lasts as long as the answer
                return await receive()
            try:
                async with asyncio.timeout(self.seconds):
                    message = await receive()
            except TimeoutError:
                # Not an ApiError: FastAPI, reading JSON, lets only its own exception pass.
                text = f"Nothing more of the body came for {self.seconds:g} s"
                raise HTTPException(408, text, {"Connection": "close"}) from None
            ended = not message.get("more_body", False)
            return message

        await self.app(scope, receive_in_time, send)
