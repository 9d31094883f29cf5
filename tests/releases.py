"""The release before this one, for tests that run it: its tree, alone or with all it needs."""

import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.previous_release import NoHistory, Previous, export, previous

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Checkout:
    """A release's tree, and the Python in whose environment that release is installed."""

    folder: Path
    python: Path


THIS = Checkout(ROOT, Path(sys.executable))


def previous_tree(folder: Path) -> Previous:
    """Put it into the folder. Skips the test where the history is not here, with the reason."""
    try:
        found = previous(ROOT)
        export(ROOT, found.commit, folder)
    except NoHistory as missing:
        pytest.skip(str(missing))
    return found


@contextmanager
def previous_checkout() -> Iterator[Checkout]:
    """As its developers have it, with `.venv` in it, until the end. Skips like `previous_tree`."""
    # Not below pytest's own folder, which is closed to the other users that some of its tests are.
    with tempfile.TemporaryDirectory(prefix="photo-release-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        previous_tree(folder)
        yield Checkout(folder, _install(folder))


def _install(folder: Path) -> Path:
    """Install the tree in an environment of its own, where whatever else is needed is ours: its
    `photo-api`, its version and its modules are those of that release in every process."""
    environment = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python, programs = environment / "bin" / "python", Path(sysconfig.get_path("scripts"))
    packages = next(environment.glob("lib/python*/site-packages"))
    # A folder that a .pth names comes after what is installed there, and its own .pth are not read:
    # those would bring this release's sources.
    shared = [item for item in sys.path if Path(item).name == packages.name]
    (packages / "shared.pth").write_text("\n".join(shared))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python))
    how = ("--no-deps", "--no-build-isolation", "--no-index", "--editable", str(folder))
    subprocess.run([*pip, "install", "-q", *how], check=True, timeout=120)
    for program in programs.iterdir():
        if not (environment / "bin" / program.name).exists():
            (environment / "bin" / program.name).symlink_to(program)
    return python
