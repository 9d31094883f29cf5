"""Tells systemd of readiness and stopping: sd_notify(3), protocol version 1."""

import socket
from collections.abc import Mapping

PATIENCE = 1.0
"""Seconds after which a manager that does not read is given up: fewer than `/health` may take."""


def notify(environ: Mapping[str, str], state: str) -> bool:
    """Send lines such as `READY=1` to the service manager; whether there is one that took them."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.settimeout(PATIENCE)
            manager.sendto(state.encode(), address)
    except OSError:
        return False
    return True
