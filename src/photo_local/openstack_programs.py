"""Where Swift's and Keystone's programs are; they are installed when they are first wanted."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

from photo_base.processes import CannotStart

_SCRIPT = Path(__file__).parents[2] / "scripts/openstack-packages"


async def programs(*besides: str) -> Path:
    """The folder of `swift-proxy-server` and of the `python` that has Keystone; with `heat`, of one
    that has Heat besides. The first call on a machine takes a minute, and says so. Raises
    `CannotStart`."""
    if not _SCRIPT.exists():
        raise CannotStart(
            "Swift and Keystone are started from a source tree of Photo API only: its"
            " scripts/openstack-packages installs them"
        )
    environ = os.environ | {"PYTHON": sys.executable}
    process = await asyncio.create_subprocess_exec(
        _SCRIPT, *besides, env=environ, stdout=PIPE, start_new_session=True
    )
    try:
        printed, _ = await process.communicate()
    finally:
        # Asked to end, we leave no pip behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, SIGKILL)
    if process.returncode:
        raise CannotStart("Swift and Keystone cannot be installed: see above")
    return Path(printed.decode().strip())
