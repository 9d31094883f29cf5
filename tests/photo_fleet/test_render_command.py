"""`photo-fleet render`: what it writes, what it refuses, and what it leaves alone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from photo_fleet.render import tree
from photo_fleet.render.folder import MANIFEST, FolderError, compare, write
from photo_fleet.spec.fleet import Balancer, Fleet

Run = Callable[..., subprocess.CompletedProcess[str]]

CONTRADICTION = '[drain]\nlame_duck = "50s"\n'
NOT_A_KEY = "[drain]\nlame_duk = 3\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`photo-fleet render --out OUT …` with this text as the spec, in a folder of its own."""

    def start(spec: str, *more: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "fleet.toml").write_text(spec)
        command = [sys.executable, "-m", "photo_fleet.cli", "render", "--out", "out", *more]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return start


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }


def test_it_writes_every_file_and_tells_what_is_left_to_do(run: Run, tmp_path: Path) -> None:
    done = run("")
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == tree.files(Fleet())
    assert "out/systemd/photo-api.service: new" in done.stdout
    for note in tree.notes(Fleet()):
        assert f"note: {note}" in done.stdout


def test_the_tree_has_a_folder_for_each_kind_of_file() -> None:
    paths = tree.files(Fleet()).keys()
    assert {path.partition("/")[0] for path in paths} == {"cloud-init", "nginx", "systemd"}
    cloud = tree.files(Fleet(balancer=Balancer(kind="cloud"))).keys()
    assert {path.partition("/")[0] for path in cloud} == {"cloud-init", "prometheus", "systemd"}
    assert not any("fleet" in path for path in cloud)


