"""A cloud for one machine, on a loopback port: its metadata service and the APIs of its group.

Written against, in Amazon's documentation: "Use the Instance Metadata Service to access instance
metadata", "Instance metadata categories", "Retrieve security credentials from instance metadata"
and "Spot Instance interruption notices" (EC2 user guide), "Retrieve the target lifecycle state
through instance metadata" (EC2 Auto Scaling user guide). And in OpenStack's: "Metadata service"
(Nova user guide), with its EC2-compatible tree that wants no token. The APIs are
`tests/autoscaling_api.py`.

Session tokens are enforced (401), and signatures are checked with botocore.
"""

import hmac
import json
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Literal
from unittest import mock
from urllib.parse import parse_qsl

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from photo_api.settings.instance import CloudSettings
from tests.amazon_models import error
from tests.autoscaling_api import (
    TargetGroups,
    TerminationHook,
    of_autoscaling,
    of_load_balancing,
)

ROLE = "photo-role"
ERROR_CODES = {403: "AccessDenied", 500: "InternalFailure", 503: "ServiceUnavailable"}
Lost = Literal["before", "after"]
BALANCING = "/balancing"
"""Below it is the API of Elastic Load Balancing."""


class ApiFaults:
    """What is wrong with an API. `statuses` are answered, one to each request, before it works: a
    status, or that and a code. `lost` answers never come: of requests that were not obeyed
    (`before`), or were (`after`). `delay` (seconds) comes before every answer."""

    def __init__(self) -> None:
        self.statuses: deque[int | tuple[int, str]] = deque()
        self.lost: deque[Lost] = deque()
        self.delay = 0.0


class FakeCloud(ThreadingHTTPServer):
    """The attributes are what it answers; tests change them. `status` other than 200 is answered to
    everything below meta-data, 500 to the items in `broken`; `delay` (seconds) comes before every
    answer; `faults` are those of the Auto Scaling API and `balancing` those of Elastic Load
    Balancing. `clock` is how many seconds the APIs are ahead of this machine. `hook` and `groups`
    are what they know of; `requests` are those that they have read."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, provider: Literal["aws", "openstack", "both"] = "aws") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = provider
        self.address = "10.20.30.40"
        self.region = "eu-north-1"
        self.zone = "kr-pub-a"
        self.instance_id = "i-0123456789abcdef0"
        self.uuid = "d8e02d56-2648-49a3-bf97-6be8f1204f38"
        self.target_state: str | None = "InService"
        self.spot: str | None = None
        self.status = 200
        self.broken: set[str] = set()
        self.delay = 0.0
        self.access_key = "ASIAIOSFODNN7EXAMPLE"
        self.secret_key = secrets.token_hex(20)
        self.session_token = secrets.token_hex(30)
        self.faults, self.balancing = ApiFaults(), ApiFaults()
        self.clock = 0.0
        self.hook = TerminationHook()
        self.groups = TargetGroups()
        self.asked: list[str] = []
        self.requests: list[dict[str, str]] = []
        self.tokens: dict[str, float] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def terminate(self) -> None:
        """What the group does to the machine, once its balancer has let go of it."""
        self.target_state = "Terminated"
        self.hook.open()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are none of our business."""


