"""A real OpenStack Keystone on loopback, with SQLite, as a process that ends with this one: tokens
of API version 3, a project with a user, and the catalogue that leads to a Swift."""

import asyncio
import getpass
import grp
import json
import os
import subprocess
import time
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Any

from photo_base.processes import CannotStart, Program, Running
from photo_local.ports import free_port
from tests.openstack.packages import programs
from tests.openstack.swift import ask

START_SECONDS = 60.0
REGION, PROJECT, USER, PASSWORD = "RegionOne", "photos", "photo-api", "a pass word of photos"
_ADMIN = "adminpw"

_CONFIG = """
[DEFAULT]
log_dir = {folder}
public_endpoint = {url}
[database]
connection = sqlite:///{folder}/keystone.db
[token]
provider = fernet
expiration = {life}
[fernet_tokens]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credentials
[identity]
password_hash_algorithm = bcrypt
password_hash_rounds = 4
[cache]
enabled = false
"""

_SERVE = """
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

port = int(sys.argv.pop())
from keystone.server.wsgi import initialize_public_application

class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

make_server("127.0.0.1", port, initialize_public_application(), Server).serve_forever()
"""


class Keystone:
    """The server with its files under `folder`; its tokens live for `life` seconds."""

    def __init__(self, folder: Path, life: int = 3600) -> None:
        self._folder = folder
        self._life = life
        self._port = free_port()
        self._environ = {
            "PATH": os.environ["PATH"],
            "OS_KEYSTONE_CONFIG_FILES": str(folder / "keystone.conf"),
        }
        self._process: Running | None = None
        self._token = ""
        self.url = f"http://127.0.0.1:{self._port}"
        self.project = ""
        """The id of the project, once it was started."""

    async def start(self) -> None:
        """Call it on the main thread. Takes about 15 seconds. Raises `CannotStart`."""
        await asyncio.to_thread(self._prepare)
        await self._serve()
        self._token, _ = await asyncio.to_thread(self.sign_in, "admin", _ADMIN, "admin")
        self.project = await asyncio.to_thread(self._populate)

    async def _serve(self) -> None:
        command = [str(programs() / "python"), "-c", _SERVE, str(self._port)]
        log = self._folder / "server.log"
        program = Program("keystone", command, self._environ, log, self._folder)
        self._process = await Running.start(program)
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                if (await asyncio.to_thread(ask, "GET", f"{self.url}/v3")).status == 200:
                    return
            except OSError:
                pass
            if not self._process.alive or time.monotonic() > until:
                said = self._process.last_words()
                await self.stop()
                raise CannotStart(f"Keystone does not answer:\n{said}")
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop((SIGTERM, 1.0))

    def hold(self) -> None:
        """It answers nobody, until it is let go."""
        assert self._process is not None
        self._process.signal(SIGSTOP)

    def let_go(self) -> None:
        assert self._process is not None
        self._process.signal(SIGCONT)

    def sign_in(self, user: str, password: str, project: str) -> tuple[str, dict[str, Any]]:
        """A token, and what Keystone says of it."""
        domain = {"id": "default"}
        who = {"name": user, "domain": domain, "password": password}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": who}},
                "scope": {"project": {"name": project, "domain": domain}},
            }
        }
        answer = ask(
            "POST",
            f"{self.url}/v3/auth/tokens",
            json.dumps(body).encode(),
            Content_Type="application/json",
        )
        return answer.headers["x-subject-token"], json.loads(answer.body)["token"]

    def offer_swift(self, address: str) -> None:
        """Put a Swift into the catalogue."""
        service = self._make("services", {"type": "object-store", "name": "swift"})
        url = f"{address}/v1/AUTH_%(project_id)s"
        endpoint = {"service_id": service, "interface": "public", "region_id": REGION, "url": url}
        self._make("endpoints", endpoint)

    def change_password(self, password: str) -> None:
        """Of the project's user: the tokens that it has are void from then on."""
        user = self._find("users", USER)
        self._ask("PATCH", f"users/{user}", {"user": {"password": password}})

    def application_credential(self, name: str) -> tuple[str, str]:
        """A new one of the project's user, its id and secret."""
        token, told = self.sign_in(USER, PASSWORD, PROJECT)
        path = f"users/{told['user']['id']}/application_credentials"
        made = self._ask("POST", path, {"application_credential": {"name": name}}, token)
        return made["application_credential"]["id"], made["application_credential"]["secret"]

    def end_credential(self, credential: str) -> None:
        """Delete it, and with it the tokens that it has."""
        token, told = self.sign_in(USER, PASSWORD, PROJECT)
        self._ask(
            "DELETE",
            f"users/{told['user']['id']}/application_credentials/{credential}",
            token=token,
        )

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in ("fernet", "credentials"):
            (self._folder / name).mkdir(mode=0o700)
        text = _CONFIG.format(folder=self._folder, url=self.url, life=self._life)
        (self._folder / "keystone.conf").write_text(text)
        self._manage("db_sync")
        account = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
        own = ("--keystone-user", account[0], "--keystone-group", account[1])
        self._manage("fernet_setup", *own)
        self._manage("credential_setup", *own)
        options = {"password": _ADMIN, "username": "admin", "project-name": "admin"}
        options |= {"role-name": "admin", "service-name": "keystone", "region-id": REGION}
        options |= {f"{kind}-url": f"{self.url}/v3" for kind in ("public", "internal", "admin")}
        pairs = [(f"--bootstrap-{name}", value) for name, value in options.items()]
        self._manage("bootstrap", *[part for pair in pairs for part in pair])

    def _manage(self, *command: str) -> None:
        config = ["--config-file", str(self._folder / "keystone.conf")]
        manage = [str(programs() / "keystone-manage"), *config, *command]
        done = subprocess.run(manage, env=self._environ, capture_output=True, text=True)
        if done.returncode:
            raise CannotStart(f"keystone-manage {command[0]}: {done.stderr[-2000:]}")

    def _populate(self) -> str:
        """The user of Swift itself, and a project with one user; its id."""
        for project, user, password, role in (
            ("service", "swift", "swiftpw", "admin"),
            (PROJECT, USER, PASSWORD, "member"),
        ):
            made = self._make("projects", {"name": project, "domain_id": "default"})
            who = self._make("users", {"name": user, "domain_id": "default", "password": password})
            found = self._find("roles", role)
            self._ask("PUT", f"projects/{made}/users/{who}/roles/{found}")
        return made

    def _make(self, kind: str, thing: dict[str, str]) -> str:
        made = self._ask("POST", kind, {kind.removesuffix("s"): thing})
        found: str = made[kind.removesuffix("s")]["id"]
        return found

    def _find(self, kind: str, name: str) -> str:
        found: str = self._ask("GET", f"{kind}?name={name}")[kind][0]["id"]
        return found

    def _ask(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        sent = b"" if body is None else json.dumps(body).encode()
        answer = ask(
            method,
            f"{self.url}/v3/{path}",
            sent,
            X_Auth_Token=token or self._token,
            Content_Type="application/json",
        )
        if answer.status >= 300:
            raise CannotStart(f"{method} {path}: {answer.status} {answer.body[:500]!r}")
        return json.loads(answer.body or b"{}")
