"""What an image of a machine is made of: a Debian, and our wheel beside all that it needs, for a
machine that has no package index."""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINNED = ("requirements-build.txt", "requirements.txt")

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "photo-api"


def debian() -> Path:
    """Its tree, which is made once (a minute or two) and which nobody changes."""
    done = subprocess.run(
        [ROOT / "scripts/debian-image"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def wheels(image: Path) -> Path:
    """A folder of all that an instance installs besides our wheel, for the image's Python; it is
    filled once for each state of the requirements."""
    [python] = sorted((image / "usr/bin").glob("python3.[0-9]*[0-9]"))
    version = python.name.removeprefix("python")
    pinned = b"".join((ROOT / name).read_bytes() for name in PINNED)
    place = _CACHE / f"wheels-{version}-{hashlib.sha256(pinned).hexdigest()[:16]}"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "wheels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            fresh = place.with_name(f"{place.name}.new")
            for name in PINNED:
                _pip(
                    *("download", "--no-deps", "--no-build-isolation", "--require-hashes"),
                    *("--python-version", version, "--dest", str(fresh), "-r", str(ROOT / name)),
                )
            fresh.rename(place)
    return place


def our_wheel(folder: Path) -> Path:
    """Made of this tree."""
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    [wheel] = folder.glob("photo_api-*.whl")
    return wheel


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
