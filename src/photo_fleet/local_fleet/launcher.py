"""How instances of a local fleet are started: the command, and an environment from the spec."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from photo_base.embedded import EmbeddedAddresses
from photo_base.environment import PREFIX
from photo_base.processes import CannotStart, Program, Running, write
from photo_fleet.group.instance import Release
from photo_fleet.group.local import Refused
from photo_fleet.group.succession import Carried
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.local_spec import front_ends
from photo_fleet.local_fleet.secrets import Secrets
from photo_fleet.render import environment
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.settings import paths
from photo_fleet.spec.settings import secrets as instance_secrets

LONGEST_MIGRATION = 600.0
LONGEST_ANSWER = 30.0
LOOPBACK = "127.0.0.1"
EDGE = "CDN"
"""With this begin the names of settings by which instances hand out URLs of the edge."""

CARRIED = """
import json
from hashlib import sha256
from pathlib import Path
import photo_api.contract as contract
from photo_api.db.migrations import known_migrations
from photo_api.settings.loading import variables
digest, root = sha256(), Path(contract.__file__).parents[1]
for package in ("photo_api", "photo_base"):
    for file in sorted((root / package).rglob("*")):
        if file.is_file() and file.parent.name != "__pycache__":
            digest.update(f"{file.relative_to(root)} {file.stat().st_size} ".encode())
            digest.update(file.read_bytes())
gallery = root / "photo_api/gallery"
print(json.dumps({
    "lacks_page": gallery.is_dir() and not (gallery / "built/index.html").is_file(),
    "digest": digest.hexdigest(),
    "release": contract.RELEASE,
    "upgrades_from": getattr(contract, "UPGRADES_FROM", ()),
    "migrations": {one.name: one.breaks or "" for one in known_migrations()},
    "settings": [one.name for _, one in variables()],
}))
"""
"""What each release's own Python says of it; the first ones name no release to come from."""

READABLE = 0o640
MODULE = ("-m", "photo_api.cli")


