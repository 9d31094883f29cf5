"""Another server that speaks the contract, to be measured in the same turns: what it is filled
with, over HTTP as any client would, and what it is asked.

It keeps what was put into it: give it a database that may go.
"""

import asyncio
import io
import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx
from PIL import Image

from bench.compare import Side, progress
from bench.load import Address, Load, drive, request
from bench.processes import Processes, listening
from bench.reads import WHOLE
from bench.traffic import Traffic, presign_request, upload_form
from bench.world import LINKS, SHOWN, Api, Person, Sizes

UPLOADS_AT_ONCE = 8
PICTURE_SIZE = 64
PHOTOS = "/api/photos/"


@dataclass(frozen=True, slots=True)
class Base:
    """Where it is: `http://host:port`, and its processes if somebody has told them."""

    url: str
    pids: Sequence[int] = ()

    def processes(self) -> Processes | None:
        """Those that are told, or else those that listen there, if that is on this machine."""
        address = Address.of(self.url)
        pids = self.pids or listening(address.host, address.port)
        return Processes(pids) if pids else None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a row asks in turn, and the status of its answer."""

    requests: Sequence[bytes]
    status: int = 200


@dataclass(frozen=True, slots=True)
class Other:
    """The server, filled. `rows` are those that it takes part in, `processes` are known where it
    runs on this machine."""

    address: Address
    processes: Processes | None
    rows: Mapping[str, Asked]
    uploader: Person
    target_id: int

    def busy(self, name: str, connections: int, seconds: float) -> list[Side]:
        """Its side of this row, if it has one."""
        asked = self.rows.get(name)
        if asked is None:
            return []

        async def work() -> Load:
            requests = itertools.cycle(asked.requests)
            return await drive(
                self.address,
                requests,
                connections=connections,
                expect=asked.status,
                seconds=seconds,
            )

        return [Side(work, self.processes, optional=True)]

    def uploads(self, traffic: Traffic, number: int, megabytes: int, at_once: int) -> Side:
        """The very file that we are sent."""
        form = upload_form(traffic.file(megabytes), self.target_id, self.uploader.token)

        async def work() -> Load:
            requests = itertools.repeat(form, number)
            return await drive(self.address, requests, connections=at_once, expect=201)

        return Side(work, self.processes, optional=True)


async def fill(base: Base, sizes: Sizes) -> Other:
    """Open accounts with names that it has not had before, and upload small pictures."""
    address, processes = Address.of(base.url), base.processes()
    progress(f"filling the other server, {base.url}: {sizes.few + sizes.of_other} photos")
    if processes is None:
        progress("its processes are not known here: no figure of its CPU (--pid names them)")
    api = Api(address)
    try:
        run = secrets.token_hex(4)
        few, many, uploader = [
            await api.person(f"{name}-{run}") for name in ("few", "many", "uploader")
        ]
        of_few, target_id = await api.album(few), await api.album(uploader)
        whole_id, album_id = await api.album(many), await api.album(many)
        shown = (await _upload(address, few, of_few, sizes.few))[0]
        photo_ids = await _upload(address, many, whole_id, sizes.of_other)
        await api.add(many, album_id, photo_ids[:SHOWN])
        links = [await api.share(many, album_id) for _ in range(LINKS)]
        pages = await _pages(api, many, whole_id)
    finally:
        await api.aclose()
    image = request("GET", f"/api/photos/{shown}/image", token=few.token)
    rows = {
        "photo-list-20": Asked([request("GET", PHOTOS, token=few.token)]),
        "photo-list-10000": Asked([request("GET", PHOTOS, token=many.token)]),
        "album-page": Asked(
            [request("GET", f"/api/albums/{album_id}?limit={SHOWN}", token=many.token)]
        ),
        "share-view": Asked([request("GET", f"/api/share/{link}?limit={SHOWN}") for link in links]),
        "image-redirect": Asked([image], await _status(address, image)),
        "presign": Asked([presign_request(f"{PHOTOS}presigned-url", target_id, uploader.token)]),
        WHOLE: Asked([request("GET", page, token=many.token) for page in pages]),
    }
    return Other(address, processes, rows, uploader, target_id)


async def _upload(address: Address, who: Person, album_id: int, number: int) -> list[int]:
    """The ids of so many photos, each of other bytes."""
    numbers, ids = iter(range(number)), []
    url = f"http://{address.host}:{address.port}{PHOTOS}"
    headers = {"Authorization": f"Bearer {who.token}"}

    async def lane(client: httpx.AsyncClient) -> None:
        for _ in numbers:
            form = {"file": ("IMG_0042.jpg", _picture(), "image/jpeg")}
            data = {"album_id": str(album_id)}
            answer = await client.post(url, headers=headers, files=form, data=data)
            ids.append(answer.raise_for_status().json()["id"])

    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        asyncio.TaskGroup() as lanes,
    ):
        for _ in range(UPLOADS_AT_ONCE):
            lanes.create_task(lane(client))
    return ids


def _picture() -> bytes:
    out = io.BytesIO()
    colour = tuple(secrets.token_bytes(3))
    Image.new("RGB", (PICTURE_SIZE, PICTURE_SIZE), colour).save(
        out, "JPEG", comment=secrets.token_hex(8)
    )
    return out.getvalue()


async def _pages(api: Api, owner: Person, album_id: int) -> list[str]:
    """The targets that all of an album's photos take: one, or as many as `next` leads to."""
    path = f"/albums/{album_id}"
    targets = [f"/api{path}"]
    while following := (await api.get(targets[-1].removeprefix("/api"), owner)).get("next"):
        targets.append(f"/api{path}?cursor={following}")
    return targets


async def _status(address: Address, asked: bytes) -> int:
    """What an image is answered with: a redirect of some kind, or its bytes."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(asked)
        line = await asyncio.wait_for(reader.readline(), 10)
    finally:
        writer.close()
    return int(line.split()[1])
