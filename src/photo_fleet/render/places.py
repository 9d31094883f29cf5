"""Where the balancer's files are on its host."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LUA_MODULE = "ngx_http_lua_module.so"
NDK_MODULE = "ndk_http_module.so"


@dataclass(frozen=True, slots=True)
class Places:
    """The defaults are those of a host of its own; `below` is for a fleet of one machine.

    The folders exist before nginx starts. `run` holds the pid, the members' file and the control
    socket. Writers to the socket decide where requests go: keep it closed to others.
    """

    prefix: str = "/etc/photo-fleet/nginx"
    """The rendered files, as nginx finds them at run time."""
    run: str = "/run/photo-fleet"
    logs: str = "/var/log/photo-fleet"
    temp: str = "/var/lib/photo-fleet"
    """Bodies of uploads while they come in."""
    cache: str = "/var/cache/photo-fleet"
    """What the edge keeps of the store."""
    edge_keys: str = "/etc/photo-fleet/edge-keys.conf"
    """What `photo-fleet edge-keys` writes: the secrets that the edge verifies with."""
    state: str = "/var/lib/photo-fleet"
    """Of what `photo-fleet balance` remembers."""
    modules: str = "/usr/lib/nginx/modules"
    address: str = "0.0.0.0"  # noqa: S104  (a balancer is there to be reached)
    address6: str = "[::]"
    """The same of IPv6; empty: IPv4 alone."""
    port: int | None = None
    """Plain HTTP; None: the spec's `balancer.port`."""
    tls_port: int = 443
    """Where HTTPS answers when the spec names a certificate; `port` then redirects."""
    user: str = ""
    """The user of the workers of a master that is root; empty: nginx is started as its user."""
    resolver: str = ""
    """Name servers for a store that is named and not numbered; empty: looked up once, at start."""

    @property
    def pid_file(self) -> str:
        return f"{self.run}/nginx.pid"

    @property
    def members_socket(self) -> str:
        """The control API. Remove one that a killed nginx left before nginx starts anew."""
        return f"{self.run}/members.sock"

    @property
    def members_file(self) -> str:
        """The last set, a line for each member, which Lua keeps itself."""
        return f"{self.run}/members.list"

    @property
    def members_file_before(self) -> str:
        """The same as earlier releases kept it, in JSON: read where the other is not there yet."""
        return f"{self.run}/members.json"

    @property
    def members_include(self) -> str:
        """With membership by reload: the upstream, which must exist before nginx starts."""
        return f"{self.run}/members.conf"

    @property
    def access_log(self) -> str:
        return f"{self.logs}/access.log"

    @property
    def error_log(self) -> str:
        return f"{self.logs}/error.log"

    @classmethod
    def below(cls, folder: Path, port: int, address: str = "127.0.0.1") -> Self:
        """Everything below one folder of the caller's; no root needed. Its parts (`nginx`, `run`,
        `logs`, `temp`, `cache`) are to be made by the caller."""
        return cls(
            prefix=str(folder / "nginx"),
            run=str(folder / "run"),
            logs=str(folder / "logs"),
            temp=str(folder / "temp"),
            cache=str(folder / "cache"),
            edge_keys=str(folder / "secrets" / "edge-keys.conf"),
            state=str(folder / "balancer"),
            address=address,
            address6="",
            port=port,
            # Otherwise the workers of a master that is root are `nobody`, which can write nowhere
            # here.
            user="root" if os.geteuid() == 0 else "",
        )
