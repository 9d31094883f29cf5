"""A load balancer for one machine, on a loopback port: what NHN Cloud's "Load Balancer > API v2
Guide" (Neutron's LBaaS v2) says about members, and no more of it.

Written against, in that guide: List Members (its filters `address` and `protocol_port`), Modify
Member, Get Pool, Get Load Balancer (`provisioning_status`); and against Neutron's own "LBaaS v2"
for what NHN's leaves out: 409 with StateInvalid while the balancer is being changed, and pages by
`members_links`. A change is told at once and takes effect when the balancer is ACTIVE again.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from tests.openstack import keystone_v2
from tests.openstack.keystone_v2 import KeystoneV2, in_a_thread

POOL = "522a5681-fc4c-4b0b-85ec-bf7777c48a57"
BALANCER = "2997cb9d-9c31-475d-b679-040569c9e27b"


class LoadBalancer(ThreadingHTTPServer):
    """What is set here is how it behaves from then on. `takes` are the seconds for which a change
    keeps it busy. `faults` are met by one request each, before anything else: a status, `hang`,
    `lose` (it does what it is asked for and says nothing), or None for an answer as ever."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.members: dict[str, dict[str, Any]] = {}
        self.takes = 0.05
        self.busy_until = 0.0
        self.filters = True
        self.page = 0
        self.faults: deque[int | str | None] = deque()
        self.answer: object = None
        """In place of all others."""
        self.tokens: set[str] = set()
        self.asked: list[str] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def issue(self) -> tuple[str, str]:
        """A token that it takes, for a Keystone."""
        self.tokens.add(token := uuid4().hex)
        return token, self.url

    def add(self, address: str, port: int, *, up: bool = True) -> str:
        """As a scaling group does with its instances."""
        key = str(uuid4())
        self.members[key] = {
            "id": key,
            "address": address,
            "protocol_port": port,
            "admin_state_up": up,
            "weight": 1,
            "subnet_id": str(uuid4()),
            "tenant_id": keystone_v2.TENANT,
            "operating_status": "ACTIVE",
        }
        return key

    @property
    def changes(self) -> int:
        """How often it was started anew."""
        return sum(one.startswith("PUT ") for one in self.asked)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are none of our business."""


class _Handler(BaseHTTPRequestHandler):
    server: LoadBalancer

    def do_GET(self) -> None:
        self._handle(None)

    def do_PUT(self) -> None:
        self._handle(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _handle(self, body: Any) -> None:
        balancer = self.server
        balancer.asked.append(f"{self.command} {self.path}")
        fault = balancer.faults.popleft() if balancer.faults else None
        if fault == "hang":
            balancer.closing.wait(30)
            return
        if isinstance(fault, int):
            return self._say(fault, {"error": "told to, and do-not-show-this"})
        if self.headers["X-Auth-Token"] not in balancer.tokens:
            return self._say(401, {"error": {"message": "do-not-show-this", "code": 401}})
        status, answer = self._answer(body)
        if fault == "lose":
            self.close_connection = True
            return
        self._say(status, answer)

    def _answer(self, body: Any) -> tuple[int, Any]:
        balancer, parts = self.server, urlsplit(self.path)
        if balancer.answer is not None:
            return 200, balancer.answer
        path = parts.path.removeprefix("/v2.0/lbaas/").split("/")
        if path == ["loadbalancers", BALANCER]:
            status = "PENDING_UPDATE" if time.monotonic() < balancer.busy_until else "ACTIVE"
            return 200, {"loadbalancer": {"id": BALANCER, "provisioning_status": status}}
        if path == ["pools", POOL]:
            return 200, {"pool": {"id": POOL, "loadbalancers": [{"id": BALANCER}]}}
        if path == ["pools", POOL, "members"]:
            return 200, self._members(parse_qs(parts.query))
        if path[:-1] == ["pools", POOL, "members"] and path[-1] in balancer.members:
            return self._change(path[-1], body)
        return 404, {"NeutronError": {"type": "EntityNotFound", "message": "", "detail": ""}}

    def _members(self, query: dict[str, list[str]]) -> dict[str, Any]:
        balancer = self.server
        found = [
            one
            for one in balancer.members.values()
            if not balancer.filters
            or all(str(one[key]) in query.get(key, [""]) for key in ("address", "protocol_port"))
        ]
        if not balancer.page:
            return {"members": found}
        ids = [one["id"] for one in found]
        first = ids.index(query["marker"][0]) + 1 if "marker" in query else 0
        shown = found[first : first + balancer.page]
        answer: dict[str, Any] = {"members": shown}
        if first + balancer.page < len(found):
            href = f"{balancer.url}/v2.0/lbaas/pools/{POOL}/members?marker={shown[-1]['id']}"
            answer["members_links"] = [{"rel": "next", "href": href}]
        return answer

    def _change(self, key: str, body: Any) -> tuple[int, Any]:
        balancer = self.server
        if time.monotonic() < balancer.busy_until:
            message = f"Invalid state PENDING_UPDATE of loadbalancer resource {BALANCER}"
            return 409, {"NeutronError": {"type": "StateInvalid", "message": message}}
        balancer.members[key] |= body["member"]
        balancer.busy_until = time.monotonic() + balancer.takes
        return 200, {"member": balancer.members[key]}

    def _say(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running() -> Iterator[tuple[LoadBalancer, KeystoneV2]]:
    """One, and the Keystone whose tokens it takes."""
    balancer = LoadBalancer()
    thread = threading.Thread(target=balancer.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with in_a_thread(KeystoneV2(balancer.issue)) as keystone:
            yield balancer, keystone
    finally:
        balancer.closing.set()
        balancer.shutdown()
        balancer.server_close()
        thread.join()


def settings(balancer: LoadBalancer, keystone: KeystoneV2) -> dict[str, str]:
    """Of an instance that may change its members."""
    own = {
        "NETWORK_URL": balancer.url,
        "POOL": POOL,
        "AUTH_URL": keystone.url,
        "USER": keystone_v2.USER,
        "PASSWORD": keystone_v2.PASSWORD,
        "PROJECT_ID": keystone_v2.TENANT,
    }
    return {f"PHOTO_API_MEMBER_{name}": value for name, value in own.items()}
