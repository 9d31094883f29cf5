"""Free TCP ports on the loopback address."""

import errno
import random
import socket
from collections.abc import Iterator

from photo_base.processes import CannotStart

# Below the kernel's own range (32768 and up), also with SeaweedFS's 10000 on top, so that no
# outgoing connection takes a port between its choice and its use.
LOWEST, HIGHEST = 12_000, 22_700
GRPC_OFFSET = 10_000


class PortTaken(CannotStart):
    """The port that was asked for belongs to another program; `variable` is where to change it."""

    def __init__(self, variable: str, port: int) -> None:
        super().__init__(
            f"{variable} {port} is taken by another program; end that one, or choose another port"
            f" with {variable}=…"
        )


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens there. Raises `OSError` for a host that is not this machine's."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: connections in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_ports() -> Iterator[int]:
    """Ever more different ports that are free together with the port 10000 above each."""
    candidates = list(range(LOWEST, HIGHEST))
    random.shuffle(candidates)
    for port in candidates:
        if is_free(port) and is_free(port + GRPC_OFFSET):
            yield port


def free_port() -> int:
    """One free port."""
    return next(free_ports())
