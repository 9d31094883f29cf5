"""What the decoder and its child say to each other: lengths first, then bytes.

A request is the original's length and its bytes. An answer is three lengths, a JSON head and the
two renditions (both empty in a refusal).
"""

import asyncio
import struct
from dataclasses import dataclass

REQUEST = struct.Struct("!Q")
ANSWER = struct.Struct("!III")

# The exit status by which the child says that it met its memory limit.
OUT_OF_MEMORY = 71

_MAX_PART = 64 << 20
_CHUNK = 1 << 20


class ProtocolError(Exception):
    """The child's answer makes no sense: it is no longer the program that was started."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`head` is JSON."""

    head: bytes
    thumbnail: bytes
    preview: bytes


async def send_request(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Raises OSError if the child is gone."""
    writer.write(REQUEST.pack(len(data)))
    view = memoryview(data)
    for start in range(0, len(data), _CHUNK):
        writer.write(view[start : start + _CHUNK])
        await writer.drain()


async def receive_answer(reader: asyncio.StreamReader) -> Answer:
    """Raises EOFError if the child ends, `ProtocolError` if it claims more than it may send."""
    lengths = ANSWER.unpack(await reader.readexactly(ANSWER.size))
    if max(lengths) > _MAX_PART:
        raise ProtocolError(f"an answer of {sum(lengths)} bytes")
    head, thumbnail, preview = [await reader.readexactly(length) for length in lengths]
    return Answer(head, thumbnail, preview)
