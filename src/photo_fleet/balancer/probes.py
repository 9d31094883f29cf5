"""One look at one instance, and what its answer says."""

import asyncio
import json

from photo_base import http_probe
from photo_fleet.balancer.membership import Outcome, Probe

LARGEST_ANSWER = 65_536


async def probe(address: str, path: str, timeout: float) -> Probe:
    """Ask `http://address/path`; `timeout` seconds cover everything from the connection to the
    body's end."""
    try:
        return judge(await ask(address, path, timeout))
    except OSError as error:
        return failed(error, timeout)


async def ask(address: str, path: str, timeout: float) -> bytes:
    """The same: all that is answered, its head too. Raises what `http_probe.get` does."""
    host, _, port = address.rpartition(":")
    async with http_probe.get(host.strip("[]"), int(port), path, timeout) as answer:
        return await _whole(answer)


def failed(error: OSError, timeout: float) -> Probe:
    """What it means that nothing was answered within `timeout`."""
    if isinstance(error, ConnectionRefusedError):
        return Probe(Outcome.REFUSED, "connection refused")
    if isinstance(error, TimeoutError):
        return Probe(Outcome.FAILED, f"no answer within {timeout:g} s")
    return Probe(Outcome.FAILED, error.strerror or type(error).__name__)


def judge(answer: bytes) -> Probe:
    """What this answer says: 200 is healthy, and a drain is known by the body's `status`."""
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        return Probe(Outcome.FAILED, "closed without an answer" if not answer else "not HTTP")
    code, status = int(words[1]), _status(body)
    if status == "draining":
        return Probe(Outcome.DRAINING, "draining")
    detail = f"{code} {status}".rstrip()
    return Probe(Outcome.HEALTHY if code == 200 else Outcome.FAILED, detail)


async def _whole(answer: asyncio.StreamReader) -> bytes:
    found = b""
    while len(found) < LARGEST_ANSWER and (piece := await answer.read(LARGEST_ANSWER - len(found))):
        found += piece
    return found


def _status(body: bytes) -> str:
    """The `status` of the contract's health body, "" when there is none."""
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    status = told.get("status") if isinstance(told, dict) else None
    return status if status in ("healthy", "unhealthy", "starting", "draining") else ""
