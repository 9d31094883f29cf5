"""One look at one instance: a bare HTTP/1.0 request over a connection of its own, so that a
listener that is gone is told apart from one that answers badly."""

import asyncio
import json

from photo_fleet.balancer.membership import Outcome, Probe

LARGEST_ANSWER = 65_536


async def probe(address: str, path: str, timeout: float) -> Probe:
    """Ask `http://address/path`; `timeout` seconds cover everything from the connection to the
    body's end."""
    try:
        async with asyncio.timeout(timeout):
            return judge(await _ask(address, path))
    except TimeoutError:
        return Probe(Outcome.FAILED, f"no answer within {timeout:g} s")
    except ConnectionRefusedError:
        return Probe(Outcome.REFUSED, "connection refused")
    except OSError as error:
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


async def _ask(address: str, path: str) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        request = f"GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        answer = b""
        while len(answer) < LARGEST_ANSWER:
            piece = await reader.read(LARGEST_ANSWER - len(answer))
            if not piece:
                break
            answer += piece
        return answer
    finally:
        # Not waited for: what is left of this connection must not hold up the next probe.
        writer.transport.abort()


def _status(body: bytes) -> str:
    """The `status` of the contract's health body, "" when there is none."""
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    status = told.get("status") if isinstance(told, dict) else None
    return status if status in ("healthy", "unhealthy", "starting", "draining") else ""
