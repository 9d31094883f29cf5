"""A name server that answers nothing: whoever waits for it, the end of an instance does not."""

import os
import shutil
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service, eventually, serving

NAME_SERVER = "127.53.0.9"

START = """#!/bin/sh
exec unshare --mount sh -c 'mount --bind {resolver} /etc/resolv.conf && exec {python} "$@"' sh "$@"
"""


@pytest.fixture
def no_names(tmp_path: Path) -> Iterator[str]:
    """A Python that asks a name server of its own, which takes questions and no more."""
    resolver, start = tmp_path / "resolv.conf", tmp_path / "python"
    resolver.write_text(f"nameserver {NAME_SERVER}\noptions timeout:30 attempts:5\n")
    start.write_text(START.format(resolver=resolver, python=sys.executable))
    start.chmod(stat.S_IRWXU)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((NAME_SERVER, 53))
        yield str(start)


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="only root gives out name servers"
)
def test_an_end_waits_for_no_name(environ: dict[str, str], tmp_path: Path, no_names: str) -> None:
    """A look-up takes minutes then; all processes have some under way."""
    away = {
        "PHOTO_API_DATABASE_URL": "postgresql://photo:api@database.example:5432/photo",
        "PHOTO_API_PUSHGATEWAY": "http://gateway.example:9091",
        "PHOTO_API_PUSH_INTERVAL": "1",
    }
    with serving(environ | away, tmp_path / "log", python=no_names) as service:
        eventually(lambda: _asked(service), 30)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0, service.log
    assert '"ending":"drained"' in service.log, service.log
    assert "never retrieved" not in service.log


def _asked(service: Service) -> bool:
    return "registry not written" in service.log and "cannot be pushed" in service.log
