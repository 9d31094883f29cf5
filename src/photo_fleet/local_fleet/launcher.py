"""How instances of a local fleet are started: the command, and an environment from the spec."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from photo_base.embedded import EmbeddedAddresses
from photo_base.environment import PREFIX
from photo_base.processes import CannotStart, Program, Running, write
from photo_fleet.group.instance import Release
from photo_fleet.group.local import Refused
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.local_spec import front_ends
from photo_fleet.local_fleet.secrets import Secrets
from photo_fleet.render import environment
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.settings import paths
from photo_fleet.spec.settings import secrets as instance_secrets

LONGEST_MIGRATION = 600.0
READABLE = 0o640


class Launcher:
    """Makes releases and the programs that are instances of `fleet`, a `local_spec`. PHOTO_API_
    variables of this process reach the instances, unless the spec or the stage decides about
    them."""

    def __init__(
        self,
        fleet: Fleet,
        layout: Layout,
        addresses: EmbeddedAddresses,
        secrets: Secrets,
        environ: Mapping[str, str],
    ) -> None:
        self._workers = fleet.service.workers
        self._layout = layout
        rendered = environment.files(fleet)["photo-api.env"]
        write(layout.environment, rendered)
        ours = environment.variables(rendered) | _beside(fleet, layout)
        secret = {item.variable: item for item in instance_secrets(fleet)}
        removed = {f"{name}_FILE" for name in ours} | {PREFIX + name for name in secret}
        inherited = {name: value for name, value in environ.items() if name not in removed}
        files = paths(secret.values(), str(layout.secret_files))
        self._environ = inherited | ours | files
        for variable, text in _secret(addresses, secrets).items():
            write(layout.secret_files / secret[variable].name, text + "\n", READABLE)
        self._releases = 0

    def again(self, former: Release) -> Release:
        """One that was made before, perhaps by another process, with its number. Raises `Refused`
        when it is no longer there."""
        self._releases = max(self._releases, former.number)
        found = self.release(former.folder, former.number)
        return replace(found, environ={**found.environ, **former.environ})

    def release(self, folder: Path | None, number: int | None = None) -> Release:
        """The next release, or the one with this number: that of this process, or of `folder`, a
        source tree or a virtual environment. Raises `Refused` when it is neither."""
        if number is None:
            self._releases += 1
            number = self._releases
        module = ("-m", "photo_api.cli")
        if folder is None:
            return Release(number, f"#{number}", (sys.executable, *module))
        folder = folder.absolute()
        label = f"#{number} {folder.name}"
        for python in (folder / "bin/python", folder / ".venv/bin/python"):
            if python.is_file() and (python.parent / "photo-api").is_file():
                return Release(number, label, (str(python), *module), folder=folder)
        if (folder / "src/photo_api/cli.py").is_file():
            environ = {"PYTHONPATH": str(folder / "src")}
            return Release(number, label, (sys.executable, *module), environ, folder)
        raise Refused(
            f"{folder} is no release: it has neither src/photo_api (a source tree) nor"
            " bin/photo-api (a virtual environment)"
        )

    async def migrate(self) -> None:
        """Bring the schema up to the release of this process. Raises `CannotStart`."""
        command = [sys.executable, "-m", "photo_api.cli", "migrate"]
        log = self._layout.logs / "migrate.log"
        program = Program("photo-api migrate", command, self._environ, log, self._layout.run)
        running = await Running.start(program)
        try:
            code = await asyncio.wait_for(running.wait(), LONGEST_MIGRATION)
        except TimeoutError:
            code = 1
        finally:
            running.kill()
        if code:
            raise CannotStart(f"cannot migrate, see {log}:\n{running.last_words()}")

    def program(self, name: str, release: Release) -> Program:
        """`photo-api serve` under this name, its address. It is killed with this process."""
        arguments = ["serve", "--host", name, "--port", "0", "--workers", str(self._workers)]
        environ = {**self._environ, f"{PREFIX}INSTANCE_IP": name, **release.environ}
        for variable in release.environ:
            environ.pop(f"{variable}_FILE", None)
        return Program(
            name=name,
            command=[*release.command, *arguments, "--migrate"],
            environ=environ,
            log=self._layout.logs / f"{name}.log",
            folder=self._layout.run,
        )


def _secret(addresses: EmbeddedAddresses, secrets: Secrets) -> dict[str, str]:
    """The texts of the secrets' files."""
    return {
        "DATABASE_URL": addresses.database_url,
        **addresses.store_secrets(),
        "JWT_KEYS": f"fleet:{secrets.jwt_key}",
        "SECRET_KEYS": f"fleet:{secrets.secret_key}",
        "OPS_TOKEN": secrets.ops_token,
    }


def _beside(fleet: Fleet, layout: Layout) -> dict[str, str]:
    """Settings of the instances of one machine besides."""
    return {
        "PHOTO_API_CORS_ORIGINS": ",".join(front_ends(fleet, fleet.service.public_url)),
        "PHOTO_API_METADATA_URL": "",
        "PHOTO_API_LOG_FORMAT": "json",
        "PHOTO_API_RUN_DIR": str(layout.run / "instances"),
    }


def caller_environment() -> dict[str, str]:
    """This process's environment without what would turn an instance into something else."""
    return {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
