"""What a local fleet tells the instances of a release: each gets the settings that it knows."""

import shutil
import sys
from pathlib import Path

import pytest

from photo_api.contract import RELEASE
from photo_base.embedded import EmbeddedAddresses
from photo_base.processes import CannotStart
from photo_fleet.group.instance import Release
from photo_fleet.group.local import Refused
from photo_fleet.local_fleet.deploys import Deploys
from photo_fleet.local_fleet.launcher import Launcher, caller_environment
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.local_spec import local_spec
from photo_fleet.local_fleet.secrets import load_or_create
from photo_fleet.spec.fleet import Fleet
from tests.photo_fleet.local_stage import release_tree
from tests.releases import previous_tree

ADDRESSES = EmbeddedAddresses(
    database_url="postgresql://photo_api@127.0.0.1/photo_api",
    superuser_url="postgresql://postgres@127.0.0.1/photo_api",
    s3_endpoint="http://127.0.0.1:9",
    s3_public_endpoint="http://127.0.0.1:9",
    bucket="photos",
    region="eu-north-1",
    access_key="an-access-key",
    secret_key="a-secret-key-that-is-long-enough",
)


def launcher(data: Path, last_number: int = 0) -> Launcher:
    layout = Layout(data)
    layout.prepare()
    spec = local_spec(Fleet(), ADDRESSES, "http://127.0.0.1:8080")
    secrets = load_or_create(layout.secrets)
    environ = caller_environment()
    return Launcher(spec, layout, ADDRESSES, secrets, environ, last_number=last_number)


async def test_the_release_before_takes_the_settings_of_a_local_fleet(tmp_path: Path) -> None:
    """Else nobody gets from it to this one and back on one machine."""
    before = previous_tree(tmp_path / "before")
    made = launcher(tmp_path / "data")
    former = await made.release(tmp_path / "before")
    assert former.version == before.release
    assert await made.unusable_settings(former) == []
    own = await made.release(None)
    assert own.version == RELEASE
    assert await made.unusable_settings(own) == []
    assert "PHOTO_API_CDN" in made.program("127.0.0.1", own).environ


async def test_a_tree_whose_page_was_not_built_is_known(tmp_path: Path) -> None:
    """Of which `deploy` warns: its instances would answer / with nothing."""
    tree = release_tree(tmp_path / "next")
    built = tree / "src/photo_api/gallery/built"
    built.mkdir(exist_ok=True)
    (built / "index.html").touch()
    assert not (await launcher(tmp_path / "data").release(tree)).lacks_page
    shutil.rmtree(built)
    assert (await launcher(tmp_path / "data").release(tree)).lacks_page
    previous_tree(tmp_path / "before")
    assert not (await launcher(tmp_path / "data").release(tmp_path / "before")).lacks_page


async def test_files_that_changed_are_another_release(tmp_path: Path) -> None:
    """A resumed deploy must not take instances of the files of before for those of the new ones."""
    made, tree = launcher(tmp_path / "data"), release_tree(tmp_path / "next")
    before = await made.release(tree)
    assert (await made.again(before)).number == before.number
    kept = Deploys(tmp_path / "deploys.json")
    kept.settle(before)
    written = Deploys(tmp_path / "deploys.json").settled
    assert written
    (tree / "src/photo_api/cli.py").open("a").write("# mended\n")
    changed = await launcher(tmp_path / "data").again(written)
    assert changed.number > before.number
    assert changed.folder == before.folder


async def test_a_number_is_given_once(tmp_path: Path) -> None:
    """Also where the release that was deployed last is gone, and another began."""
    kept = Deploys(tmp_path / "deploys.json")
    assert kept.last_number == 0
    gone = Release(1, "#1 gone", (), {}, tmp_path / "gone")
    kept.settle(gone)
    kept.begin(Release(2, "#2 next", (), {}, tmp_path / "next"))
    made = launcher(tmp_path / "data", Deploys(tmp_path / "deploys.json").last_number)
    with pytest.raises(Refused, match="no release"):
        await made.again(gone)
    assert (await made.release(None)).number == 3


async def test_a_release_without_migrations_is_none(tmp_path: Path) -> None:
    tree = release_tree(tmp_path / "next")
    shutil.rmtree(tree / "src/photo_api/db/sql")
    (tree / "src/photo_api/db/sql").mkdir()
    with pytest.raises(Refused, match="files of it are missing"):
        await launcher(tmp_path / "data").release(tree)


async def test_nothing_starts_from_files_that_are_gone(tmp_path: Path) -> None:
    """Python would find this tree's code in their place, under their name."""
    made, tree = launcher(tmp_path / "data"), release_tree(tmp_path / "next")
    release = await made.release(tree)
    assert made.program("127.0.0.1", release).environ["PYTHONPATH"] == str(tree / "src")
    shutil.rmtree(tree)
    with pytest.raises(CannotStart, match=r"is gone: .*next is no release"):
        made.program("127.0.0.1", release)


async def test_a_virtual_environment_that_came_or_went_is_another_release(tmp_path: Path) -> None:
    made, tree = launcher(tmp_path / "data"), release_tree(tmp_path / "next")
    release = await made.release(tree)
    (tree / "bin").mkdir()
    (tree / "bin/python").symlink_to(sys.executable)
    (tree / "bin/photo-api").touch()
    with pytest.raises(CannotStart, match="has another Python than before"):
        made.program("127.0.0.1", release)