class Launcher:
    """Makes releases and the programs that are instances of `fleet`, a `local_spec`. PHOTO_API_
    variables of this process reach the instances, unless the spec or the stage decides about
    them. Releases get numbers after `last_number`, for the ones up to it are known already."""

    def __init__(
        self,
        fleet: Fleet,
        layout: Layout,
        addresses: EmbeddedAddresses,
        secrets: Secrets,
        environ: Mapping[str, str],
        *,
        last_number: int = 0,
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
        texts = _secret(addresses, secrets)
        if fleet.cdn.provider == "nginx":
            texts["CDN_KEYS"] = secrets.cdn_keys
        for variable, text in texts.items():
            write(layout.secret_files / secret[variable].name, text + "\n", READABLE)
        self._releases = last_number

    async def again(self, former: Release) -> Release:
        """One that was made before, perhaps by another process, with its number; with a new one
        where its files have changed, for instances of before do not have these. Raises `Refused`
        when it is no longer there."""
        self._releases = max(self._releases, former.number)
        found = await self.release(former.folder, former.number)
        if former.digest and found.digest != former.digest:
            found = await self.release(former.folder)
        return replace(found, environ={**found.environ, **former.environ})

    async def release(self, folder: Path | None, number: int | None = None) -> Release:
        """The next release, or the one with this number: that of this process, or of `folder`, a
        source tree or a virtual environment. Raises `Refused` when it is neither, or cannot say
        what it carries."""
        found = self._found(folder, number)
        told = await self._asked(found, "-c", CARRIED)
        try:
            carried = Carried(
                str(told["release"]),
                tuple(told["upgrades_from"]),
                dict(told["migrations"]),
                frozenset(told["settings"]),
            )
            digest = str(told["digest"])
        except (LookupError, TypeError, ValueError):
            raise Refused(f"{found.label} is no release: it says {told!r:.200} of itself") from None
        if not carried.migrations:
            raise Refused(f"{found.label} has no migrations, so files of it are missing")
        off = self._environ_of(found, LOOPBACK).get("PHOTO_API_GALLERY") == "off"
        lacks_page = bool(told.get("lacks_page")) and not off
        return replace(found, carried=carried, digest=digest, lacks_page=lacks_page)

    async def unusable_settings(self, release: Release) -> list[str]:
        """What it would say of the settings that its instances get; empty where it can use them.
        Raises `Refused` when it cannot tell."""
        told = await self._asked(release, *release.command[1:], "config", "check", "--json")
        return [str(problem) for problem in told.get("problems", ())]

    async def _asked(self, release: Release, *arguments: str) -> dict[str, Any]:
        """The line of JSON that its Python says, with the environment of an instance."""
        log = self._layout.logs / "release.log"
        log.unlink(missing_ok=True)
        program = Program(
            f"release {release.label}",
            [release.command[0], *arguments],
            self._environ_of(release, LOOPBACK),
            log,
            self._layout.run,
        )
        try:
            running = await Running.start(program, piped=True)
        except CannotStart as error:
            raise Refused(str(error)) from None
        try:
            async with asyncio.timeout(LONGEST_ANSWER):
                told = json.loads(await running.first_line())
            if not isinstance(told, dict):
                raise TypeError
        except (TimeoutError, ValueError, TypeError, RecursionError):
            said = running.last_words(1) or f"it says nothing within {LONGEST_ANSWER:g} s"
            raise Refused(f"{release.label} is no release that can be asked: {said}") from None
        finally:
            running.kill()
            await running.wait()
        return told

    def _found(self, folder: Path | None, number: int | None) -> Release:
        if number is None:
            self._releases += 1
            number = self._releases
        if folder is None:
            return Release(number, f"#{number}", (sys.executable, *MODULE))
        python, environ = python_of(folder.absolute())
        label = f"#{number} {folder.absolute().name}"
        return Release(number, label, (python, *MODULE), environ, folder.absolute())

    async def migrate(self, release: Release) -> None:
        """Bring the schema up to the release, which knows it best. Raises `CannotStart`."""
        command = [*release.command, "migrate"]
        log = self._layout.logs / "migrate.log"
        environ = self._environ_of(release, LOOPBACK)
        program = Program("photo-api migrate", command, environ, log, self._layout.run)
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
        """`photo-api serve` under this name, its address. It is killed with this process. Raises
        `CannotStart` when the files of the release are gone."""
        self._still_there(release)
        arguments = ["serve", "--host", name, "--port", "0", "--workers", str(self._workers)]
        return Program(
            name=name,
            command=[*release.command, *arguments, "--migrate"],
            environ=self._environ_of(release, name),
            log=self._layout.logs / f"{name}.log",
            folder=self._layout.run,
        )

    def _still_there(self, release: Release) -> None:
        """Without its tree Python would find our own code in its place. Raises `CannotStart`."""
        try:
            found = self._found(release.folder, release.number)
        except Refused as gone:
            raise CannotStart(f"release {release.label} is gone: {gone}") from None
        if release.folder and found.command != release.command:
            raise CannotStart(f"release {release.label} has another Python than before")

    def _environ_of(self, release: Release, name: str) -> dict[str, str]:
        """That of an instance of this release with this address. The edge is this machine's own,
        and no setting for a release that knows none: its images come from the store."""
        known = release.carried is None or EDGE in release.carried.settings
        usual = {
            variable: value
            for variable, value in self._environ.items()
            if known or not variable.startswith(PREFIX + EDGE)
        }
        environ = {**usual, f"{PREFIX}INSTANCE_IP": name, **release.environ}
        for variable in release.environ:
            environ.pop(f"{variable}_FILE", None)
        return environ


def python_of(folder: Path) -> tuple[str, dict[str, str]]:
    """The Python that runs the release in this folder, and its variables for that. Raises `Refused`
    where there is none."""
    for python in (folder / "bin/python", folder / ".venv/bin/python"):
        if python.is_file() and (python.parent / "photo-api").is_file():
            return str(python), {}
    if (folder / "src/photo_api/cli.py").is_file():
        return sys.executable, {"PYTHONPATH": str(folder / "src")}
    raise Refused(
        f"{folder} is no release: it has neither src/photo_api (a source tree) nor bin/photo-api"
        " (a virtual environment)"
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
