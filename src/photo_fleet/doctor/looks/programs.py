"""What programs of this host print, bounded in time and bytes."""

import asyncio
from contextlib import suppress

PATIENCE, LONGEST_OUTPUT = 5.0, 1_000_000


async def printed(*command: str) -> str | None:
    """Its standard output, the first `LONGEST_OUTPUT` bytes; None when it is not there, or does not
    end within `PATIENCE` seconds."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    assert process.stdout is not None
    output = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            while len(output) < LONGEST_OUTPUT and (piece := await process.stdout.read(65_536)):
                output += piece
    except TimeoutError:
        return None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return output.decode(errors="replace")
