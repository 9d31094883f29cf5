"""The socket by which `photo-api drain` reaches the instances of its own machine.

Each supervisor listens at `PID.sock` in the run directory, which belongs to its user alone. One
request is one line of JSON, `{"do": "drain", "cause": …}` or `{"do": "status"}`; the answer is one
line, the instance's status. The connection stays open until the instance has ended.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

LONGEST_REQUEST = 4096
LONGEST_CAUSE = 200


class RunDirectoryError(Exception):
    """The run directory cannot be used; the text says why and what to do."""


def run_directories(configured: str, environ: Mapping[str, str]) -> list[Path]:
    """Where an instance may have its socket, the most particular first. The first that is set is
    where a new one goes. A configured one is the only one."""
    if configured:
        return [Path(configured)]
    own = f"/tmp/photo-api-{os.getuid()}"  # noqa: S108  (made 0700, and refused if another's)
    system = "/run/photo-api" if os.getuid() == 0 else ""
    user = environ.get("XDG_RUNTIME_DIR", "")
    candidates = [
        environ.get("RUNTIME_DIRECTORY", "").split(":")[0],
        system,
        f"{user}/photo-api" if user else "",
        own,
    ]
    return [Path(candidate) for candidate in candidates if candidate]


def prepare(directory: Path) -> Path:
    """Make it for our user alone. Raises `RunDirectoryError` when it cannot be, or is another's."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise RunDirectoryError(
            f"{directory}: {error.strerror}; set PHOTO_API_RUN_DIR to a folder that may be written"
        ) from None
    if found.st_uid != os.getuid() or not directory.is_dir() or directory.is_symlink():
        raise RunDirectoryError(f"{directory} is not ours; set PHOTO_API_RUN_DIR to another folder")
    return directory


@asynccontextmanager
async def control_socket(
    directory: Path, status: Callable[[], Mapping[str, object]], drain: Callable[[str], None]
) -> AsyncIterator[Path]:
    """Answer for as long as this is open. Raises `RunDirectoryError`."""
    path = prepare(directory) / f"{os.getpid()}.sock"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, asyncio.IncompleteReadError):
            request = json.loads(await reader.readline())
            if request.get("do") == "drain":
                drain(str(request.get("cause") or "photo-api drain")[:LONGEST_CAUSE])
            writer.write(json.dumps(dict(status())).encode() + b"\n")
            await writer.drain()
            await reader.read()  # the caller waits with us for our end
        writer.close()

    try:
        path.unlink(missing_ok=True)  # of a dead process that had our number
        server = await asyncio.start_unix_server(answer, path, limit=LONGEST_REQUEST)
        path.chmod(0o600)
    except OSError as error:
        raise RunDirectoryError(f"{path}: {error}; set PHOTO_API_RUN_DIR") from None
    try:
        yield path
    finally:
        server.close()
        with suppress(OSError):  # a disk that is read-only by now: nobody answers there
            path.unlink(missing_ok=True)


async def ask(
    path: Path, request: Mapping[str, str]
) -> tuple[dict[str, Any], asyncio.StreamReader]:
    """(its status, a reader that ends when the instance does). Raises OSError or ValueError when
    no instance answers there."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(json.dumps(dict(request)).encode() + b"\n")
    await writer.drain()
    return json.loads(await reader.readline()), reader
