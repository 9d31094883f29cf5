"""The tree of the release before this one, from which a stage may begin."""

import asyncio
import os
import sys
from pathlib import Path

from photo_base.processes import CannotStart, Program, Running
from photo_fleet.group.instance import Release
from photo_fleet.local_fleet.deploys import Deploys
from photo_fleet.local_fleet.layout import Layout

SCRIPT = Path(__file__).parents[4] / "scripts" / "previous_release.py"
"""Of a checkout; no package brings it."""

LONGEST_SEARCH = 120.0
GIVE = "name the folder of that release with --from"


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
