"""An instance that was started with less than it would give itself: already nice, with hard limits
below its own, without the right to raise either, and where /proc tells of processes only."""

import json
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.own_stage import ask, own_database
from tests.service import eventually, serving

START = """#!/bin/sh
ulimit -n 256; ulimit -f 400; ulimit -v 1900000
exec {with_few_rights} nice -n 15 {python} "$@"
"""
OF_ROOT = (
    "unshare --mount sh -c 'mount -t proc -o subset=pid proc /proc && exec setpriv"
    ' --bounding-set=-sys_nice,-sys_resource "$@"\' sh'
)
"""Root would be allowed all of it."""

needs_tools = pytest.mark.skipif(
    os.geteuid() == 0 and not (shutil.which("unshare") and shutil.which("setpriv")),
    reason="root gives up no right without them",
)


@needs_tools
def test_an_instance_with_few_rights_serves_all_the_same(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> None:
    is_root = os.geteuid() == 0
    start = tmp_path / "python"
    start.write_text(
        START.format(with_few_rights=OF_ROOT if is_root else "", python=sys.executable)
    )
    start.chmod(stat.S_IRWXU)
    with (
        own_database(stack, environ) as settings,
        serving(settings, tmp_path / "log", python=str(start)) as service,
    ):
        eventually(service.is_healthy, 30)
        with service.new_user() as user:
            assert user.login().status_code == 200
            photo = user.rendered(user.upload()["id"])
        assert photo["renditions"] == "ready", service.log
        [row] = ask(settings, "SELECT load FROM instances")
        assert ("cpu_percent", None) in json.loads(row["load"]).items() or not is_root
        assert service.stop() == 0
    assert "Traceback" not in service.log
