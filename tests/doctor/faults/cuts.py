"""Faults of which requests are cut when an instance leaves."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.doctor.faults.fault import Fault
from tests.doctor.faults.sinks import collector
from tests.doctor.ground import Ground, family, requests, stopped
from tests.service import eventually

SHORT = {
    "PHOTO_API_LAME_DUCK": "2",
    "PHOTO_API_DRAIN_WAIT": "1",
    "PHOTO_API_LOG_FLUSH": "1",
}
LONG_BODY = {"PHOTO_API_BODY_TIMEOUT": "90"}
"""Otherwise an instance refuses after 30 s what still comes in, and its drain is over."""


def ready_port(ground: Ground, name: str) -> int:
    """Of the boot of this instance that is ready."""
    ready = "SELECT port FROM instances WHERE instance = $1 AND state = 'ready'"
    [(port,)] = ground.ask(ready, name)
    return int(port)


@contextmanager
def uploading(address: str, seconds: float) -> Iterator[None]:
    """A client sends a body in small pieces to an instance, for so long."""
    host, port = address.split(":")
    stop = threading.Event()
    with socket.create_connection((host, int(port)), 5) as client:
        client.sendall(
            b"POST /api/auth/login HTTP/1.1\r\nHost: photos\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10000\r\n\r\n"
        )

        def send() -> None:
            until = time.monotonic() + seconds
            with suppress(OSError):
                while time.monotonic() < until and not stop.wait(0.2):
                    client.sendall(b" ")

        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        time.sleep(0.5)
        yield
        stop.set()
        sending.join(5)


@contextmanager
def cut_upload(ground: Ground, **environ: str) -> Iterator[None]:
    """An instance leaves while a client is not done."""
    with ground.replaced(**{**SHORT, **environ}) as one:
        with uploading(f"{one['name']}:{one['port']}", 40):
            ground.order(do="drain", name=one["name"])
        yield


@contextmanager
def cut_download(ground: Ground) -> Iterator[None]:
    """An instance leaves while a client reads slowly what it was sent."""
    with ground.replaced(**SHORT) as one:
        with socket.create_connection((one["name"], one["port"]), 5) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            # Whatever is large: many at once, and nothing is read of them.
            client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: photos\r\n\r\n" * 200)
            time.sleep(1)
            ground.order(do="drain", name=one["name"])
        yield


@contextmanager
def signalled(ground: Ground, *steps: tuple[float, signal.Signals]) -> Iterator[None]:
    """An instance gets these signals after so many seconds each, with a client that holds it up."""
    with ground.beside("127.0.1.69", environ={"PHOTO_API_DRAIN_WAIT": "25"}) as process:
        port = ready_port(ground, "127.0.1.69")
        with uploading(f"127.0.1.69:{port}", 30):
            for pause, number in steps:
                time.sleep(pause)
                if number == signal.SIGKILL:
                    for pid in reversed(family(process.pid)):
                        os.kill(pid, number)
                else:
                    process.send_signal(number)
            process.wait(60)
        lost = "SELECT 1 FROM instance_receipts WHERE instance = '127.0.1.69'"
        until = time.monotonic() + 45
        while not ground.ask(lost) and time.monotonic() < until:
            time.sleep(0.5)
        yield


@contextmanager
def long_drain(ground: Ground, **environ: str) -> Iterator[None]:
    """An instance needs nearly all of its grace, and ends by itself."""
    with ground.replaced(**environ, **LONG_BODY) as one:
        with uploading(f"{one['name']}:{one['port']}", 60):
            ground.order(do="drain", name=one["name"])
        # A receipt does not tell the grace that its instance had: the spec does.
        with ground.spec(drain__grace=float(environ["PHOTO_API_GRACE"])):
            yield


@contextmanager
def endless_drain(ground: Ground) -> Iterator[None]:
    """An instance that was given much more time than the fleet's drains goes on with one."""
    environ = {"PHOTO_API_DRAIN_WAIT": "90", "PHOTO_API_GRACE": "120", **LONG_BODY}
    with ground.beside("127.0.1.74", environ=environ) as process:
        port = ready_port(ground, "127.0.1.74")
        with uploading(f"127.0.1.74:{port}", 60), ground.spec(drain__grace=10.0):
            process.terminate()
            draining = "SELECT FROM instances WHERE instance = '127.0.1.74' AND state = 'draining'"
            eventually(lambda: ground.ask(draining), 10, 0.1)
            time.sleep(27)
            yield


@contextmanager
def not_let_go(ground: Ground, silent_for: float) -> Iterator[None]:
    """An instance leaves while what keeps nginx's members stands still."""
    with ground.beside("127.0.1.71", environ={"PHOTO_API_LAME_DUCK": "4"}) as process:
        with stopped([ground.up.process.pid]):
            time.sleep(silent_for)
            process.terminate()
            process.wait(60)
        yield


@contextmanager
def lines_left(ground: Ground, status: int | None) -> Iterator[None]:
    """An instance leaves while its log lines are on their way to one who does not take them."""
    with collector(status) as url:
        environ = {
            "PHOTO_API_LOG_LOKI_URL": url,
            "PHOTO_API_LOG_FLUSH": "1",
            "PHOTO_API_LOG_QUEUE": "10000",
        }
        with ground.replaced(**environ) as one:
            requests(f"http://{one['name']}:{one['port']}", "/api/photos/", 2.0)
            ground.order(do="drain", name=one["name"])
            yield


def server(ground: Ground, **settings: str) -> object:
    return ground.replaced(**{f"PHOTO_API_{name}": value for name, value in settings.items()})


MODERN = r"^\s+proxy_http_version 1\.1;\n"
NEXT = r"proxy_next_upstream error timeout;"

