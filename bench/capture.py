"""Asks the service everything once and writes down its answers, for the limit to repeat."""

import json

import httpx

from bench.load import Address
from bench.plan import PRESIGN_PATH, Answer, Confirmation, OneStatement, Plan
from bench.reads import Read, reads
from bench.traffic import Traffic
from photo_api.photos.upload_queries import insert_pending

ADDED_BY_SERVERS = {"date", "content-length", "connection"}


async def plan_for(traffic: Traffic, address: Address) -> Plan:
    """What the limit is to serve, as the service at `address` answers now."""
    world = traffic.world
    statements: dict[str, OneStatement] = {}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        for read in reads(world):
            statements |= await _statements(client, address, read)
        presigned = await capture(client, address, traffic.presign)
        secret = json.loads(presigned.body)["object_key"].rsplit("/", 1)[-1]
        statements[PRESIGN_PATH] = OneStatement(insert_pending, traffic.pending(secret), presigned)
        asked = next(traffic.confirmations(await traffic.stage(1), ours=True))
        confirmed = await capture(client, address, asked)
    return Plan(statements, Confirmation(world.uploader.id, confirmed))


async def _statements(
    client: httpx.AsyncClient, address: Address, read: Read
) -> dict[str, OneStatement]:
    found: dict[str, OneStatement] = {}
    answer: Answer | None = None
    for path, request, asked in zip(read.limit_paths, read.ours, read.asked, strict=True):
        if answer is None or not read.alike:
            answer = await capture(client, address, request)
        found[path] = OneStatement(read.query, asked.args, answer)
    return found


async def capture(client: httpx.AsyncClient, address: Address, asked: bytes) -> Answer:
    """Send the very bytes of a request by another client, and take the answer apart."""
    head, _, body = asked.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    method, target, _ = line.split(" ")
    headers = dict(item.split(": ", 1) for item in fields)
    url = f"http://{address.host}:{address.port}{target}"
    got = await client.request(method, url, headers=headers, content=body or None)
    if got.status_code >= 400:
        raise RuntimeError(f"{line}: {got.status_code} {got.text}")
    kept = {name: value for name, value in got.headers.items() if name not in ADDED_BY_SERVERS}
    return Answer(got.status_code, kept, got.content)
