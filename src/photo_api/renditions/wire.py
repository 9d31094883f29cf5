"""What the decoder and its child say to each other: lengths first, then bytes.

A request is what to make (`Wanted`), the original's length and its bytes. An answer is three
lengths, a JSON head and two files: thumbnail and preview, or the display rendition and nothing
(both empty in a refusal, and for facts).
"""

import asyncio
import struct
from enum import IntEnum

REQUEST = struct.Struct("!BQ")
ANSWER = struct.Struct("!III")

# The exit status by which the child says that it met its memory limit.
OUT_OF_MEMORY = 71

MAX_HEAD = 64 << 10
"""Bytes; what is told of a photo takes a few hundred."""
_MAX_PART = 64 << 20
_CHUNK = 1 << 20


class Wanted(IntEnum):
    """Thumbnail and preview, the display rendition, or what a file tells undecoded."""

    RENDITIONS = 0
    DISPLAY = 1
    FACTS = 2


class Refused(Exception):
    """The file is at fault and another attempt is useless; the text is a sentence for the user.

    `reason` is not_an_image, too_many_pixels, truncated, corrupt or unsupported.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class ProtocolError(Exception):
    """The child's answer makes no sense: it is no longer the program that was started."""


async def send_request(writer: asyncio.StreamWriter, wanted: Wanted, data: bytes) -> None:
    """Raises OSError if the child is gone."""
    writer.write(REQUEST.pack(wanted, len(data)))
    view = memoryview(data)
    for start in range(0, len(data), _CHUNK):
        writer.write(view[start : start + _CHUNK])
        await writer.drain()


async def receive_answer(reader: asyncio.StreamReader, original: int) -> list[bytes]:
    """Head and files of the answer about an original of so many bytes. Raises EOFError if the child
    ends, `ProtocolError` if it claims more than it may send."""
    lengths = ANSWER.unpack(await reader.readexactly(ANSWER.size))
    if lengths[0] > MAX_HEAD or max(lengths) > max(_MAX_PART, original):
        raise ProtocolError(f"an answer of {sum(lengths)} bytes")
    return [await reader.readexactly(length) for length in lengths]