FAULTS = (
    Fault(
        "spec-contradicts",
        "a grace that is shorter than its parts",
        lambda ground: ground.spec(drain__grace=40.0),
    ),
    Fault(
        "spec-contradicts",
        "an instance ends idle connections before nginx",
        lambda ground: ground.spec(service__keep_alive=30.0),
    ),
    Fault(
        "spec-contradicts",
        "a platform that kills before the grace is over",
        lambda ground: ground.spec(drain__kill_delay=45.0),
    ),
    Fault(
        "reality-contradicts",
        "an instance ends idle connections before nginx does",
        lambda ground: ground.replaced(PHOTO_API_KEEP_ALIVE="20"),
    ),
    Fault(
        "reality-contradicts",
        "nginx keeps idle connections longer than instances",
        lambda ground: ground.nginx((r"keepalive_timeout 60s;", "keepalive_timeout 200s;")),
    ),
    Fault(
        "reality-contradicts",
        "nginx waits longer for an answer than a drain does",
        lambda ground: ground.nginx((r"proxy_read_timeout 30s;", "proxy_read_timeout 300s;")),
    ),
    Fault(
        "reality-differs",
        "an instance waits 20 s for requests",
        lambda ground: ground.replaced(PHOTO_API_DRAIN_WAIT="20"),
    ),
    Fault(
        "reality-differs",
        "nginx gives an answer 10 s",
        lambda ground: ground.nginx((r"proxy_read_timeout 30s;", "proxy_read_timeout 10s;")),
    ),
    Fault(
        "reality-differs",
        "an instance with a pool of 9",
        lambda ground: ground.replaced(PHOTO_API_DATABASE_POOL="9"),
    ),
    Fault(
        "unit-kills",
        "TimeoutStopSec=30 in the unit",
        lambda ground: ground.unit((r"^TimeoutStopSec=.*", "TimeoutStopSec=30")),
        slow=True,
    ),
    Fault(
        "unit-kills",
        "KillMode=control-group in the unit",
        lambda ground: ground.unit((r"^KillMode=.*", "KillMode=control-group")),
    ),
    Fault(
        "unit-kills",
        "no KillMode in the unit",
        lambda ground: ground.unit((r"^KillMode=.*\n", "")),
    ),
    Fault(
        "unit-kills",
        "a drop-in of somebody with TimeoutStopSec=0.5min",
        lambda ground: ground.drop_in("[Service]\nTimeoutStopSec=0.5min\n"),
    ),
    Fault(
        "unit-kills",
        "a drop-in below /run with TimeoutSec=20",
        lambda ground: ground.drop_in("[Service]\nTimeoutSec=20\n", "run/systemd/system"),
    ),
    Fault(
        "unit-kills",
        "a drop-in with KillSignal=SIGKILL",
        lambda ground: ground.drop_in("[Service]\nKillSignal=SIGKILL\n"),
    ),
    Fault(
        "proxy-without-keep-alive",
        "no proxy_http_version in nginx",
        lambda ground: ground.nginx((MODERN, "")),
        slow=True,
    ),
    Fault(
        "proxy-without-keep-alive",
        "no keepalive in the upstream",
        lambda ground: ground.nginx((r"^\s+keepalive 64;\n", "")),
    ),
    Fault(
        "proxy-without-keep-alive",
        "Connection: close to instances",
        lambda ground: ground.nginx(
            (r'proxy_set_header Connection "";', "proxy_set_header Connection close;")
        ),
    ),
    Fault(
        "proxy-retries",
        "proxy_next_upstream non_idempotent",
        lambda ground: ground.nginx((NEXT, "proxy_next_upstream error timeout non_idempotent;")),
    ),
    Fault(
        "proxy-retries",
        "proxy_next_upstream off",
        lambda ground: ground.nginx((NEXT, "proxy_next_upstream off;")),
    ),
    Fault(
        "proxy-retries",
        "proxy_next_upstream_tries 1",
        lambda ground: ground.nginx(
            (r"proxy_next_upstream_tries 2;", "proxy_next_upstream_tries 1;")
        ),
    ),
    Fault(
        "never-deregistered",
        "an instance leaves while the balancer stands still",
        lambda ground: not_let_go(ground, 0),
    ),
    Fault(
        "never-deregistered",
        "an instance leaves when the balancer has been silent for 25 s",
        lambda ground: not_let_go(ground, 25),
    ),
    Fault("drain-cut", "an upload takes longer than the drain waits", cut_upload),
    Fault("drain-cut", "a client reads more slowly than the drain waits", cut_download),
    Fault(
        "drain-killed",
        "a drain is killed after 3 s",
        lambda ground: signalled(ground, (0, signal.SIGTERM), (3, signal.SIGKILL)),
    ),
    Fault(
        "drain-killed",
        "a drain is broken off by a second signal",
        lambda ground: signalled(ground, (0, signal.SIGTERM), (3, signal.SIGTERM)),
    ),
    Fault(
        "drain-long",
        "a drain that needs 41 of 45 s",
        lambda ground: long_drain(
            ground,
            PHOTO_API_LAME_DUCK="0.5",
            PHOTO_API_DRAIN_WAIT="40",
            PHOTO_API_LOG_FLUSH="0.5",
            PHOTO_API_GRACE="45",
        ),
    ),
    Fault(
        "drain-long",
        "a drain that goes on long after the fleet's grace",
        endless_drain,
        patience=10,
    ),
    Fault(
        "flush-short",
        "log lines to one who does not answer, at the end",
        lambda ground: lines_left(ground, None),
    ),
    Fault(
        "flush-short",
        "log lines to one who answers 503, at the end",
        lambda ground: lines_left(ground, 503),
    ),
)
