"""Deploys that are broken off: `status` tells it, `deploy --resume` and `--back` mend it."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from photo_api.contract import RELEASE
from photo_base.processes import CannotStart
from photo_fleet.commands.fleet import UNFINISHED
from photo_fleet.group.instance import Release
from photo_fleet.local_fleet.deploys import Deploys
from tests.full_disk import full_disk
from tests.photo_fleet.local_stage import Up, fleet_command, fleet_up, release_tree
from tests.service import eventually

OWN = Release(1, "#1", ("photo-api",))
NEXT = Release(2, "#2 next", ("photo-api",), {"PHOTO_API_X": "a secret"}, Path("/srv/next"))

FAILS_THE_SECOND_TIME = """
import sys, pathlib
if "serve" in sys.argv:
    try:
        pathlib.Path(__file__).with_name("came").mkdir()
    except FileExistsError:
        raise SystemExit("this release starts once")
"""


def begun(path: Path) -> Callable[[], None]:
    deploys = Deploys(path)
    deploys.settled = OWN
    return deploys.begin(NEXT)


def test_a_deploy_is_on_the_disk_before_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "deploys.json"
    take_back = begun(path)
    assert path.stat().st_mode & 0o777 == 0o600
    found = Deploys(path)
    assert found.settled == OWN
    assert found.unfinished
    assert found.unfinished.release == NEXT
    told = found.describe((), under_way=False)
    assert told
    assert (told["state"], told["release"], told["former"]) == ("interrupted", "#2 next", "#1")
    assert "secret" not in json.dumps(told)
    found.fail("it died")
    told = Deploys(path).describe((), under_way=False)
    assert told
    assert (told["state"], told["failure"]) == ("failed", "it died")
    take_back()
    assert Deploys(path).unfinished is None


def test_what_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deploys.json"
    deploys = Deploys(path)
    deploys.settled = OWN
    with full_disk(), pytest.raises(OSError, match="too large"):
        deploys.begin(NEXT)
    assert not path.exists()
    deploys.begin(NEXT)
    with full_disk(), pytest.raises(OSError, match="too large"):
        deploys.settle(NEXT)
    for found in (deploys, Deploys(path)):
        assert found.settled == OWN
        assert found.unfinished
    deploys.settle(NEXT)
    assert (Deploys(path).settled, Deploys(path).unfinished) == (NEXT, None)


SETTLED = {"number": 1, "label": "#1", "command": ["x"], "environ": {}, "folder": None}


def edited(unfinished: object = None, **settled: object) -> str:
    """A record that somebody has put right by hand, or wrong."""
    return json.dumps({"settled": SETTLED | settled, "unfinished": unfinished})


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", '{"settled": null, "unfinished": null}', "[]", "\0" * 99, "[" * 100_000,
        edited({}), edited([]), edited(""), edited(environ=None), edited(command="photo-api"),
        edited(number=float("inf")),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_record_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deploys.json"
    path.write_text(text)
    with pytest.raises(CannotStart, match="nobody knows which release is wanted; put back a copy"):
        Deploys(path)
    assert path.read_text() == text


def test_status_tells_of_it_also_while_no_fleet_runs(tmp_path: Path) -> None:
    take_back = begun(tmp_path / "deploys.json")
    done = fleet_command("status", "--data", str(tmp_path))
    assert done.returncode == 2
    command = f"`photo-fleet deploy --resume --data {tmp_path}`"
    assert f"the deploy of #2 next has not ended: {command} finishes it" in done.stderr
    take_back()
    assert "deploy of" not in fleet_command("status", "--data", str(tmp_path)).stderr


@contextmanager
def deploying(up: Up, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "photo_fleet.cli", "deploy", *arguments]
    # Who runs tests in the background has them ignore Ctrl-C, and their children too.
    with subprocess.Popen(
        [*command, "--data", str(up.data)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def says(process: subprocess.Popen[str], word: str) -> None:
    """Wait until it does."""
    assert process.stdout
    assert any(word in line for line in process.stdout), word


def has_newcomers(up: Up, number: int) -> Callable[[], bool]:
    def come() -> bool:
        told = [item["release_number"] for item in up.status()["instances"]]
        return bool(sum(one > 1 for one in told) >= number)

    return come


def killed_when(up: Up, came: Callable[[], bool], *arguments: str) -> None:
    """The fleet, by kill -9 in the middle of a deploy, once it has come so far."""
    with deploying(up, *arguments):
        eventually(came, 60, 0.1)
        up.process.kill()
        up.process.wait()
    eventually(lambda: not up.processes(), 15)


def releases(up: Up) -> list[str]:
    return sorted({item["release"] for item in up.status()["instances"]})


def unfinished(up: Up, former: str) -> dict[str, Any]:
    """What `status` tells of it, as its exit code does."""
    done = fleet_command("status", "--json", "--data", str(up.data))
    assert done.returncode == UNFINISHED, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)["deploy"]
    shown = " ".join(fleet_command("status", "--data", str(up.data)).stdout.split())
    command = f"photo-fleet deploy --resume --data {up.data}"
    assert f"{command} finishes it, --back returns to {former}" in shown
    assert told["mend"] == command
    return told


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_deploy_is_told_and_resumed(tmp_path: Path) -> None:
    release = release_tree(tmp_path / "next", cli=FAILS_THE_SECOND_TIME)
    came = release / "src/photo_api/came"
    with fleet_up(tmp_path / "f") as up:
        # Killed when a newcomer starts: nothing has changed.
        with deploying(up, "--release", str(release)) as process:
            says(process, "one newcomer at a time")
            eventually(has_newcomers(up, 1), 60, 0.2)
            process.send_signal(signal.SIGKILL)
        eventually(lambda: not up.status()["deploying"], 30, 0.2)
        up.wait_for(2)
        assert (releases(up), up.status()["deploy"]) == (["#1"], None)
        shutil.rmtree(came, ignore_errors=True)
        # Killed when one newcomer serves.
        with deploying(up, "--release", str(release)) as process:
            says(process, "drains")
            process.send_signal(signal.SIGKILL)
        eventually(lambda: not up.status()["deploying"], 30, 0.2)
        told = unfinished(up, "#1")
        assert (told["state"], told["have_it"], told["of"]) == ("interrupted", 1, 2)
        counted = [(item["release"], item["instances"]) for item in up.status()["releases"]]
        assert counted == [("#1", 1), (told["release"], 1)]
        mixed = f"mixed: 1 of #1 ({RELEASE}), 1 of {told['release']} ({RELEASE})"
        assert mixed in fleet_command("status", "--data", str(up.data)).stdout
        assert "2 instances serve release #1, 1 of them are new" in up.command("deploy", "--back")
        assert (releases(up), up.status()["deploy"]) == (["#1"], None)
        came.rmdir()
        # It fails in its middle, and then does not.
        failed = up.command("deploy", "--release", str(release), expect=1)
        assert "--resume` tries again" in failed
        told = unfinished(up, "#1")
        assert (told["state"], told["have_it"], told["of"]) == ("failed", 1, 2)
        assert "did not become ready" in told["failure"]
        came.rmdir()
        # Ctrl-C while it is resumed leaves it as it was.
        with deploying(up, "--resume") as process:
            says(process, "one newcomer at a time")
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        eventually(lambda: not up.status()["deploying"], 30, 0.2)
        assert unfinished(up, "#1")["have_it"] == 1
        up.wait_for(2)
        shutil.rmtree(came, ignore_errors=True)
        with deploying(up, "--resume") as process:
            says(process, "one newcomer at a time")
            assert "a deploy is under way" in up.command("deploy", "--resume", expect=1)
            going_on = up.status()["deploy"]
            assert (going_on["state"], going_on["mend"]) == ("under way", None)
            assert process.wait(60) == 0
        assert releases(up) == [told["release"]]
        assert up.status()["deploy"] is None
        assert "nothing to resume" in up.command("deploy", "--resume")
        assert "no unfinished deploy" in up.command("deploy", "--back", expect=1)


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_fleet_that_was_killed_in_a_deploy_tells_it_when_it_runs_again(tmp_path: Path) -> None:
    """It begins with what was deployed last as a whole."""
    former = release_tree(tmp_path / "former")
    release = release_tree(tmp_path / "next", migrations={"9001_adds": "CREATE TABLE x ();\n"})
    (tmp_path / "f/data").mkdir(parents=True)
    Deploys(tmp_path / "f/data/deploys.json").settle(Release(7, "#7 former", (), {}, former))
    with fleet_up(tmp_path / "f") as up:
        assert (releases(up), up.status()["deploy"]) == (["#7 former"], None)
        # Killed when a newcomer starts, which may have migrated or not.
        killed_when(up, lambda: len(up.status()["instances"]) == 3, "--release", str(release))
    with fleet_up(tmp_path / "f") as up:
        told = unfinished(up, "#7 former")
        assert (told["state"], told["release"]) == ("interrupted", "#8 next")
        assert (told["have_it"], told["of"], releases(up)) == (0, 2, ["#7 former"])
        # And when the first one drains, of what was resumed.
        killed_when(up, lambda: len(up.status()["releases"]) == 2, "--resume")
    with fleet_up(tmp_path / "f") as up:
        assert unfinished(up, "#7 former")["release"] == "#8 next"
        shutil.rmtree(release)
        refused = up.command("deploy", "--resume", expect=1)
        assert "is gone" in refused
        assert "put it back, return with --back, or deploy another with --release DIR" in refused
        up.command("deploy", "--back")
        assert (releases(up), up.status()["deploy"]) == (["#7 former"], None)
