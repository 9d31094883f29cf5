"""Where a local fleet keeps its things, all below one folder."""

import os
from pathlib import Path

from photo_base.processes import CannotStart
from photo_fleet.balancer.database_address import VARIABLE, DatabaseAddress

DEFAULT_DATA = Path("data/fleet")

LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path, by unix(7)."""


class Layout:
    """The folders of the fleet in `data`, an absolute path."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.embedded = data / "embedded"
        """Of the database and the store."""
        self.run = data / "run"
        """Of sockets; `control` is the one by which other terminals reach this fleet."""
        self.control = self.run / "fleet.sock"
        self.logs = data / "logs"
        self.nginx = data / "nginx"
        """Of the rendered configuration."""
        self.temp = data / "temp"
        """Of uploads that nginx is taking in."""
        self.cache = data / "cache"
        """Of images that nginx keeps."""
        self.balancer = data / "balancer"
        """Of what the balancer remembers."""
        self.deploys = data / "deploys.json"
        """Of what was deployed, and of a deploy that has not ended."""
        self.spec = data / "fleet.toml"
        """What this fleet carries out: a `local_spec`."""
        self.environment = data / "photo-api.env"
        """That of its instances, as it is rendered for machines."""
        self.secrets = data / "fleet-secrets.json"
        self.secret_files = data / "secrets"
        """Of the instances' secrets, as on a machine with the rendered unit."""

    @property
    def database_address(self) -> DatabaseAddress:
        """The database's, once the secrets are there. Raises `Unusable`."""
        file = self.secret_files / "database-url"
        return DatabaseAddress(None, {f"{VARIABLE}_FILE": str(file)})

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
            folders = self.run, self.logs, self.nginx, self.temp, self.cache, self.balancer
            for folder in (*folders, self.secret_files):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CannotStart(
                f"cannot write to {error.filename}: {error.strerror}; choose another --data"
            ) from None
