"""A real fleet of `photo-fleet up` to which faults are done, each undone again, and what the doctor
says of it."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import psutil

from photo_fleet.local_fleet.control import ask
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.render.places import Places
from photo_fleet.render.tree import files
from photo_fleet.spec import toml_text
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import load
from tests.photo_fleet.local_stage import Up, fleet_command, fleet_up
from tests.service import eventually

PATIENCE = 90.0
"""Seconds in which a fleet is well again after a fault, on a busy machine."""


@dataclass
class Ground:
    """The fleet `up`; `units` is a root folder with the units that were rendered from its spec."""

    up: Up
    units: Path
    arguments: tuple[str, ...] = ()
    """More of the doctor's, as long as a fault wants them."""
    told: dict[str, Any] = field(default_factory=dict)
    """What it said last."""

    @property
    def layout(self) -> Layout:
        return Layout(self.up.data)

    @property
    def places(self) -> Places:
        return Places.below(self.up.data, urlsplit(self.up.url).port or 80)

    # What the doctor says

    def doctor(self, *arguments: str) -> dict[str, Any]:
        """What `photo-fleet doctor --json` prints."""
        where = ("--data", str(self.up.data), "--units", str(self.units))
        done = fleet_command("doctor", "--json", *where, *self.arguments, *arguments)
        assert done.returncode in (0, 1), f"{done.stdout}{done.stderr}"
        self.told = json.loads(done.stdout)
        return self.told

    def findings(self, *arguments: str) -> dict[str, str]:
        """Codes that it finds, with their evidence."""
        return {
            one["code"]: f"{' '.join(one['subjects'])} {one['evidence']}".strip()
            for one in self.doctor(*arguments)["findings"]
        }

    # What there is

    def ask(self, statement: str, *values: object) -> list[Any]:
        """The database's answer to its superuser."""

        async def one() -> list[Any]:
            connection = await asyncpg.connect(self.superuser_url, timeout=10)
            try:
                return list(await connection.fetch(statement, *values, timeout=20))
            finally:
                await connection.close(timeout=5)

        return asyncio.run(one())

    @property
    def database_url(self) -> str:
        return (self.layout.secret_files / "database-url").read_text().strip()

    @property
    def superuser_url(self) -> str:
        parts = urlsplit(self.database_url)
        return urlunsplit(parts._replace(netloc=parts.netloc.replace("photo_api:", "postgres:", 1)))

    def order(self, **request: object) -> dict[str, Any]:
        """Say it to the fleet, and wait until it is done."""

        async def one() -> dict[str, Any]:
            async with asyncio.timeout(PATIENCE):
                return await ask(self.layout.control, request, lambda _: None)

        told = asyncio.run(one())
        assert told.pop("done"), told
        return told

    def serving(self) -> list[dict[str, Any]]:
        """Instances that are ready and get requests, the oldest first."""
        return self.up.serving()

    def whole(self) -> list[dict[str, Any]]:
        """The same, once the group has what it wants and nobody is on the way."""

        def arrived() -> list[dict[str, Any]]:
            status = self.up.status()
            found = [one for one in status["instances"] if one["state"] == "ready"]
            well = [one for one in found if one["member"]]
            all_there = len(well) == len(status["instances"]) == status["desired"]
            return well if status["settled"] and all_there else []

        return eventually(arrived, PATIENCE, 0.3)

    def address(self, name: str) -> str:
        [found] = [one for one in self.serving() if one["name"] == name]
        return f"{found['name']}:{found['port']}"

    # What is done to it, each undone at the end

    @contextmanager
    def replaced(self, **environ: str) -> Iterator[dict[str, Any]]:
        """One of its instances is replaced by one that has these variables besides."""
        self.whole()
        before = {one["name"]: one["boot_id"] for one in self.serving()}
        self.order(do="drain", name=next(iter(before)), environ=environ)
        [other] = [one for one in self.whole() if before.get(one["name"]) != one["boot_id"]]
        try:
            yield other
        finally:
            with suppress(AssertionError):  # a fault may have ended it
                self.order(do="drain", name=other["name"])
            self.whole()

    @contextmanager
    def spec(self, **changes: Any) -> Iterator[None]:
        """Its spec says something else than it was started with: keys with `__` for the dot."""
        file = self.layout.spec
        text = file.read_text()
        dotted = {name.replace("__", "."): value for name, value in changes.items()}
        file.write_text(toml_text.text(changed(load(file), dotted)))
        try:
            yield
        finally:
            file.write_text(text)

    @contextmanager
    def nginx(self, *edits: tuple[str, str]) -> Iterator[None]:
        """Its files are edited, by pattern and replacement, and it works by them."""
        with edited(Path(self.places.prefix) / "nginx.conf", *edits, then=self.reload):
            yield

    def age(self, seconds: float, *instances: str) -> None:
        """By the registry they have been as they are for so much longer."""
        self.ask(
            f"UPDATE instances SET started_at = started_at - interval '{seconds} s',"
            f" changed_at = changed_at - interval '{seconds} s' WHERE instance = ANY($1)",
            list(instances),
        )

    def reload(self) -> None:
        pid = int(Path(self.places.pid_file).read_text())
        os.kill(pid, signal.SIGHUP)
        time.sleep(1.0)  # the new workers; the old ones end by themselves

    def unit(self, *edits: tuple[str, str], name: str = "photo-api.service") -> Any:
        """A unit is edited."""
        return edited(self.units / "etc/systemd/system" / name, *edits)

    @contextmanager
    def drop_in(self, text: str, folder: str = "etc/systemd/system") -> Iterator[None]:
        """A unit has a drop-in."""
        file = self.units / folder / "photo-api.service.d/local.conf"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        try:
            yield
        finally:
            file.unlink()
            file.parent.rmdir()

    @contextmanager
    def beside(
        self,
        name: str,
        *arguments: str,
        port: int = 0,
        environ: Mapping[str, str] | None = None,
        untold: bool = False,
        forgotten: bool = True,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """An instance besides those of the group, started by hand with their settings; what keeps
        nginx's members may be `untold` of it. Its row is `forgotten` at the end."""
        model = psutil.Process(self.serving()[0]["pid"])
        own = {**model.environ(), "PHOTO_API_INSTANCE_IP": name, **(environ or {})}
        command = [sys.executable, "-m", "photo_api.cli", "serve", "--host", name]
        former = [row[0] for row in self.ask("SELECT boot_id FROM instances")]
        frozen = stopped([self.up.process.pid] if untold else [])
        with frozen, (self.layout.logs / f"beside-{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--port", str(port), *arguments],
                env=own,
                cwd=model.cwd(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            ready = (
                "SELECT FROM instances"
                " WHERE instance = $1 AND state = 'ready' AND NOT boot_id = ANY($2)"
            )
            try:
                eventually(lambda: self.ask(ready, name, former), 40, 0.3)
                yield process
            finally:
                ended(process)
                if forgotten:
                    self.ask("DELETE FROM instances WHERE instance = $1", name)

    @contextmanager
    def members(self, change: Callable[[list[str]], list[str]]) -> Iterator[None]:
        """nginx has other members than the balancer gave it, which stands still: `change` makes of
        the lines of members those that somebody puts there by hand."""
        with self.by_socket() as nginx:
            held = nginx.get("http://nginx/members").raise_for_status().json()["members"]
            lines = [f"member {one['id']} {one['address']} {one['instance']}" for one in held]
            changed = change(lines)
            body = "\n".join(["panic false", *changed, f"end {len(changed)}", ""])
            with stopped([self.up.process.pid]):
                nginx.put("http://nginx/members", content=body).raise_for_status()
                yield

    def by_socket(self) -> httpx.Client:
        return httpx.Client(transport=httpx.HTTPTransport(uds=self.places.members_socket))

    def bodies(self, path: str, seconds: float = 2.0, clients: int = 4) -> None:
        """Requests through nginx for so long."""
        requests(self.up.url, path, seconds, clients)

    @contextmanager
    def sql(self, do: str, undo: str) -> Iterator[None]:
        self.ask(do)
        try:
            yield
        finally:
            self.ask(undo)

    # Afterwards

    def forget(self) -> None:
        """What had happened is no longer in the registry, but for those that live."""
        self.ask("DELETE FROM instances WHERE state IN ('stopped', 'lost')")
        self.ask("DELETE FROM instance_receipts")
        self.ask(
            "DELETE FROM instance_events e WHERE event NOT IN ('started', 'ready')"
            " OR NOT EXISTS (SELECT FROM instances i WHERE i.boot_id = e.boot_id)"
        )

    def forget_traffic(self) -> None:
        """nginx's log tells of no request any more, and Prometheus, which the fleet starts again,
        of nothing."""
        Path(self.places.access_log).write_text("")
        for process in self.up.processes():
            with suppress(psutil.Error):
                if "prometheus" in Path(process.exe()).name and self._is_its(process):
                    data = self.up.data / "prometheus/data"
                    process.kill()
                    process.wait(10)
                    subprocess.run(["rm", "-rf", str(data)], check=True)
        eventually(lambda: self.up.status()["watchers"], 30, 0.3)

    def _is_its(self, process: psutil.Process) -> bool:
        return f"--storage.tsdb.path={self.up.data}/prometheus/data" in process.cmdline()


@contextmanager
def ground(folder: Path, fleet: Fleet, *options: str) -> Iterator[Ground]:
    """The fleet of this spec, with units rendered from what it carries out."""
    whole, size = toml_text.text(fleet), fleet.group.desired
    with fleet_up(folder, whole=whole, desired=size, options=options) as up:
        made = Ground(up, folder / "root")
        for name, text in files(load(made.layout.spec)).items():
            homes = {".service": "etc/systemd/system", ".env": "etc/photo-api"}
            if name.startswith("systemd/") and (suffix := Path(name).suffix) in homes:
                place = made.units / homes[suffix] / Path(name).name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text)
        made.whole()
        yield made


@contextmanager
def edited(
    file: Path, *edits: tuple[str, str], then: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """A file that somebody has edited: each pattern is there, and is replaced everywhere."""
    before = text = file.read_text()
    for pattern, replacement in edits:
        text, times = re.subn(pattern, replacement, text, flags=re.M)
        assert times, f"{file} has no {pattern}"
    file.write_text(text)
    then()
    try:
        yield
    finally:
        file.write_text(before)
        then()


@contextmanager
def stopped(pids: Collection[int]) -> Iterator[None]:
    """They stand still."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def again_and_again(act: Callable[[], object], pause: float = 0.0) -> Iterator[None]:
    """In a thread, until the end."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(pause):
            with suppress(Exception):
                act()

    running = threading.Thread(target=run, daemon=True)
    running.start()
    try:
        yield
    finally:
        stop.set()
        running.join(15)


def requests(url: str, path: str, seconds: float, clients: int = 4) -> None:
    """As many as so many clients can send, each over a connection of its own that it keeps."""
    until = time.monotonic() + seconds

    def one() -> None:
        with httpx.Client(base_url=url, timeout=10) as client, suppress(httpx.HTTPError):
            while time.monotonic() < until:
                client.get(path)

    sending = [threading.Thread(target=one, daemon=True) for _ in range(clients)]
    for thread in sending:
        thread.start()
    for thread in sending:
        thread.join(seconds + 15)


def family(pid: int, *words: str) -> list[int]:
    """An instance's processes, the supervisor first; with words those that have one of them in
    their command line."""
    supervisor = psutil.Process(pid)
    found = [supervisor, *supervisor.children(recursive=True)]
    told = []
    for one in found:
        with suppress(psutil.Error):  # it has just ended
            told.append((one.pid, " ".join(one.cmdline())))
    return [pid for pid, line in told if not words or any(word in line for word in words)]


def ended(process: subprocess.Popen[bytes], patience: float = 20) -> None:
    """By a drain if it obeys."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGCONT)
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(row["name"]) for row in rows]
