"""A real OpenStack Swift on loopback: a proxy and one server each for accounts, containers and
objects, as processes that end with this one."""

import asyncio
import getpass
import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from signal import SIGTERM
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from photo_base.processes import CannotStart, Program, Running
from photo_local.ports import free_ports
from photo_local.privileges import server_account
from tests.openstack.packages import programs

START_SECONDS = 20.0
USER, PASSWORD = "test:tester", "testing"
SERVERS = ("account", "container", "object")

_RINGS = """
import sys
from swift.common.ring import RingBuilder
folder, *ports = sys.argv[1:]
for name, port in zip(("account", "container", "object"), map(int, ports)):
    builder = RingBuilder(4, 1, 0)
    place = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1"}
    other = {"replication_ip": "127.0.0.1", "replication_port": port}
    builder.add_dev({"id": 0, "weight": 100.0, **place, **other})
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{name}.ring.gz")
"""

_SWIFT = """
[swift-hash]
swift_hash_path_suffix = local
swift_hash_path_prefix = local
[storage-policy:0]
name = Policy-0
default = yes
"""

_SERVER = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}
mount_check = false
log_name = {name}
log_level = WARNING
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

# With `slo dlo copy` a COPY of a large object would copy its manifest.
_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
log_level = WARNING
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl {auth}
 copy slo dlo symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{cache}
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:tempurl]
use = egg:swift#tempurl
methods = GET HEAD PUT POST DELETE
allowed_digests = sha1 sha256 sha512
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
token_life = 3600
storage_url_scheme = http
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:copy]
use = egg:swift#copy
[filter:symlink]
use = egg:swift#symlink
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {keystone}
auth_url = {keystone}
auth_type = password
project_domain_id = default
user_domain_id = default
project_name = service
username = swift
password = swiftpw
delay_auth_decision = True
memcached_servers = 127.0.0.1:{cache}
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member
"""


@dataclass(frozen=True)
class Answer:
    """What Swift said to a request of the test; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(method: str, url: str, body: bytes = b"", **headers: str) -> Answer:
    """One request as a stranger makes it; `X_Delete_At` gives the header X-Delete-At."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(url, body or None, named, method=method)
    if body or method in ("PUT", "POST"):
        # urllib would call it a form.
        request.add_header("Content-Type", named.get("Content-Type", "application/octet-stream"))
        request.data = body
    try:
        with urlopen(request, timeout=30) as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, found, response.read())
    except HTTPError as error:
        found = {name.lower(): value for name, value in error.headers.items()}
        return Answer(error.code, found, error.read())


class Swift:
    """The server with its files under `folder`. Its users are tempauth's, or those of the
    `keystone` at that address, which has the user `swift` of the project `service`."""

    def __init__(self, folder: Path, keystone: str = "") -> None:
        self._folder, self._keystone = folder, keystone
        self._running: list[Running] = []
        self._cache = 0
        self.url = ""

    async def start(self) -> None:
        """Call it on the main thread. Takes about three seconds. Raises `CannotStart`."""
        found, (proxy, cache, *ports) = programs(), islice(free_ports(), 5)
        self._cache = cache
        self._write_files(proxy, cache, dict(zip(SERVERS, ports, strict=True)))
        make_rings = [str(found / "python"), "-c", _RINGS, str(self._folder), *map(str, ports)]
        await asyncio.to_thread(subprocess.check_call, make_rings)
        await self._run("memcached", _memcached(), *f"-l 127.0.0.1 -p {cache} -m 32".split())
        for name in SERVERS:
            await self._run(name, str(found / f"swift-{name}-server"), f"{name}.conf")
        await self._run("proxy", str(found / "swift-proxy-server"), "proxy.conf")
        self.url = f"http://127.0.0.1:{proxy}"
        await self._answering()

    async def stop(self) -> None:
        await asyncio.gather(*(process.stop((SIGTERM, 0.2)) for process in self._running))

    def pids(self) -> list[int]:
        return [process.pid for process in self._running]

    def sign_in(self) -> tuple[str, str]:
        """A token of tempauth, and the account's address."""
        url = f"{self.url}/auth/v1.0"
        found = ask("GET", url, X_Storage_User=USER, X_Storage_Pass=PASSWORD).headers
        return found["x-auth-token"], found["x-storage-url"]

    def forget(self) -> None:
        """All tokens of tempauth are void from now on, and what is known of those of Keystone is
        asked for again."""
        with socket.create_connection(("127.0.0.1", self._cache), 5) as memcached:
            memcached.sendall(b"flush_all\r\n")
            assert memcached.recv(16) == b"OK\r\n"

    def info(self) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = json.loads(ask("GET", f"{self.url}/info").body)
        return found

    def _write_files(self, proxy: int, cache: int, ports: dict[str, int]) -> None:
        (self._folder / "d1").mkdir(parents=True)
        common = {"user": getpass.getuser(), "folder": self._folder}
        files = {
            name: _SERVER.format(name=name, port=port, **common) for name, port in ports.items()
        }
        auth = "authtoken keystoneauth" if self._keystone else "tempauth"
        also = {"cache": cache, "auth": auth, "keystone": self._keystone}
        files["proxy"] = _PROXY.format(port=proxy, **also, **common)
        for name, text in {**files, "swift": _SWIFT}.items():
            (self._folder / f"{name}.conf").write_text(text)

    async def _run(self, name: str, *command: str) -> None:
        log = self._folder / f"{name}.log"
        environ = {"PATH": os.environ["PATH"]}
        # memcached refuses to be root, and the death signal is lost where it changes that itself.
        privileges = server_account().setpriv if name == "memcached" else ()
        folder = Path("/") if privileges else self._folder
        program = Program(name, command, environ, log, folder, privileges=privileges)
        self._running.append(await Running.start(program))

    async def _answering(self) -> None:
        """Until the account's listing has gone through all the servers."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                if await asyncio.to_thread(self._answers):
                    return
            except OSError:
                pass
            ended = [process for process in self._running if not process.alive]
            if ended or time.monotonic() > until:
                said = "\n".join(process.last_words() for process in self._running)
                await self.stop()
                raise CannotStart(f"Swift does not answer:\n{said}")
            await asyncio.sleep(0.05)

    def _answers(self) -> bool:
        if self._keystone:
            return ask("GET", f"{self.url}/healthcheck").status == 200
        token, account = self.sign_in()
        return ask("PUT", f"{account}/answers", X_Auth_Token=token).status in (201, 202)


def _memcached() -> str:
    found = shutil.which("memcached")
    if found is None:
        raise CannotStart("memcached is missing: run scripts/debian-packages as root")
    return found
