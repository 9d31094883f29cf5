"""`python -m photo_local.standby`: a streaming standby of an embedded PostgreSQL.

One line of JSON says where it listens, once it answers. It ends with the program that started it,
however that one ends. The primary's password comes in the environment as `STANDBY_PASSWORD`.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from photo_base.command_line import whole_number
from photo_local.command import until_asked
from photo_local.postgres import SOCKET_PORT, Postgres
from photo_local.privileges import HERE

NAME = "standby"
"""By which the primary knows it, as in `synchronous_standby_names`."""


class Standby(Postgres):
    """A server whose cluster is a copy of the one that listens in the folder `primary`."""

    name = "PostgreSQL (standby)"

    def __init__(self, data_dir: Path, password: str, primary: Path, max_connections: int) -> None:
        options = {"cluster_name": NAME}
        super().__init__(data_dir, password, max_connections=max_connections, options=options)
        self._primary = primary

    async def _create_cluster(self) -> None:
        """Copied beside its final place. The password stays in a file, which the walreceiver
        reads."""
        login = self._root / "pgpass"
        login.unlink(missing_ok=True)
        login.touch(mode=0o600)
        secret = self._password.replace("\\", "\\\\").replace(":", "\\:")
        login.write_text(f"*:*:*:*:{secret}\n")
        self._account.own(login)
        unfinished = self._root / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._account.make_folder(unfinished)
        place = (
            f"host='{self._primary}' port={SOCKET_PORT} user=postgres passfile='../{login.name}'"
        )
        command = ["-d", place, "-D", HERE, "-R", "-X", "stream"]
        await self._run("pg_basebackup", unfinished, [*command, "--checkpoint=fast", "--no-sync"])
        unfinished.rename(self._cluster)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until a signal, the parent's death or its own end; the exit code: 0 ended as asked, 1
    failed."""
    parser = argparse.ArgumentParser(prog="photo-api standby", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--primary", type=Path, required=True, help="folder of its socket")
    parser.add_argument("--max-connections", type=whole_number(10, 10_000), required=True)
    args = parser.parse_args(argv)
    password = os.environ.pop("STANDBY_PASSWORD", "")
    return asyncio.run(_run(Standby(args.data, password, args.primary, args.max_connections)))


async def _run(standby: Standby) -> int:
    try:
        return await until_asked(_announce_and_run(standby), "standby", with_stdin=True)
    finally:
        await standby.stop()


async def _announce_and_run(standby: Standby) -> str:
    await standby.start()
    print(json.dumps({"superuser_url": standby.superuser_url}), flush=True)
    return f"ended with {await standby.died()}"


if __name__ == "__main__":
    sys.exit(main())
