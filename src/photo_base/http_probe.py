"""A bare HTTP/1.0 request over a connection of its own, asked without any library, so that a
listener that is gone is told apart from one that hangs and from one that answers badly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from errno import ETIMEDOUT


class Unreachable(OSError):
    """No connection came about, and nobody refused it either."""


@asynccontextmanager
async def get(
    host: str, port: int, path: str, timeout: float
) -> AsyncIterator[asyncio.StreamReader]:
    """What is answered, from its status line on; `timeout` seconds cover all from the connection
    to the end of the block. Raises `ConnectionRefusedError` where nobody listens, `Unreachable`
    when nothing is known of a listener; after that `TimeoutError` and any other OSError are of one
    that took the connection."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port)
            place = f"[{host}]" if ":" in host else host
            request = f"GET {path} HTTP/1.0\r\nHost: {place}:{port}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            yield reader
    except OSError as error:  # of which TimeoutError is one
        if writer is not None or isinstance(error, ConnectionRefusedError):
            raise
        number = error.errno or ETIMEDOUT
        reason = error.strerror or f"no answer within {timeout:g} s"
        raise Unreachable(number, reason) from error
    finally:
        if writer is not None:
            # Not waited for: what is left of this connection must not hold up the next probe.
            writer.transport.abort()
