"""The release before this one: its last commit, found from the history, and the tree of that.

`python scripts/previous_release.py --into DIR` puts the tree into DIR and prints what it is.

A release's last commit is the parent of the commit that raises `RELEASE`, in whichever file that
stands. It is found by comparing the commits that touch the line with each of their parents, so
neither tags nor messages count; nor does a merge that only brings a raise, nor a line that moved,
nor a raise to another release, which a branch of an older one brought.
"""

import argparse
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

SOURCES = "src"
LINE = r'^RELEASE(: [A-Za-z.]+)? = "[0-9.]+"'
"""An extended regular expression, as Python and git read it."""

LONGEST_GIT = 60.0
TOLD = 400
"""Characters of git's own words in a message."""


class NoHistory(Exception):
    """The history that would tell is not here; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Previous:
    """The last `commit` of the `release` before `raised_to`, the one of the checkout."""

    commit: str
    release: str
    raised_to: str


def previous(checkout: Path) -> Previous:
    """That of the release in this checkout, also where it was raised and not yet committed. Raises
    `NoHistory`."""
    head, here = _release_at(checkout, "HEAD"), _written_in(checkout)
    if _number(here) > _number(head):
        return Previous(_git(checkout, "rev-parse", "HEAD").strip(), head, here)
    touching = _git(
        checkout, "log", "-m", "--topo-order", "--format=%H %P", "-E", f"-G{LINE}", "--", SOURCES
    )
    for line in dict.fromkeys(touching.splitlines()):
        commit, *parents = line.split()
        if _release_at(checkout, commit) != here:
            continue
        before = [_release_at(checkout, parent) for parent in parents]
        if before and all(item and _number(item) < _number(here) for item in before):
            return Previous(parents[0], before[0], here)
    if _git(checkout, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise NoHistory(
            "the history here is cut off (a shallow clone) after the commit that raised RELEASE;"
            " `git fetch --unshallow` brings it"
        )
    raise NoHistory("no commit of this history raises RELEASE, so there is no release before")


def export(checkout: Path, commit: str, folder: Path) -> None:
    """The files of that commit, into a folder. Raises `NoHistory`."""
    archive = _run(checkout, "archive", "--format=tar", commit)
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def _release_at(checkout: Path, commit: str) -> str:
    """Empty where there is none."""
    try:
        found = _git(checkout, "grep", "-E", LINE, commit, "--", f"{SOURCES}/*.py")
    except _NothingFound:
        return ""
    return _value(found)


def _written_in(checkout: Path) -> str:
    """As `_release_at`, of the files as they are."""
    try:
        return _value(_git(checkout, "grep", "-E", LINE, "--", f"{SOURCES}/*.py"))
    except _NothingFound:
        return ""


def _value(found: str) -> str:
    return found.partition('"')[2].partition('"')[0]


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release))


class _NothingFound(Exception):
    """git grep has no match."""


def _git(checkout: Path, *arguments: str) -> str:
    return _run(checkout, *arguments).decode(errors="replace")


def _run(checkout: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments],
            capture_output=True,
            timeout=LONGEST_GIT,
            check=False,
        )
    except FileNotFoundError:
        raise NoHistory("git is missing; install the Debian package git") from None
    except subprocess.TimeoutExpired:
        raise NoHistory(f"git {arguments[0]} took longer than {LONGEST_GIT:g} s") from None
    if done.returncode == 1 and arguments[0] == "grep":
        raise _NothingFound
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[:TOLD]
        raise NoHistory(f"{checkout} is no checkout with a history: {words}")
    return done.stdout


def main() -> int:
    """0 when the tree is there, 1 when the history is not."""
    parser = argparse.ArgumentParser(description="Put the tree of the release before into a folder")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="made if needed")
    folder: Path = parser.parse_args().into
    checkout = Path(__file__).parents[1]
    try:
        found = previous(checkout)
        export(checkout, found.commit, folder)
    except NoHistory as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{found.release}, commit {found.commit}, in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