def test_rendering_is_deterministic() -> None:
    script = (
        "import hashlib; from photo_fleet.render import tree;"
        "from photo_fleet.spec.fleet import Fleet;"
        "print(hashlib.sha256(repr(tree.files(Fleet())).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(digests) == 1


def test_a_second_run_changes_nothing(run: Run, tmp_path: Path) -> None:
    run("")
    before = {path: path.stat() for path in (tmp_path / "out").rglob("*")}
    again = run("")
    assert again.returncode == 0
    assert ": new" not in again.stdout
    after = {path: path.stat() for path in (tmp_path / "out").rglob("*")}
    assert {path: (found.st_ino, found.st_mtime_ns) for path, found in before.items()} == {
        path: (found.st_ino, found.st_mtime_ns) for path, found in after.items()
    }


def test_only_what_changed_is_written_anew(run: Run, tmp_path: Path) -> None:
    run("")
    kept = (tmp_path / "out/systemd/photo-fleet.sysusers.conf").stat().st_ino
    done = run('[drain]\ngrace = "70s"\n', "--json")
    told = json.loads(done.stdout)
    assert (told["ok"], told["new"], told["stale"], told["kept"]) == (True, [], [], [])
    assert set(told["changed"]) >= {"systemd/photo-api.env", "systemd/photo-api.service"}
    assert "systemd/photo-fleet.sysusers.conf" not in told["changed"]
    assert (tmp_path / "out/systemd/photo-fleet.sysusers.conf").stat().st_ino == kept
    assert "TimeoutStopSec=70" in (tmp_path / "out/systemd/photo-api.service").read_text()


def test_the_environment_file_is_its_owners_alone(run: Run, tmp_path: Path) -> None:
    run("")
    modes = {
        path.name: path.stat().st_mode & 0o777
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert modes.pop("photo-api.env") == 0o600
    assert set(modes.values()) == {0o644}


def test_a_spec_that_contradicts_itself_is_refused_unless_forced(run: Run, tmp_path: Path) -> None:
    refused = run(CONTRADICTION)
    assert refused.returncode == 1
    assert "contradicts itself; nothing is written" in refused.stderr
    assert "mend it: " in refused.stderr
    assert not (tmp_path / "out").exists()
    assert json.loads(run(CONTRADICTION, "--json").stdout)["findings"]

    forced = run(CONTRADICTION, "--force")
    assert forced.returncode == 0, forced.stderr
    assert "LAME_DUCK=50" in (tmp_path / "out/systemd/photo-api.env").read_text()


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_an_unreadable_spec_is_exit_2(arguments: list[str], run: Run, tmp_path: Path) -> None:
    done = run(NOT_A_KEY, *arguments)
    assert done.returncode == 2
    assert "fleet.toml:2" in (done.stdout if arguments else done.stderr)
    assert not (tmp_path / "out").exists()


def test_check_tells_whether_the_folder_is_as_the_spec_says(run: Run, tmp_path: Path) -> None:
    missing = run("", "--check")
    assert missing.returncode == 1
    assert "out/systemd/photo-api.service: is missing" in missing.stdout
    assert not (tmp_path / "out").exists()

    run("")
    assert run("", "--check").returncode == 0

    (tmp_path / "out/systemd/photo-api.env").write_text("PHOTO_API_GRACE=1\n")
    differs = run("", "--check")
    assert differs.returncode == 1
    assert "out/systemd/photo-api.env: differs" in differs.stdout
    assert (tmp_path / "out/systemd/photo-api.env").read_text() == "PHOTO_API_GRACE=1\n"
    assert json.loads(run("", "--check", "--json").stdout)["ok"] is False


def test_files_that_the_spec_no_longer_gives_go(run: Run, tmp_path: Path) -> None:
    run("")
    done = run('[balancer]\nkind = "cloud"\n')
    assert done.returncode == 0, done.stderr
    assert "out/nginx/nginx.conf: gone" in done.stdout
    assert not (tmp_path / "out/nginx").exists()
    assert (tmp_path / "out/systemd/photo-api.service").exists()


def test_what_others_put_there_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, {"a/one": "1", "a/two": "2", "b/three": "3"})
    (tmp_path / "a/README").write_text("mine")
    (tmp_path / "a/two").write_text("2, and a line of mine")

    done = write(tmp_path, {"b/three": "3"})

    assert (done.stale, done.kept) == (["a/one"], ["a/two"])
    assert contents(tmp_path) == {
        "a/README": "mine",
        "a/two": "2, and a line of mine",
        "b/three": "3",
    }


def test_a_file_of_somebody_else_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out/nginx").mkdir(parents=True)
    (tmp_path / "out/nginx/nginx.conf").write_text("mine")
    refused = run("", "--force")
    assert refused.returncode == 1
    assert "out/nginx/nginx.conf is there already" in refused.stderr
    assert contents(tmp_path / "out") == {"nginx/nginx.conf": "mine"}


def test_a_run_that_broke_off_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def only_the_manifest(self: Path, target: Path) -> Path:
        if Path(target).name != MANIFEST:
            raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    files = {"a/one": "1", "two": "2"}
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", only_the_manifest)
        with pytest.raises(FolderError, match=r"(one|two): No space left"):
            write(tmp_path, files)
    assert contents(tmp_path) == {}
    (tmp_path / "two").write_text("half of it")

    assert write(tmp_path, files).new == ["a/one"]
    assert contents(tmp_path) == files
    assert not compare(tmp_path, files)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"files": 3}', '{"files": {"../a": "x"}}'])
def test_a_manifest_of_nobody_harms_nothing(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "a").write_text("outside")
    (folder / MANIFEST).write_text(text)
    if "../a" in text:
        write(folder, {"b": "1"})
    else:
        with pytest.raises(FolderError, match="render into an empty folder"):
            write(folder, {"b": "1"})
    assert (tmp_path / "a").read_text() == "outside"


def test_a_folder_that_cannot_be_written_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    done = run("")
    assert done.returncode == 1
    assert done.stderr.startswith("photo-fleet render: out")
    assert "Traceback" not in done.stderr
