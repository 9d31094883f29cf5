"""IPv6 beside IPv4, and machines that have one of them alone."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from photo_fleet.render.places import Places
from tests.lifecycle.only_ipv6 import relay
from tests.own_stage import ask, own_database
from tests.photo_fleet.nginx_stage import program, short_folder, spec, write_files
from tests.service import eventually, serving

ONLY_IPV6 = """
ip link set lo up
ip -4 addr flush dev lo
ip -6 addr add 2001:db8::7/64 dev lo nodad
ip -6 route add default dev lo
exec "$@"
"""
IDENTITY = "from photo_api.cloud.identity import own_address; print(own_address())"
LISTENING = """
import socket
from photo_api.supervisor.listening import listen
listening = listen("::", 0)
port = listening.getsockname()[1]
for host in {hosts}:
    socket.create_connection((host, port), timeout=5).close()
print("reached")
"""

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"),
    reason="only root makes a network namespace, with iproute2",
)


def without_ipv4(*command: str) -> str:
    done = subprocess.run(
        ["unshare", "-n", "sh", "-ec", ONLY_IPV6, "sh", *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_namespaces
def test_an_instance_without_ipv4_is_called_by_its_ipv6_address() -> None:
    assert without_ipv4(sys.executable, "-c", IDENTITY) == "2001:db8::7"


@needs_namespaces
def test_an_instance_without_ipv4_listens() -> None:
    hosts = ["::1", "2001:db8::7"]
    assert without_ipv4(sys.executable, "-c", LISTENING.format(hosts=hosts)) == "reached"


@needs_namespaces
def test_the_default_listens_on_both_families() -> None:
    """In a namespace, for it listens on every address."""
    script = LISTENING.format(hosts=["::1", "127.0.0.1"])
    up = ["unshare", "-n", "sh", "-ec", 'ip link set lo up; exec "$@"', "sh"]
    done = subprocess.run(
        [*up, sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "reached", done.stderr


@pytest.mark.needs("nginx")
@needs_namespaces
def test_nginx_listens_on_both_families(tmp_path: Path) -> None:
    """Below a port that nobody else has, for the namespace is its own."""
    places = Places(
        prefix=f"{tmp_path}/nginx", run=f"{tmp_path}/run", logs=f"{tmp_path}/logs",
        temp=f"{tmp_path}/temp", port=8099, user="root",
    )  # fmt: skip
    fleet = spec(membership="reload")
    (tmp_path / "nginx").mkdir()
    write_files(fleet, places)
    shutil.copy(f"{places.prefix}/members.conf", places.members_include)
    fetch = f"""
    {program()} -c {places.prefix}/nginx.conf & started=$!
    for _ in $(seq 100); do
        curl -s -o /dev/null http://[::1]:8099/ && break
        sleep 0.1
    done
    for url in $URLS; do curl -s -o /dev/null -w '%{{http_code}} ' $url/; done
    kill $started
    wait
    """
    urls = "http://[::1]:8099 http://[2001:db8::7]:8099"
    assert without_ipv4("env", f"URLS={urls}", "sh", "-c", fetch) == "503 503"  # no member yet


@pytest.mark.slow
@pytest.mark.needs("nginx")
@needs_namespaces
def test_a_person_uploads_where_there_is_no_ipv4(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> None:
    """The whole of it: nginx, an instance, and the store behind signed URLs."""
    store = urlsplit(environ["PHOTO_API_S3_ENDPOINT"])
    with short_folder() as folder, own_database(stack, environ) as settings:
        relay(
            partial(asyncio.start_unix_server, path=folder / "store.sock"),
            partial(asyncio.open_connection, store.hostname, store.port),
        )
        program_of_it = [sys.executable, "-m", "tests.lifecycle.only_ipv6"]
        told = without_ipv4(*program_of_it, str(folder), json.dumps(settings))
    assert told == "uploaded"


def test_an_instance_on_ipv6_serves_and_is_registered(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> None:
    with (
        own_database(stack, environ) as settings,
        serving(settings, tmp_path / "log", "--host", "::1") as service,
    ):
        url = service.url.replace("127.0.0.1", "[::1]")

        def is_healthy() -> bool:
            try:
                return httpx.get(f"{url}/health").status_code == 200
            except httpx.TransportError:
                return False

        eventually(is_healthy, 30)
        assert httpx.get(f"{url}/api/").json()["name"] == "Photo API"
        eventually(lambda: ask(settings, "SELECT FROM instances WHERE address = '::1'"))
