"""hatchling's hook: a wheel brings the gallery, built of the web/ beside it, or it is not made."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FAILED = (
    "a wheel brings the gallery, and scripts/gallery could not build it, see above. It needs the"
    " package registries, or the user's cache of a machine that had them"
)


class GalleryInWheel(BuildHookInterface[Any]):
    """Found by hatchling as the one hook in this file."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """An installation that can be edited has what `make gallery` builds, whenever that is."""
        if version == "editable":
            return
        build = [str(Path(self.root) / "scripts/gallery")]
        done = subprocess.run(build, env=os.environ | {"PYTHON": sys.executable}, check=False)
        if done.returncode != 0:
            self.app.abort(FAILED)
