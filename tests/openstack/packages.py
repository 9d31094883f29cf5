"""Where Swift's and Keystone's programs are; they are installed when they are first wanted."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

_SCRIPT = Path(__file__).parents[2] / "scripts/openstack-packages"


@cache
def programs() -> Path:
    """The folder of `swift-proxy-server`, `keystone-manage` and their `python`. The first call on a
    machine takes half a minute."""
    environ = os.environ | {"PYTHON": sys.executable}
    done = subprocess.run([_SCRIPT], env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())
