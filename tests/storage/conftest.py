"""A real SeaweedFS for the session; every test gets the same bucket and keys of its own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen
from uuid import uuid4

import pytest

from photo_api.storage.bucket import Bucket, create_bucket, put_bucket_cors
from photo_api.storage.credentials import StaticCredentials

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"
UPLOAD_ORIGIN = "https://photos.example"


def _free_ports(count: int) -> list[int]:
    """Ports that are free and so is each + 10000 (SeaweedFS's gRPC)."""
    found: list[int] = []
    base = 20_000 + os.getpid() % 20_000
    for port in range(base, 55_000):
        try:
            for number in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports for SeaweedFS")


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    weed = Path(sys.executable).with_name("weed")
    identity = {
        "name": "app",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, s3, admin = _free_ports(5)
    command = [
        *("setpriv", "--pdeathsig", "KILL", str(weed), "mini", f"-dir={folder}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}"),
        *(f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
        *(f"-admin.port={admin}", f"-s3.config={folder / 's3.json'}"),
    ]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "GOMEMLIMIT": "256MiB"},
        )
    return process, f"http://127.0.0.1:{s3}"


def _wait(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{endpoint}/healthz", timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError("SeaweedFS did not start")


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket with CORS on a SeaweedFS of this session's own."""
    folder = tmp_path_factory.mktemp("seaweed")
    process, endpoint = _start(folder)
    try:
        _wait(endpoint, process)
        made = Bucket(endpoint, "photos", "us-east-1", StaticCredentials(ACCESS_KEY, SECRET_KEY))
        deadline = time.monotonic() + 30
        while True:
            try:
                create_bucket(made)
                break
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        put_bucket_cors(made, [UPLOAD_ORIGIN])
        yield made
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test writes under."""
    return f"test-{uuid4().hex}/"
