"""Names looked up by threads that nobody waits for.

asyncio looks names up in a pool of few threads, which it waits for at its end: a name server that
does not answer would hold up whoever else looks something up, and the end of the process.
"""

import asyncio
import socket
import threading
from contextlib import suppress

MOST_HANGING = 8
NAME = "name-lookup"


async def addresses_of(host: str, port: int) -> list[str]:
    """The IP addresses of a name, in the order to try them. Raises OSError, also while
    `MOST_HANGING` look-ups of this process hang."""
    if sum(thread.name == NAME for thread in threading.enumerate()) >= MOST_HANGING:
        raise OSError("too many look-ups of names hang")
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str] | OSError] = loop.create_future()

    def tell(result: list[str] | OSError) -> None:
        if not found.done():
            found.set_result(result)

    def look_up() -> None:
        result: list[str] | OSError
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            result = list(dict.fromkeys(str(address[0]) for *_, address in entries))
        except (OSError, UnicodeError) as error:
            result = error if isinstance(error, OSError) else OSError(str(error))
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, result)

    threading.Thread(target=look_up, name=NAME, daemon=True).start()
    result = await found
    if isinstance(result, OSError):
        raise result
    return result
