"""The last commit of the release before is found from the history alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from photo_api.contract import RELEASE
from scripts.previous_release import NoHistory, export, previous
from tests.releases import ROOT

CONTRACT = Path("src/photo_api/contract.py")


class History:
    """A repository whose commits are made here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main", str(folder))

    def git(self, *arguments: str) -> str:
        identity = {
            f"GIT_{who}_{what}": "test@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        self.folder.mkdir(exist_ok=True)
        done = subprocess.run(
            ["git", "-c", "commit.gpgsign=false", *arguments],
            cwd=self.folder, env=os.environ | identity, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def write(self, release: str, *more: str, path: Path = CONTRACT) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        lines = ["# Names", f'RELEASE = "{release}"', *more]
        (self.folder / path).write_text("\n".join(lines) + "\n")

    def commit(self, release: str = "", *more: str) -> str:
        """One more, of the contract or of something else; its id."""
        if release:
            self.write(release, *more)
        else:
            with (self.folder / "notes").open("a") as notes:
                notes.write("one more line\n")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "Release 9.9.9")
        return self.git("rev-parse", "HEAD")

    def expect(self, commit: str, release: str) -> None:
        found = previous(self.folder)
        assert (found.commit, found.release) == (commit, release)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "checkout")


def test_it_is_the_parent_of_the_commit_that_raises_the_release(history: History) -> None:
    history.commit("0.1.0")
    last = history.commit()
    history.commit("0.2.0")
    history.git("tag", "v0.1.9")
    history.commit()
    history.expect(last, "0.1.0")
    assert previous(history.folder).raised_to == "0.2.0"


def test_numbers_are_compared_as_numbers(history: History) -> None:
    last = history.commit("0.9.0")
    history.commit("0.10.0")
    history.expect(last, "0.9.0")


def test_a_line_that_is_touched_and_not_raised_does_not_count(history: History) -> None:
    last = history.commit("0.1.0")
    history.commit("0.2.0")
    history.write("0.2.0", "# kept here", path=Path("src/photo_api/vocabulary.py"))
    (history.folder / CONTRACT).unlink()
    history.commit()
    history.git("mv", "src/photo_api/vocabulary.py", str(CONTRACT))
    history.commit()
    (history.folder / CONTRACT).write_text('# moved\n\n\nRELEASE = "0.2.0"  # of today\n')
    history.commit()
    history.expect(last, "0.1.0")


def test_what_was_raised_and_lowered_again_was_no_release(history: History) -> None:
    history.commit("0.1.0")
    history.commit("0.2.0")
    history.commit("0.1.0")
    last = history.commit()
    history.commit("0.2.0")
    history.expect(last, "0.1.0")


def test_a_raise_that_a_merge_brings_is_found_on_its_branch(history: History) -> None:
    last = history.commit("0.1.0")
    history.git("checkout", "-q", "-b", "next")
    history.commit("0.2.0")
    history.git("checkout", "-q", "main")
    history.commit()
    history.git("merge", "-q", "--no-ff", "-m", "merge", "next")
    history.expect(last, "0.1.0")


def test_a_merge_that_raises_the_release_itself_follows_its_first_parent(history: History) -> None:
    history.commit("0.1.0")
    history.git("checkout", "-q", "-b", "side")
    history.commit()
    history.git("checkout", "-q", "main")
    last = history.commit("0.1.0", "# one more")
    history.git("merge", "-q", "--no-ff", "--no-commit", "side")
    history.commit("0.2.0")
    history.expect(last, "0.1.0")


def test_a_correction_of_an_older_release_that_is_merged_is_not_it(history: History) -> None:
    last = history.commit("0.1.0")
    history.git("checkout", "-q", "-b", "older")
    history.commit("0.1.1")
    history.git("checkout", "-q", "main")
    history.commit("0.2.0")
    history.git("merge", "-q", "-s", "ours", "-m", "merge", "older")
    history.expect(last, "0.1.0")


def test_a_raise_that_is_not_committed_yet_makes_head_the_last_one(history: History) -> None:
    history.commit("0.1.0")
    last = history.commit("0.2.0")
    history.write("0.3.0")
    history.expect(last, "0.2.0")


def test_a_history_that_is_not_there_says_so(history: History, tmp_path: Path) -> None:
    history.commit("0.1.0")
    with pytest.raises(NoHistory, match="no commit of this history raises RELEASE"):
        previous(history.folder)
    history.commit("0.2.0")
    shallow = tmp_path / "shallow"
    history.git("clone", "-q", "--depth", "1", f"file://{history.folder}", str(shallow))
    with pytest.raises(NoHistory, match=r"a shallow clone.*git fetch --unshallow"):
        previous(shallow)
    (tmp_path / "none").mkdir()
    with pytest.raises(NoHistory, match="is no checkout with a history"):
        previous(tmp_path / "none")


def test_without_git_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoHistory, match="install the Debian package git"):
        previous(ROOT)


def test_the_tree_of_a_commit_is_put_into_a_folder(history: History, tmp_path: Path) -> None:
    last = history.commit("0.1.0")
    history.commit("0.2.0")
    export(history.folder, last, tmp_path / "tree")
    assert 'RELEASE = "0.1.0"' in (tmp_path / "tree" / CONTRACT).read_text()


def test_the_command_does_both(tmp_path: Path) -> None:
    script, folder = ROOT / "scripts/previous_release.py", tmp_path / "tree"
    command = [sys.executable, str(script), "--into", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(done.stderr)
    told = re.search(r"^(\S+), commit [0-9a-f]{40}, in ", done.stdout)
    assert told, done.stdout
    assert told[1] != RELEASE
    assert f'RELEASE = "{told[1]}"' in (folder / CONTRACT).read_text()
