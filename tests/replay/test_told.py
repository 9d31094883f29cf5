"""What `photo-fleet replay` shows of a traffic, from the command to its picture."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from photo_fleet.cli import main

CROWD = ("replay", "--shape", "flash-crowd", "--spec")


@pytest.fixture
def spec(tmp_path: Path) -> str:
    """One without surprises."""
    path = tmp_path / "fleet.toml"
    path.write_text('name = "photos"\n')
    return str(path)


def test_a_crowd_is_told_with_its_limits(
    spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert main([*CROWD, spec]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.split("\n\n", 1)[1].splitlines())) <= 72
    for name in ("spec", "static-4", "step", "target-tracking", "hpa", "kpa", "predictive"):
        assert re.search(rf"(?m)^{name}( |$)", said)
    assert "░ instances needed   ━ ready by spec" in said
    assert "minutes over the objective; " in said
    assert "Of other days of a week this traffic of 24 h tells nothing." in said


def test_the_picture_is_a_file(spec: str, tmp_path: Path) -> None:
    path = tmp_path / "replay.svg"
    assert main([*CROWD, spec, "--svg", str(path), "--json"]) == 0
    assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_a_picture_that_cannot_be_written_is_told_before_the_work(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none" / "replay.svg"
    assert main([*CROWD, spec, "--svg", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"photo-fleet replay: cannot write {path}: ")
