"""What another user of the machine reaches of the embedded parts: nothing. Where root runs the
tests the other user is `nobody`, otherwise it is this one without the secrets."""

import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from photo_base.embedded import EmbeddedAddresses
from photo_local.seaweed import BUCKET, _weed
from self_test.harm import filer_token
from tests.embedded.servers import Bucket, Command, embedded

NOBODY = 65534
KEY, KEPT = "photos/kept", b"kept " * 4000
FORGED = b"forged"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("closed")


@pytest.fixture(scope="module")
def running(data: Path) -> Iterator[Command]:
    with embedded(data) as command:
        bucket_of(command).put(KEY, KEPT)
        yield command


@pytest.fixture(scope="module")
def ports(data: Path, running: Command) -> dict[str, int]:
    return dict(json.loads((data / "seaweed" / "ports.json").read_text()))


def bucket_of(command: Command) -> Bucket:
    return Bucket(EmbeddedAddresses(**command.addresses))


def as_another(*command: str, feed: str = "") -> subprocess.CompletedProcess[str]:
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command,
        input=feed,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        **other,
    )


def volume_file(port: int) -> str:
    """An id that any volume would know: the first file of the first volume."""
    return f"http://127.0.0.1:{port}/1,01000000aa"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "path", ["/", f"/buckets/{BUCKET}/", f"/buckets/{BUCKET}/{KEY}", "/etc/iam/identity.json"]
)
def test_the_filer_wants_a_token(
    running: Command, ports: dict[str, int], method: str, path: str
) -> None:
    headers = {"Origin": "https://elsewhere.example"}
    url = f"http://127.0.0.1:{ports['filer']}{path}"
    answer = httpx.request(method, url, headers=headers, content=FORGED)
    if method != "OPTIONS":
        assert answer.status_code in (401, 403)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert bucket_of(running).get(KEY) == KEPT


def test_who_has_the_key_of_the_filer_is_let_in(running: Command, ports: dict[str, int]) -> None:
    bucket_of(running).put("photos/removed", KEPT)
    url = f"http://127.0.0.1:{ports['filer']}/buckets/{BUCKET}/photos/removed"
    token = filer_token(running.addresses["pids"]["seaweed"])
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.delete(url, headers=headers).status_code == 204


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_the_volumes_want_a_token(ports: dict[str, int], method: str) -> None:
    assert httpx.request(method, volume_file(ports["volume"])).status_code == 401


@pytest.mark.parametrize("path", ["/dir/assign", "/dir/lookup?volumeId=1", "/dir/status", "/"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_master_hands_out_no_tokens(ports: dict[str, int], path: str, scheme: str) -> None:
    try:
        answer = httpx.get(f"{scheme}://127.0.0.1:{ports['master']}{path}", verify=False)
    except httpx.TransportError:
        return  # no certificate, no answer
    assert answer.status_code == 400
    assert "HTTPS" in answer.text


STATE = {("volume", "/status"), ("volume", "/healthz"), ("filer", "/healthz")}
STATE |= {("s3", "/status"), ("s3", "/healthz")}
"""What the store tells everybody: that it runs, and how much it holds."""


@pytest.mark.parametrize(
    "path",
    ["/", "/metrics", "/health", "/healthz", "/status", "/ui/index.html", "/stats/disk",
     "/debug/pprof/", "/api/users", "/cluster/status", "/vol/status", f"/{BUCKET}/{KEY}"],
)  # fmt: skip
def test_no_port_of_the_store_answers_whoever_asks(
    running: Command, ports: dict[str, int], path: str
) -> None:
    """All that it listens on, which is more than we have chosen."""
    names = {port: name for name, port in ports.items()}
    found = psutil.Process(running.addresses["pids"]["seaweed"]).net_connections("inet")
    listening = {item.laddr.port for item in found if item.status == psutil.CONN_LISTEN}
    assert set(names) <= listening
    answered = {}
    for port in listening:
        for scheme in ("http", "https"):
            with suppress(httpx.TransportError):
                answer = httpx.get(f"{scheme}://127.0.0.1:{port}{path}", verify=False)
                answered[names.get(port, str(port)), path] = answer.status_code
    others = {place: code for place, code in answered.items() if place not in STATE}
    assert set(others.values()) <= {400, 401, 403}


@pytest.mark.parametrize("secure", [False, True])
def test_no_port_speaks_grpc_without_a_certificate(running: Command, secure: bool) -> None:
    found = psutil.Process(running.addresses["pids"]["seaweed"]).net_connections("inet")
    listening = {item.laddr.port for item in found if item.status == psutil.CONN_LISTEN}
    assert len(listening) >= 10
    assert {port: said for port in listening if (said := grpc_settings(port, secure))} == {}


def grpc_settings(port: int, secure: bool) -> bytes:
    """The frame by which a server of gRPC begins, b"" if it does not."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    trusting.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            client = trusting.wrap_socket(plain) if secure else plain
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            said = client.recv(9)
    except OSError:
        return b""
    return said if said[3:5] == b"\4\0" else b""


@pytest.mark.slow
def test_the_shell_of_the_store_opens_for_nobody(running: Command, ports: dict[str, int]) -> None:
    path = f"/buckets/{BUCKET}/{KEY}"
    with subprocess.Popen(
        [
            *(_weed(), "shell", f"-master=127.0.0.1:{ports['master']}"),
            f"-filer=127.0.0.1:{ports['filer']}",
        ],
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as shell:
        try:
            said, _ = shell.communicate(f"fs.ls -l {path}\nfs.rm {path}\n".encode(), timeout=5)
        except subprocess.TimeoutExpired:
            shell.kill()  # it tries again for ever
            said, _ = shell.communicate()
    assert b" kept" not in said
    assert bucket_of(running).get(KEY) == KEPT


REACHED = """
import json, os, pathlib, socket, sys
reached = []
for place in map(pathlib.Path, json.loads(sys.stdin.read())):
    try:
        if place.is_socket():
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(place))
        elif place.is_dir():
            os.listdir(place)
        else:
            place.read_bytes()
        reached.append(str(place))
    except OSError:
        pass
print(json.dumps(reached))
"""


@pytest.mark.needs("/usr/bin/python3")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_reads_no_file_and_connects_to_no_socket(data: Path, running: Command) -> None:
    for folder in (data, *data.parents):
        if folder.name.startswith("pytest"):
            folder.chmod(0o755)  # the parts protect themselves, not what is above them
    listening = psutil.Process(running.addresses["pids"]["seaweed"]).net_connections("unix")
    sockets = [str(item.laddr) for item in listening if str(item.laddr).startswith("/")]
    assert sockets
    inside = [str(path) for path in data.rglob("*") if path.name != "lock"]
    answer = as_another("/usr/bin/python3", "-I", "-c", REACHED, feed=json.dumps(inside + sockets))
    reached = json.loads(answer.stdout)
    assert [place for place in reached if Path(place) not in (data, data / "logs")] == []
