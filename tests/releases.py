"""The tree of the release before this one, for tests that run it."""

from pathlib import Path

import pytest

from scripts.previous_release import NoHistory, Previous, export, previous

ROOT = Path(__file__).parent.parent


def previous_tree(folder: Path) -> Previous:
    """Put it into the folder. Skips the test where the history is not here, with the reason."""
    try:
        found = previous(ROOT)
        export(ROOT, found.commit, folder)
    except NoHistory as missing:
        pytest.skip(str(missing))
    return found
