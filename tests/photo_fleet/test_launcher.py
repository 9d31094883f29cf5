"""What a local fleet tells the instances of a release: each gets the settings that it knows."""

from pathlib import Path

from photo_api.contract import RELEASE
from photo_base.embedded import EmbeddedAddresses
from photo_fleet.local_fleet.launcher import Launcher, caller_environment
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.local_spec import local_spec
from photo_fleet.local_fleet.secrets import load_or_create
from photo_fleet.spec.fleet import Fleet
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


def launcher(data: Path) -> Launcher:
    layout = Layout(data)
    layout.prepare()
    spec = local_spec(Fleet(), ADDRESSES, "http://127.0.0.1:8080")
    secrets = load_or_create(layout.secrets)
    return Launcher(spec, layout, ADDRESSES, secrets, caller_environment())


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
