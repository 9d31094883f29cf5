"""`photo-api drain`: drain an instance of this machine as SIGTERM would, and wait for its end."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from photo_api.supervisor.control_socket import ask, run_directories

ANSWER_WITHIN = 5.0


async def drain_command(
    environ: Mapping[str, str], *, pid: int | None, cause: str, wait: float, as_json: bool
) -> int:
    """The exit code: 0 drained (or, with `wait` 0, told to), 1 not within `wait` seconds, 2 no
    instance that answers, or several of which none was named."""
    found = await _instances(environ)
    chosen = [item for item in found if pid is None or item[1]["pid"] == pid]
    if len(chosen) != 1:
        _complain(found, pid)
        return 2
    path, before = chosen[0]
    _say(as_json, f"Draining {before['instance']} (process {before['pid']}): {cause}", before)
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            status, end = await ask(path, {"do": "drain", "cause": cause})
    except TimeoutError:
        silent = "It does not answer, and drains as soon as it reads this"
        _say(as_json, silent, {**before, "ended": False})
        return 1
    except (OSError, ValueError):
        print("It did not answer; see whether it still runs", file=sys.stderr)
        return 2
    if wait <= 0:
        _say(as_json, "It drains; not waiting for its end.", status)
        return 0
    try:
        async with asyncio.timeout(wait):
            while await end.read(1024):
                pass
    except TimeoutError:
        _say(as_json, f"It still runs after {wait:g} s.", {**status, "ended": False})
        return 1
    _say(as_json, "It has ended.", {**status, "state": "stopped", "ended": True})
    return 0


async def _instances(environ: Mapping[str, str]) -> list[tuple[Path, dict[str, Any]]]:
    found = []
    configured = environ.get("PHOTO_API_RUN_DIR", "")
    for directory in run_directories(configured, environ):
        for path in sorted(directory.glob("*.sock")):
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    status, _ = await ask(path, {"do": "status"})
            except TimeoutError:  # it is there, but stands still
                number = int(path.stem) if path.stem.isdecimal() else 0
                status = {"pid": number, "instance": "?", "port": "?", "state": "no answer"}
            except (OSError, ValueError):
                continue  # left behind by a process that was killed, or another user's
            found.append((path, status))
    return found


def _complain(found: list[tuple[Path, dict[str, Any]]], pid: int | None) -> None:
    if not found:
        text = "No instance answers on this machine; is PHOTO_API_RUN_DIR the one it runs with?"
    else:
        text = "Name one of these by --pid:" if pid is None else f"None of these is {pid}:"
        text += "".join(
            f"\n  {status['pid']}  {status['instance']}:{status['port']}  {status['state']}"
            for _, status in found
        )
    print(text, file=sys.stderr)


def _say(as_json: bool, text: str, status: Mapping[str, Any]) -> None:
    print(json.dumps(dict(status)) if as_json else text, flush=True)
