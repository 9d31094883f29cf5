"""Where a local fleet keeps its things, all below one folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from photo_base.processes import CannotStart
from photo_fleet.balancer.database_address import VARIABLE, DatabaseAddress

DEFAULT_DATA = Path("data/fleet")

LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path, by unix(7)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of the fleet in `data`, an absolute path."""

    data: Path

    @property
    def embedded(self) -> Path:
        """Of the database and the store."""
        return self.data / "embedded"

    @property
    def run(self) -> Path:
        """Of sockets."""
        return self.data / "run"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def nginx(self) -> Path:
        """Of the rendered configuration."""
        return self.data / "nginx"

    @property
    def temp(self) -> Path:
        """Of uploads that nginx is taking in."""
        return self.data / "temp"

    @property
    def balancer(self) -> Path:
        """Of what the balancer remembers."""
        return self.data / "balancer"

    @property
    def secrets(self) -> Path:
        return self.data / "fleet-secrets.json"

    @property
    def secret_files(self) -> Path:
        """Of the instances' secrets, as on a machine with the rendered unit."""
        return self.data / "secrets"

    @property
    def database_address(self) -> DatabaseAddress:
        """The database's, once the secrets are there. Raises `Unusable`."""
        file = self.secret_files / "database-url"
        return DatabaseAddress(None, {f"{VARIABLE}_FILE": str(file)})

    @property
    def control(self) -> Path:
        """The socket by which other terminals reach this fleet."""
        return self.run / "fleet.sock"

    @property
    def _folders(self) -> tuple[Path, ...]:
        places = self.run, self.logs, self.nginx, self.temp
        return (*places, self.balancer, self.secret_files)

    def prepare(self) -> None:
        """Make the folders, for our user alone. Raises `CannotStart`."""
        longest = max(len(os.fsencode(self.run / name)) for name in ("members.sock", "fleet.sock"))
        if longest > LONGEST_SOCKET:
            raise CannotStart(
                f"the path {self.data} is {longest - LONGEST_SOCKET} bytes too long for the sockets"
                " in it; choose a shorter --data"
            )
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            for folder in self._folders:
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CannotStart(
                f"cannot write to {error.filename}: {error.strerror}; choose another --data"
            ) from None
