"""What a program of this host says, within bounds."""

import asyncio
from contextlib import suppress

PATIENCE, LONGEST = 5.0, 100_000


async def said(*command: str) -> bytes:
    """Its output and errors, the first `LONGEST` bytes; b"" when it is not there, or not through
    within `PATIENCE` seconds."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError:
        return b""
    assert process.stdout
    told = b""
    try:
        async with asyncio.timeout(PATIENCE):
            while len(told) < LONGEST and (piece := await process.stdout.read(LONGEST)):
                told += piece
            await process.wait()
    except TimeoutError:
        return b""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return told[:LONGEST]
