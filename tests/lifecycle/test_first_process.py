"""As process 1 of a container, for which the kernel drops every signal that nobody handles."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from photo_api.db.migrations import LOCK
from photo_base.command_line import ENDED
from tests.service import eventually

NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")
SERVE = ("serve", "--host", "127.0.0.1", "--port", "0")
EARLY = """
import os, signal, sys

class Early:
    '''Sends SIGTERM when the first of the service's modules is looked for.'''
    def find_spec(self, name, *_):
        if name == "{module}":
            sys.meta_path.remove(self)
            print("sent as", os.getpid(), flush=True)
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Early())
from photo_api.cli import main
sys.exit(main())
"""


needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="only root makes a PID namespace"
)


@needs_namespaces
@pytest.mark.parametrize("module", ["argparse", "photo_api.settings.loading"])
def test_sigterm_while_the_program_is_loaded_is_obeyed(
    environ: dict[str, str], tmp_path: Path, module: str
) -> None:
    program = tmp_path / "early.py"
    program.write_text(EARLY.format(module=module))
    process = subprocess.Popen(
        [*NAMESPACE, sys.executable, str(program), *SERVE],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline().strip() == "sent as 1"
        assert eventually(lambda: process.poll() is not None, 30)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


@needs_namespaces
async def test_sigterm_ends_a_command_that_waits(environ: dict[str, str]) -> None:
    connection = await asyncpg.connect(environ["PHOTO_API_DATABASE_URL"])
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    process = subprocess.Popen(
        [*NAMESPACE, sys.executable, "-m", "photo_api.cli", "migrate"], env=environ
    )
    try:
        waits = "SELECT FROM pg_stat_activity WHERE application_name = 'photo-api migrate'"
        async with asyncio.timeout(60):
            while not await connection.fetch(waits):
                await asyncio.sleep(0.1)
        psutil.Process(process.pid).children()[0].terminate()
        assert await asyncio.to_thread(process.wait, 30) == ENDED
    finally:
        process.kill()
        process.wait()
        await connection.close()
