"""`python -m bench.photo_life`: what a photo's life costs PostgreSQL, from presign to the end of
its row, in statements, transactions, processor time, WAL, rows, and bytes of tables and indexes.

Photos live together, step by step, in a database with many others. No clock decides anything, so
that this may run beside other work. docs/scale.md has what it gave.
"""

import argparse
import asyncio
import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import httpx
import psutil
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from bench.__main__ import DISK, PREFIX
from bench.compare import progress
from bench.context import environ_of
from bench.crowd import Size, crowd, sizes
from bench.job_runner import running_jobs
from bench.processes import Launcher, processor_seconds
from bench.statements import Sent, StatementRelay
from bench.world import PASSWORD
from photo_api.db.migrations import migrate
from photo_api.db.pool import Database, open_database
from photo_api.jobs.statistics import ADD_UP
from photo_api.maintenance import Maintenance
from photo_api.photos.sweep import sweep
from photo_api.registry import leases
from photo_api.registry.leases import Lease
from photo_api.settings.loading import Settings, load
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store
from photo_fleet.drill.own_folder import own_folder
from photo_local.ports import free_port
from photo_local.stack import EmbeddedStack

COUNTED = ("photo-api web", "bench jobs", "bench sweep")
AT_ONCE = 4
LIST, VIEWS = 50, 20
LONGEST_PUT = 3600
LONGEST_RUN = 3600.0
ALONE = 5
"""Photos that live alone, one after the other."""

Act = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step for one photo, or one request: `cpu_us` of all processes of PostgreSQL, `wal` in
    bytes, `rows` that it leaves."""

    name: str
    statements: float
    transactions: float
    cpu_us: float
    wal: float
    rows: float


@dataclass(frozen=True, slots=True)
class Ground:
    """What photos live in. `admin` is a superuser's connection past the relay."""

    settings: Settings
    admin: asyncpg.Connection
    postmaster: int
    relay: StatementRelay
    http: httpx.AsyncClient
    jobs: Database
    sweeper: Database
    lease: Lease
    store: S3Store


