"""Asks the service everything once and writes down its answers, for the limit to repeat."""

import json

import httpx

from bench.load import Address
from bench.plan import PRESIGN_PATH, Answer, Confirmation, OneStatement, Plan
from bench.reads import reads
from bench.traffic import Traffic
from photo_api.photos.upload_queries import insert_pending

ADDED_BY_SERVERS = {"date", "content-length", "connection"}


async def plan_for(traffic: Traffic, address: Address) -> Plan:
    """What the limit is to serve, as the service at `address` answers now."""
    world, statements = traffic.world, {}
    for row in reads(world):
        for path, asked, (_, args) in zip(row.limit_paths, row.ours, row.asked, strict=True):
            statements[path] = OneStatement(row.query, args, await capture(address, asked))
    presigned = await capture(address, traffic.presign)
    secret = json.loads(presigned.body)["object_key"].rsplit("/", 1)[-1]
    args = traffic.pending(secret)
    statements[PRESIGN_PATH] = OneStatement(insert_pending, args, presigned, "POST")
    asked = next(traffic.confirmations(await traffic.stage(1), ours=True))
    return Plan(statements, Confirmation(world.uploader.id, await capture(address, asked)))


async def capture(address: Address, asked: bytes) -> Answer:
    """Send the very bytes of a request by another client, and take the answer apart."""
    head, _, body = asked.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    method, target, _ = line.split(" ")
    headers = dict(item.split(": ", 1) for item in fields)
    url = f"http://{address.host}:{address.port}{target}"
    async with httpx.AsyncClient() as client:
        got = await client.request(method, url, headers=headers, content=body or None)
    if got.status_code >= 400:
        raise RuntimeError(f"{line}: {got.status_code} {got.text}")
    kept = {name: value for name, value in got.headers.items() if name not in ADDED_BY_SERVERS}
    return Answer(got.status_code, kept, got.content)
