"""A TCP relay from a public address to a loopback port.

SeaweedFS stays on loopback with all its parts, and only its S3 port is reached
from outside. Bytes pass unchanged, so that the Host that a URL's signature covers stays as it was.
"""

import asyncio
from contextlib import suppress

from photo_base.listener import CHUNK, LOOPBACK, Listener


class Relay(Listener):
    """Accepts on (host, port) and passes everything on to 127.0.0.1:`target_port`."""

    def __init__(self, host: str, port: int, target_port: int) -> None:
        super().__init__(port, host)
        self._target_port = target_port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                inner_reader, inner_writer = await asyncio.open_connection(
                    LOOPBACK, self._target_port, limit=CHUNK
                )
                try:
                    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
                finally:
                    inner_writer.close()
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()