@dataclass(slots=True)
class Lives:
    """`number` photos in one album, and what each step of theirs has cost. With `checkpoints` there
    is one before each step, so that the first change of a page writes all of it."""

    ground: Ground
    number: int
    checkpoints: bool
    steps: list[Step] = field(default_factory=list)
    album: int = 0
    link: str = ""
    begun: list[dict[str, Any]] = field(default_factory=list)

    async def step(self, name: str, act: Act, times: int = 0) -> None:
        """Do it, for all of them or so many times."""
        progress(name)
        admin, times = self.ground.admin, times or self.number
        if self.checkpoints:
            await admin.execute("CHECKPOINT")
        rows, before = await self._rows(), await admin.fetchval(f"SELECT {WAL_NOW}")
        self.ground.relay.take()
        began = _processor_seconds(self.ground.postmaster)
        await act()
        cpu = (_processor_seconds(self.ground.postmaster) - began) * 1e6
        sent = self.ground.relay.take()
        wal = await admin.fetchval(f"SELECT {WAL_NOW} - $1::pg_lsn", before)
        left = await self._rows() - rows
        self.steps.append(
            Step(name, *_each(sent, times), cpu / times, float(wal) / times, left / times)
        )

    async def _rows(self) -> int:
        counts = (f"(SELECT count(*) FROM {name})" for name in ROWS_OF)
        number: int = await self.ground.admin.fetchval(f"SELECT {' + '.join(counts)}")
        return number

    async def all(self, ask: Callable[[dict[str, Any]], Awaitable[Any]]) -> None:
        """For each of them, some at a time."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(begun: dict[str, Any]) -> None:
            async with turns:
                await ask(begun)

        await asyncio.gather(*map(one, self.begun))

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        answer = await self.ground.http.request(method, f"/api{path}", **more)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.status_code == 200 else None

    async def be_uploaded(self) -> None:
        """By URLs, to the end of their renditions."""
        self.album = (await self.ground.http.post("/api/albums/", json={"name": "A"})).json()["id"]
        await self._presign(1)  # from then on it is known how many this user has begun
        self.begun.clear()
        await self.step("presign", lambda: self._presign(self.number))
        await self.all(self._put)
        await self.step("confirm", lambda: self.all(self._confirm))
        await self.step("thumbnail and preview", self._jobs)

    async def be_seen(self) -> None:
        """By their owner, and by visitors."""
        page, photo = f"/photos/?limit={LIST}", self.begun[0]["photo_id"]
        await self._repeat(f"a list of {LIST} (each)", "GET", page)
        await self._repeat("a redirect to an image (each)", "GET", f"/photos/{photo}/image")
        shared = f"/api/albums/{self.album}/share"
        self.link = (await self.ground.http.post(shared, json={})).json()["token"]
        await self.step("the file for visitors", self._jobs)
        await self._repeat(
            f"a visitor's view of {LIST} (each)", "GET", f"/share/{self.link}?limit={LIST}"
        )

    async def be_gone(self) -> None:
        """Deleted, with bytes and rows."""
        admin = self.ground.admin
        await self.step("delete", lambda: self.all(self._delete))
        await admin.execute("UPDATE unreferenced_objects SET delete_after = now() - interval '1 s'")
        await self.step("sweep of the bytes", self._sweep)
        await admin.execute(
            "UPDATE photos SET gone_at = now() - interval '8 d' WHERE status = 'gone'"
        )
        await self.step("pruning of the row", self._sweep)
        await self.step("adding up the totals", self._add_up)

    async def _repeat(self, name: str, method: str, path: str) -> None:
        async def views() -> None:
            for _ in range(VIEWS):
                await self.ask(method, path)

        await views()  # whose statements are prepared then
        await self.step(name, views, VIEWS)

    async def _presign(self, number: int) -> None:
        about = {"album_id": self.album, "filename": "IMG_0042.jpg", "content_type": "image/jpeg"}
        for _ in range(number):
            file = _jpeg(len(self.begun))
            body = about | {"file_size": len(file)}
            begun = await self.ask("POST", "/photos/presigned-url", json=body)
            self.begun.append(begun | {"file": file})

    async def _put(self, begun: dict[str, Any]) -> None:
        answer = await self.ground.http.put(
            begun["upload_url"], content=begun["file"], headers=begun["upload_headers"]
        )
        answer.raise_for_status()

    async def _confirm(self, begun: dict[str, Any]) -> None:
        await self.ask("POST", "/photos/confirm", json={"photo_id": begun["photo_id"]})

    async def _delete(self, begun: dict[str, Any]) -> None:
        await self.ask("DELETE", f"/photos/{begun['photo_id']}")

    async def _jobs(self) -> None:
        async with running_jobs(self.ground.settings, self.ground.jobs, self.ground.store):
            while await self.ground.admin.fetchval("SELECT count(*) FROM jobs"):
                await asyncio.sleep(0.1)

    async def _sweep(self) -> None:
        await sweep(self.ground.sweeper, self.ground.store, LONGEST_PUT, self.ground.lease)

    async def _add_up(self) -> None:
        await self.ground.sweeper.execute(ADD_UP, *self.ground.lease)


WAL_NOW = "pg_current_wal_insert_lsn()"
ROWS_OF = (
    *("photos", "album_photos", "albums", "shares", "jobs", "job_turns", "unreferenced_objects"),
    *("idempotency_keys", "deletions", "places", "total_changes"),
)


def _processor_seconds(postmaster: int) -> float:
    """What a server and its processes have used so far, but for those that have ended."""
    children = psutil.Process(postmaster).children()
    return sum(processor_seconds(pid) for pid in (postmaster, *(one.pid for one in children)))


def _each(sent: Sent, times: int) -> tuple[float, float]:
    """Statements and transactions of one. A worker asks for its caller again after 5 seconds, which
    a step takes where the machine has other work."""
    kept = [
        sum(SESSION not in text for text in texts) for texts in (sent.statements, sent.transactions)
    ]
    return kept[0] / times, kept[1] / times


SESSION = "AS is_alive"
"""In the text of that look-up alone."""


def _jpeg(number: int) -> bytes:
    """Like no other, with what a phone writes into it."""
    exif = Image.Exif()
    exif.update({ExifTags.Base.Make: "Samsung", ExifTags.Base.Model: "SM-S928N"})
    exif.get_ifd(ExifTags.IFD.Exif).update(TAKEN)
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(PLACE)
    out = BytesIO()
    picture = Image.new("RGB", (640, 480), (number % 256, 0, 0))
    picture.save(out, "JPEG", exif=exif, comment=number.to_bytes(4))
    return out.getvalue()


TAKEN: dict[int, object] = {
    ExifTags.Base.DateTimeOriginal: "2026:05:31 07:26:00",
    ExifTags.Base.OffsetTimeOriginal: "+09:00",
    ExifTags.Base.ExposureTime: IFDRational(1, 200),
    ExifTags.Base.FNumber: IFDRational(17, 10),
    ExifTags.Base.ISOSpeedRatings: 100,
    ExifTags.Base.FocalLength: IFDRational(63, 10),
    ExifTags.Base.LensModel: "Samsung S5KHP2 f/1.7",
}
PLACE = {1: "N", 2: (37.0, 14.0, 24.0), 3: "E", 4: (131.0, 52.0, 7.0)}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.photo_life", description=__doc__)
    parser.add_argument("--photos", type=int, default=100, help="that live (%(default)s)")
    parser.add_argument("--others", type=int, default=200_000, help="photos beside (%(default)s)")
    parser.add_argument("--rest", type=int, default=60, help="seconds of rest (%(default)s)")
    options = parser.parse_args(argv)
    with own_folder(DISK, PREFIX) as folder:
        asyncio.run(_measure(folder, options.photos, options.others, options.rest))
    return 0


async def _measure(folder: Path, number: int, others: int, rest: int) -> None:
    async with _ground(folder) as ground:
        await _user(ground.http)
        await _live(Lives(ground, 10, checkpoints=False), to_the_end=False)
        progress(f"{others} photos of others")
        await crowd(ground.admin, others)
        found = await sizes(ground.admin)
        while await ground.admin.fetchval("SELECT count(*) FROM total_changes"):
            await ground.sweeper.execute(ADD_UP, *ground.lease)
        await ground.admin.execute("ALTER SYSTEM SET autovacuum = off")  # at whatever moment
        await _write_whole_pages(ground.admin, "off")
        plain = await _live(Lives(ground, number, checkpoints=False))
        at_rest = Lives(ground, 1, checkpoints=False)
        name = f"{rest} s of maintenance, and of one instance"
        await at_rest.step(name, lambda: _rest(ground, rest))
        await _write_whole_pages(ground.admin, "on")
        alone = [await _live(Lives(ground, 1, checkpoints=True)) for _ in range(min(ALONE, number))]
    most: list[float] = [median(one.wal for one in same) for same in zip(*alone, strict=True)]
    print(_as_tables([*plain, *at_rest.steps], [*most, math.nan], found))


async def _rest(ground: Ground, seconds: int) -> None:
    """What an instance does for the fleet while nobody asks anything."""
    uploads, interval = ground.settings.uploads, ground.settings.jobs.sweep_interval
    work = Maintenance(ground.sweeper, ground.store, interval, uploads, "bench").run()
    with suppress(TimeoutError):
        await asyncio.wait_for(work, seconds)


async def _live(lives: Lives, *, to_the_end: bool = True) -> Sequence[Step]:
    await lives.be_uploaded()
    await lives.be_seen()
    if to_the_end:
        await lives.be_gone()
    return lives.steps


async def _write_whole_pages(admin: asyncpg.Connection, value: str) -> None:
    await admin.execute(f"ALTER SYSTEM SET full_page_writes = {value}")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.execute("CHECKPOINT")


async def _user(http: httpx.AsyncClient) -> None:
    person = {"email": "life@example.org", "username": "life", "password": PASSWORD}
    (await http.post("/api/auth/register", json=person)).raise_for_status()
    tokens = (await http.post("/api/auth/login", json=person)).raise_for_status().json()
    http.headers["Authorization"] = f"Bearer {tokens['access_token']}"


@asynccontextmanager
async def _ground(folder: Path) -> AsyncIterator[Ground]:
    stack = EmbeddedStack(folder / "data")
    try:
        addresses = await stack.start()
        relay = StatementRelay(free_port(), addresses.database_url, COUNTED)
        await relay.start()
        environ = environ_of(addresses, stack.secrets.jwt_key, stack.secrets.secret_key)
        environ |= {"PHOTO_API_DATABASE_URL": relay.url, "PHOTO_API_USER_CACHE": "5"}
        settings = load(environ)
        await migrate(settings.database)
        s3 = settings.s3
        keys = StaticCredentials(s3.access_key, s3.secret_key)
        store = S3Store(s3.endpoint, s3.bucket, s3.region, keys)
        async with AsyncExitStack() as open_ones:
            service = await open_ones.enter_async_context(Launcher(environ, folder).service())
            url = f"http://{service.address.host}:{service.address.port}"
            http = await open_ones.enter_async_context(httpx.AsyncClient(base_url=url, timeout=60))
            jobs, sweeper = [
                await open_ones.enter_async_context(open_database(settings.database, name))
                for name in COUNTED[1:]
            ]
            own = addresses.superuser_url.replace("/postgres?", "/photo_api?")
            lease = await leases.acquire(sweeper, "bench", "bench", LONGEST_RUN)
            assert lease is not None
            admin = await asyncpg.connect(own)
            open_ones.push_async_callback(admin.close)
            yield Ground(
                settings,
                admin,
                addresses.pids["postgres"],
                relay,
                http,
                jobs,
                sweeper,
                lease,
                store,
            )
        await relay.stop()
    finally:
        await stack.stop()


def _as_tables(plain: Sequence[Step], alone: Sequence[float], found: Sequence[Size]) -> str:
    """Markdown."""
    lines = ["| step | statements | transactions | CPU µs | WAL | after a checkpoint | rows |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for one, most in zip(plain, alone, strict=True):
        numbers = (one.statements, one.transactions, one.cpu_us, one.wal, most, one.rows)
        lines.append(f"| {one.name} | {' | '.join(map(_number, numbers))} |")
    lines += ["", "| table | data | indexes |", "| --- | --- | --- |"]
    lines += [f"| {one.table} | {one.data:,.0f} | {one.indexes:,.0f} |" for one in found]
    return "\n".join(lines)


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 20 else f"{value:.2g}"


if __name__ == "__main__":
    sys.exit(main())
