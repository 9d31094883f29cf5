"""The edge on a real nginx, before a real store that is reached through a relay which counts."""

import asyncio
import base64
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx

from photo_api.cloud.sigv4 import Credentials, presign
from photo_api.delivery.swift import signature
from photo_api.storage.bucket import Bucket
from photo_fleet.render.edge_keys import key_map
from photo_fleet.render.places import Places
from photo_fleet.spec.edge import Edge
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.fleet import Service as ServiceSpec
from photo_fleet.spec.store import Store, Swift
from tests.openstack.account import PHOTOS_KEY
from tests.photo_fleet.nginx_stage import (
    Backend,
    Backends,
    Front,
    Received,
    backends,
    running_front,
    short_folder,
    spec,
)
from tests.service import free_port

KEYS = {"k2": "5f3c1a7be90d44c286e1" * 2, "k1": "0a1b2c3d4e5f60718293" * 2}
"""As the edge has them; `k2` is the newer one."""

LONG_AGO = 300


@dataclass(frozen=True)
class Place:
    """Where objects are: the server's own address, and the path of a key there."""

    endpoint: str
    inside: str
    credentials: Credentials | None = None
    region: str = ""

    def query(self, host: str, key: str, life: int = 600) -> str:
        """The store's signature of a GET, for this name of the store."""
        path = f"{self.inside}/{key}"
        if self.credentials is None:
            expires = int(time.time()) + life
            made = signature("GET", expires, path, PHOTOS_KEY)
            return f"temp_url_sig={made}&temp_url_expires={expires}"
        return self._presigned("GET", f"http://{host}{path}", life).partition("?")[2]

    def put(self, key: str, data: bytes, content_type: str) -> None:
        url = f"{self.endpoint}{self.inside}/{key}"
        headers = {"Content-Type": content_type}
        if self.credentials is None:
            expires = int(time.time()) + 600
            made = signature("PUT", expires, f"{self.inside}/{key}", PHOTOS_KEY)
            url += f"?temp_url_sig={made}&temp_url_expires={expires}"
        else:
            url = self._presigned("PUT", url, 600)
        httpx.put(url, content=data, headers=headers).raise_for_status()

    def delete(self, key: str) -> None:
        assert self.credentials is not None
        url = self._presigned("DELETE", f"{self.endpoint}{self.inside}/{key}", 600)
        httpx.delete(url).raise_for_status()

    def _presigned(self, method: str, url: str, life: int) -> str:
        assert self.credentials is not None
        # Signed as of earlier, so that no two are alike and none is of the future.
        age = int.from_bytes(uuid4().bytes[:2]) % LONG_AGO
        return presign(
            method,
            url,
            credentials=self.credentials,
            region=self.region,
            now=time.time() - age,
            expires_in=life + age,
        )


def in_bucket(bucket: Bucket) -> Place:
    return Place(bucket.endpoint, f"/{bucket.name}", bucket.credentials.current(), bucket.region)


@dataclass
class Relay:
    """In front of the store: counts what it is asked, answers in its place, or takes its time."""

    place: Place
    delay: float = 0.0
    status: int = 0
    """Other than 0: the answer to everything."""
    more: dict[str, str] = field(default_factory=dict)
    """Headers of every answer besides those of the store."""

    async def __call__(
        self, backend: Backend, request: Received, writer: asyncio.StreamWriter
    ) -> None:
        await asyncio.sleep(self.delay)
        if self.status:
            told = b"<Error>of the store</Error>"
            head = f"HTTP/1.1 {self.status} Fault\r\nContent-Length: {len(told)}\r\n\r\n"
            writer.write(head.encode() + told)
            return await writer.drain()
        async with httpx.AsyncClient(base_url=self.place.endpoint, timeout=30) as store:
            found = await store.request(request.method, request.target, headers=request.headers)
        dropped = {"transfer-encoding", "connection", "content-length"}
        kept = {n: v for n, v in found.headers.items() if n not in dropped} | self.more
        kept["Content-Length"] = str(len(found.content))
        lines = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
        writer.write(f"HTTP/1.1 {found.status_code} Told\r\n{lines}\r\n".encode("latin-1"))
        writer.write(b"" if request.method == "HEAD" else found.content)
        await writer.drain()


