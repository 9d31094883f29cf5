"""On a full disk every file that matters is the old one or the new one, and it is said."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from photo_base import processes
from photo_base.processes import CannotStart
from photo_base.whole_file import replace
from photo_fleet.balancer import nginx_reload
from photo_fleet.balancer.nginx_members import NginxUnavailable
from photo_fleet.balancer.state import open_state
from photo_fleet.local_fleet import secrets as fleet_secrets
from photo_fleet.render import folder as rendered_folder
from photo_local import secrets as embedded_secrets
from tests.full_disk import full_disk

LONG = "x" * 100


def render(path: Path) -> None:
    rendered_folder.write(path.parent, {path.name: LONG})


WRITERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "any": (lambda path: replace(path, LONG), OSError),
    "embedded": (lambda path: processes.write(path, LONG), CannotStart),
    "members": (lambda path: nginx_reload._replace(path, LONG), NginxUnavailable),
    "rendered": (render, rendered_folder.FolderError),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file_and_is_told(tmp_path: Path, name: str) -> None:
    write, error = WRITERS[name]
    path = tmp_path / "file"
    if name == "rendered":
        rendered_folder.write(tmp_path, {"file": "old"})
    else:
        path.write_text("old")
    before = {one.name: one.read_text() for one in tmp_path.iterdir()}
    with full_disk(), pytest.raises(error):
        write(path)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == before
    write(path)
    assert path.read_text() == LONG


@pytest.mark.parametrize("module", [embedded_secrets, fleet_secrets])
def test_secrets_that_were_not_written_can_be_made_later(tmp_path: Path, module: object) -> None:
    load_or_create = module.load_or_create  # type: ignore[attr-defined]
    with full_disk(), pytest.raises((CannotStart, CannotStart), match="cannot be written"):
        load_or_create(tmp_path / "secrets.json")
    assert list(tmp_path.iterdir()) == []
    made = load_or_create(tmp_path / "secrets.json")
    assert load_or_create(tmp_path / "secrets.json") == made
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_balancer_begins_and_goes_on_with_a_full_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_state(tmp_path, "one") as state:
        kept = state.me.id
    with full_disk(), open_state(tmp_path, "one") as state:
        assert state.me.id == kept
        state.write({"panic": True})
    assert json.loads((tmp_path / "balancer.json").read_text()) == {"id": kept, "name": "one"}
    assert "state not written, the file stays as it was" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
