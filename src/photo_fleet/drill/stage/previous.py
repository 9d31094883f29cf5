"""The tree of the release before this one, from which a stage may begin."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from photo_api.contract import RELEASE, UPGRADES_FROM
from photo_base.processes import CannotStart, Program, Running
from photo_fleet.group.instance import Release
from photo_fleet.group.local import Refused
from photo_fleet.local_fleet.deploys import Deploys
from photo_fleet.local_fleet.launcher import LONGEST_ANSWER, python_of
from photo_fleet.local_fleet.layout import Layout

SCRIPT = Path(__file__).parents[4] / "scripts" / "previous_release.py"
"""Of a checkout; no package brings it."""

LONGEST_SEARCH = 120.0
GIVE = "name the folder of that release with --from"
WHICH = "import photo_api.contract; print(photo_api.contract.RELEASE)"
TOLD = 200
"""Characters of its own words in a message."""


def refuse_no_former(folder: Path) -> None:
    """Before anything is staged. Raises `CannotStart` where the folder holds no release from which
    a deploy leads to this one."""
    try:
        python, environ = python_of(folder)
    except Refused as error:
        raise CannotStart(f"--from: {error}") from None
    try:
        done = subprocess.run(
            [python, "-c", WHICH],
            cwd="/",
            env=os.environ | environ,
            capture_output=True,
            text=True,
            timeout=LONGEST_ANSWER,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotStart(f"--from: {folder} cannot be asked for its release: {error}") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1][:TOLD]
        raise CannotStart(f"--from: {folder} is no release that can be asked; it says {said}")
    if (release := done.stdout.strip()[:TOLD]) not in UPGRADES_FROM:
        raise CannotStart(
            f"--from: {folder} holds {release!a}, and no deploy leads from that to {RELEASE}: name"
            f" the folder of {' or '.join(UPGRADES_FROM)}"
        )


async def previous_release(folder: Path) -> Path:
    """The one that the checkout's history has, put into a folder below this one. Raises
    `CannotStart` where there is none."""
    if not SCRIPT.is_file():
        raise CannotStart(f"only a checkout finds the release before in its history: {GIVE}")
    tree, log = folder / "release-before", folder / "release-before.log"
    command = [sys.executable, str(SCRIPT), "--into", str(tree)]
    running = await Running.start(Program("previous_release.py", command, os.environ, log))
    try:
        code = await asyncio.wait_for(running.wait(), LONGEST_SEARCH)
    except TimeoutError:
        raise CannotStart(f"git takes longer than {LONGEST_SEARCH:g} s: {GIVE}") from None
    finally:
        running.kill()
    if code:
        raise CannotStart(f"{running.last_words(1)}: {GIVE}")
    return tree


def begin_with(release: Path, folder: Path) -> None:
    """Have the fleet that will run in this folder begin with that release, as if it had been
    deployed last."""
    Deploys(Layout(folder).deploys).settle(Release(1, "#1", (), {}, release))