@dataclass
class EdgeStage:
    """A front whose edge is on, and the relay behind it."""

    front: Front
    place: Place
    relay: Relay
    server: Backend
    servers: Backends
    http: httpx.Client
    """Of a browser: it keeps its connections."""

    @property
    def fetched(self) -> int:
        """Requests that came to the store."""
        return len(self.server.requests)

    @property
    def host(self) -> str:
        return self.server.address

    def object(self, size: int = 3000, content_type: str = "image/webp") -> tuple[str, bytes]:
        """A new one: its key, and its bytes, which differ at each place."""
        key = f"photos/1/42/{uuid4().hex}.webp"
        data = hashlib.shake_128(key.encode()).digest(size)
        self.place.put(key, data, content_type)
        return key, data

    def url(
        self,
        key: str,
        *,
        life: int = 600,
        kid: str = "k2",
        secret: str | None = None,
        name: str = "a photo.webp",
        query: str | None = None,
    ) -> str:
        """As the service signs it."""
        expires = int(time.time()) + life
        path, shown = f"/cdn/{key}", quote(name, safe="")
        known = KEYS.get(kid, "") if secret is None else secret
        stores = self.place.query(self.host, key) if query is None else query
        made = secure_link(f"{expires}{path} {shown} {stores} {known}")
        return (
            f"{self.front.url}{path}?expires={expires}&kid={kid}&md5={made}"
            f"&filename={shown}&{stores}"
        )

    def reload(self) -> None:
        self.front.process.send_signal(1)

    def stop_store(self) -> None:
        """Connections are refused, and those that are there are cut."""
        self.servers.stop_listening(self.server)
        self.server.behaviour = _cut

    def start_store(self) -> None:
        self.servers.listen_again(self.server)
        self.server.behaviour = self.relay


async def _cut(backend: Backend, request: Received, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def secure_link(text: str) -> str:
    made = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def write_keys(places: Places, keys: dict[str, str]) -> None:
    path = Path(places.edge_keys)
    path.parent.mkdir(exist_ok=True)
    path.write_text(key_map(",".join(f"{kid}:{secret}" for kid, secret in keys.items())))


def edge_spec(place: Place, address: str, edge: Edge, **balancer: Any) -> Fleet:
    """A fleet whose store is at this address of a relay."""
    store = f"http://{address}"
    if place.credentials is not None:
        fleet = spec(store=store, bucket=place.inside.strip("/"), **balancer)
    else:
        account, _, container = place.inside.rpartition("/")
        swift = Swift(account=store + account, container=container)
        fleet = replace(spec(**balancer), store=Store("swift", swift), service=ServiceSpec())
    return replace(fleet, edge=edge)


@contextmanager
def edge_stage(
    place: Place, edge: Edge | None = None, folder: Path | None = None, **balancer: Any
) -> Iterator[EdgeStage]:
    if folder is None:
        with short_folder() as own, edge_stage(place, edge, own, **balancer) as made:
            yield made
        return
    with backends() as servers:
        relay = Relay(place)
        server = servers.start(relay)
        fleet = edge_spec(place, server.address, edge or Edge(on=True, min_free=0), **balancer)
        places = Places.below(folder, free_port())
        write_keys(places, KEYS)
        with (
            running_front(fleet, folder=folder, places=places) as front,
            httpx.Client(timeout=30) as http,
        ):
            yield EdgeStage(front, place, relay, server, servers, http)


def status_of(answer: httpx.Response) -> tuple[int, str]:
    """An error's status and code; its body is the house's."""
    body = answer.json()
    assert set(body) == {"detail", "code", "request_id"}
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    return answer.status_code, body["code"]


def path_of(url: str) -> str:
    return urlsplit(url).path
