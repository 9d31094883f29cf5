"""An OpenStack on a loopback port: as much of Keystone, Heat, Nova and Octavia as a scale-in asks.

Written against OpenStack's API references: "Authenticating with an Application Credential"
(Identity v3), "Show stack details", "List resources" (`nested_depth`), "Mark a resource as
unhealthy", "Update a stack (PATCH)" with `clear_parameters` (Orchestration v1), "Stop Server
(os-stop Action)", "Show Server Details" (Compute v2.1), "List Members", "Update a Member" (Load
Balancer v2: PENDING_UPDATE until it is ACTIVE, 409 meanwhile). How Heat resizes a group is in
Heat's code (27.0: `heat/scaling/template.py`, `heat/common/grouputils.py`): failed members first,
then the oldest; the size is counted without those that failed.
"""

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.group_openstack.fake_answers import PROJECT, ROUTES, Machine, iso

MIN_SIZE, MAX_SIZE = 2, 10


Meddle = Callable[[int, str, str], str | None]


class FakeOpenstack(ThreadingHTTPServer):
    """Tests change the attributes. `meddle(n, method, path)` is asked of each request but those for
    tokens: "lost" is done and not answered, "dropped" neither, a number is the status that is
    answered in place of doing it, "held" blocks until `release` and is then done."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.machines: list[Machine] = []
        self.credential, self.secret = secrets.token_hex(16), secrets.token_urlsafe(48)
        self.tokens: set[str] = set()
        self.stack_status = "CREATE_COMPLETE"
        self.parameters: dict[str, object] = {"initial_size": 3}
        self.changed_at = time.time() - 3600
        self.pending_until = 0.0
        self.pending = 0.05
        """Seconds for which Octavia and Heat are at work after each change."""
        self.on_stop: Callable[[Machine], None] = lambda _: None
        self.on_delete: Callable[[Machine], None] = lambda _: None
        self.meddle: Meddle = lambda *_: None
        self.asked: list[tuple[str, str]] = []
        self.deleted: list[Machine] = []
        self.held, self.release = threading.Event(), threading.Event()
        self.forget_held = False
        """Do not do what was held."""
        self.lock = threading.RLock()
        self.updates = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def environ(self) -> dict[str, str]:
        """Who may ask, as OpenStack's clients are told."""
        return {
            "OS_AUTH_URL": f"{self.url}/identity/v3",
            "OS_APPLICATION_CREDENTIAL_ID": self.credential,
            "OS_APPLICATION_CREDENTIAL_SECRET": self.secret,
        }

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [one for one in self.asked if one[0] != "GET"]

    def add(self, address: str, port: int, age: float = 600.0) -> Machine:
        """A member that was created so many seconds ago."""
        name = secrets.token_hex(6)
        machine = Machine(name, address, port, time.time() - age)
        self.machines.append(machine)
        return machine

    def find(self, **by: str) -> Machine | None:
        ((name, value),) = by.items()
        return next((one for one in self.machines if getattr(one, name) == value), None)

    def stop(self, machine: Machine) -> None:
        """As ACPI does: its own end takes time."""
        machine.task = "powering-off"
        machine.stops += 1

        def power_off() -> None:
            self.on_stop(machine)
            machine.task, machine.status = None, "SHUTOFF"

        threading.Thread(target=power_off, daemon=True).start()

    def update(self) -> None:
        """A stack update: the group's engine resizes it."""
        self.stack_status = "UPDATE_IN_PROGRESS"
        self.updates += 1
        threading.Thread(target=self._resize, daemon=True).start()

    def _resize(self) -> None:
        time.sleep(self.pending)
        with self.lock:
            self.changed_at = time.time()
            counted = sum(not one.heat.endswith("_FAILED") for one in self.machines)
            wanted = int(str(self.parameters.get("initial_size") or counted))
            size = min(max(wanted, MIN_SIZE), MAX_SIZE)
            order = sorted(
                self.machines, key=lambda one: (not one.heat.endswith("_FAILED"), one.created)
            )
            going = order[: max(0, len(order) - size)]
            for one in going:
                one.heat, one.in_pool = "DELETE_IN_PROGRESS", False
        time.sleep(self.pending)
        with self.lock:
            for one in going:
                self.on_delete(one)
                self.deleted.append(one)
                self.machines.remove(one)
            self.stack_status = "UPDATE_COMPLETE"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are none of our business."""


@contextmanager
def running_openstack_apis() -> Iterator[FakeOpenstack]:
    with FakeOpenstack() as cloud:
        threading.Thread(target=cloud.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield cloud
        finally:
            cloud.release.set()
            cloud.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    server: FakeOpenstack

    def do_GET(self) -> None:
        self._do()

    do_POST = do_PUT = do_PATCH = do_GET

    def _do(self) -> None:
        cloud = self.server
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        if self.path == "/identity/v3/auth/tokens":
            return self._token(body)
        if self.headers.get("X-Auth-Token") not in cloud.tokens:
            return self._answer(401, {"error": {"message": "Unauthorized", "code": 401}})
        with cloud.lock:
            cloud.asked.append((self.command, self.path))
            number = len(cloud.asked)
        fate = cloud.meddle(number, self.command, self.path)
        if fate == "dropped":
            return self._hang_up()
        if fate == "held":
            cloud.held.set()
            cloud.release.wait(30)
            if cloud.forget_held:
                return self._hang_up()
        if fate and fate.isdecimal():
            return self._answer(int(fate), {"faultstring": "as the test wants it"})
        with cloud.lock:
            status, answer, headers = self._route(body)
        if fate == "lost":
            return self._hang_up()
        self._answer(status, answer, headers)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _token(self, body: dict[str, Any]) -> None:
        cloud = self.server
        given = body["auth"]["identity"].get("application_credential", {})
        if (given.get("id"), given.get("secret")) != (cloud.credential, cloud.secret):
            return self._answer(401, {"error": {"message": "Unauthorized", "code": 401}})
        token = secrets.token_urlsafe(80)
        cloud.tokens.add(token)
        places = {
            "orchestration": f"{cloud.url}/heat-api/v1/{PROJECT}",
            "compute": f"{cloud.url}/compute/v2.1",
            "load-balancer": f"{cloud.url}/load-balancer",
        }
        catalog = [
            {
                "type": kind,
                "name": kind,
                "id": kind,
                "endpoints": [
                    {
                        "id": kind,
                        "interface": "public",
                        "region": "RegionOne",
                        "region_id": "RegionOne",
                        "url": url,
                    }
                ],
            }
            for kind, url in places.items()
        ]
        answer = {
            "token": {
                "methods": ["application_credential"],
                "issued_at": iso(time.time()),
                "expires_at": iso(time.time() + 3600),
                "project": {"id": PROJECT, "name": "p", "domain": {"id": "default", "name": "d"}},
                "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "d"}},
                "roles": [{"id": "r", "name": "member"}],
                "catalog": catalog,
            }
        }
        self._answer(201, answer, {"X-Subject-Token": token})

    def _route(self, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        for method, pattern, handler in ROUTES:
            found = re.fullmatch(pattern, self.path)
            if found and method == self.command:
                return handler(self.server, body, *found.groups())
        return 404, {"error": {"message": f"no {self.path}"}}, {}

    def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Quiet."""