@contextmanager
def running_cloud(provider: Literal["aws", "openstack", "both"] = "aws") -> Iterator[FakeCloud]:
    with FakeCloud(provider) as cloud:
        threading.Thread(target=cloud.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield cloud
        finally:
            cloud.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: FakeCloud

    def do_PUT(self) -> None:
        """A session token, as IMDSv2 gives them; Nova knows no such path."""
        self._begin()
        if self.path != "/latest/api/token" or self.server.provider == "openstack":
            return self._answer(404)
        if self.headers.get("X-Forwarded-For") is not None:
            return self._answer(403)
        lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not lifetime.isdecimal() or not 1 <= int(lifetime) <= 21_600:
            return self._answer(400)
        token = secrets.token_urlsafe(40) + "=="
        self.server.tokens[token] = time.monotonic() + int(lifetime)
        self._answer(200, token, {"X-aws-ec2-metadata-token-ttl-seconds": lifetime})

    def do_GET(self) -> None:
        self._begin()
        if self.path.startswith("/openstack/"):
            found = self._openstack() if self.server.provider != "aws" else None
        elif self.server.provider == "openstack":
            # A clone of EC2's tree as it was in 2009: without regions, roles and notices.
            found = {"local-ipv4": self.server.address, "instance-id": "i-00000001"}.get(
                self.path.removeprefix("/latest/meta-data/")
            )
        elif self.server.tokens.get(self.headers.get("X-aws-ec2-metadata-token", ""), 0) < (
            time.monotonic()
        ):
            return self._answer(401)
        else:
            found = self._amazon()
        if self.server.status != 200:
            return self._answer(self.server.status)
        if self.path.removeprefix("/latest/meta-data/") in self.server.broken:
            return self._answer(500)
        self._answer(404) if found is None else self._answer(200, found)

    def _openstack(self) -> str | None:
        if self.path != "/openstack/latest/meta_data.json":
            return None
        described = {
            "uuid": self.server.uuid,
            "availability_zone": self.server.zone,
            "hostname": "photos.novalocal",
            "launch_index": 0,
            "name": "photos",
        }
        return json.dumps(described)

    def _amazon(self) -> str | None:
        expires = datetime.now(UTC) + timedelta(hours=6)
        key = {
            "Code": "Success",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": self.server.access_key,
            "SecretAccessKey": self.server.secret_key,
            "Token": self.server.session_token,
            "Expiration": f"{expires:%Y-%m-%dT%H:%M:%SZ}",
        }
        items = {
            "instance-id": self.server.instance_id,
            "local-ipv4": self.server.address,
            "placement/region": self.server.region,
            "autoscaling/target-lifecycle-state": self.server.target_state,
            "spot/instance-action": self.server.spot,
            "iam/security-credentials/": ROLE,
            f"iam/security-credentials/{ROLE}": json.dumps(key),
        }
        return items.get(self.path.removeprefix("/latest/meta-data/"))

    def do_POST(self) -> None:
        """The APIs."""
        self._begin()
        is_balancing = self.path.startswith(BALANCING)
        faults = self.server.balancing if is_balancing else self.server.faults
        time.sleep(faults.delay)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        lost = faults.lost.popleft() if faults.lost else None
        status, text = (0, "")
        if lost != "before":
            status, text = self._obey(body, faults, is_balancing=is_balancing)
        if lost:
            self.close_connection = True
        else:
            date = formatdate(time.time() + self.server.clock, usegmt=True)
            self._answer(status, text, {"Date": date})

    def _obey(self, body: bytes, faults: ApiFaults, *, is_balancing: bool) -> tuple[int, str]:
        if faults.statuses:
            told = faults.statuses.popleft()
            status, code = told if isinstance(told, tuple) else (told, "")
            return error(status, code or ERROR_CODES.get(status, "Throttling"))
        if not self._is_signed(body, "elasticloadbalancing" if is_balancing else "autoscaling"):
            return error(403, "SignatureDoesNotMatch")
        form = dict(parse_qsl(body.decode(), strict_parsing=True))
        self.server.requests.append(form)
        groups = self.server.groups
        if is_balancing:
            return of_load_balancing(form, groups)
        return of_autoscaling(form, self.server.hook, groups, self.server.instance_id)

    def _is_signed(self, body: bytes, service: str) -> bool:
        """Whether botocore, given the same request and key, signs it likewise."""
        sent = self.headers.get("Authorization", "")
        date = self.headers.get("X-Amz-Date", "19700101T000000Z")
        token = self.headers.get("X-Amz-Security-Token", "")
        moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        fresh = abs(time.time() + self.server.clock - moment.timestamp()) < 300
        names = sent.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        kept = set(names) - {"host", "x-amz-date", "x-amz-security-token"}
        headers = {name: self.headers[name] for name in kept}
        request = AWSRequest("POST", self.server.url + self.path, headers=headers, data=body)
        key = Credentials(self.server.access_key, self.server.secret_key, self.server.session_token)
        with mock.patch.object(
            botocore.auth, "get_current_datetime", return_value=moment.replace(tzinfo=None)
        ):
            SigV4Auth(key, service, self.server.region).add_auth(request)
        theirs = request.headers["Authorization"]
        return (
            fresh
            and hmac.compare_digest(token, self.server.session_token)
            and hmac.compare_digest(sent.replace(" ", ""), theirs.replace(" ", ""))
        )

    def _begin(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        time.sleep(self.server.delay)

    def _answer(self, status: int, text: str = "", headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response_only(status)
        headers = {"Date": self.date_time_string(), **(headers or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def cloud_settings(metadata_url: str, **changes: Any) -> CloudSettings:
    """Settings that ask this service, look for notices often and name a termination hook."""
    settings = CloudSettings(
        metadata_url=metadata_url,
        metadata_timeout=5.0,
        notice_interval=0.1,
        autoscaling_group="photos",
        lifecycle_hook="drain",
        lifecycle_heartbeat=30.0,
        autoscaling_url=metadata_url,
        load_balancing_url=metadata_url + BALANCING,
    )
    return replace(settings, **changes)


@contextmanager
def raw_server(answer: bytes = b"", pause: float = 0.0, keep_open: bool = False) -> Iterator[str]:
    """The URL of a server that answers every request with these bytes, one each `pause` seconds
    if that is not 0; then it closes the connection, or keeps it open in silence."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.connection.recv(65_536)
                pieces = [answer[at : at + 1] for at in range(len(answer))] if pause else [answer]
                for piece in pieces:
                    self.connection.sendall(piece)
                    time.sleep(pause)
                if keep_open:
                    ended.wait(60)

    class Server(ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

    ended = threading.Event()
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            ended.set()
            server.shutdown()


@contextmanager
def black_hole() -> Iterator[str]:
    """The URL of an address where connections are neither accepted nor refused."""
    with ExitStack() as open_sockets:
        listening = open_sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):  # fill the queue: what comes then is dropped
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
