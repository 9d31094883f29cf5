"""A spec whose store is Swift: settings that the service takes, and secrets; and on one machine."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from photo_api.settings.loading import load
from photo_base.embedded import EmbeddedAddresses, EmbeddedSwift
from photo_fleet.cli import main
from photo_fleet.render import cloud_init, nginx
from photo_fleet.render.places import Places
from photo_fleet.rules.checks import check
from photo_fleet.spec.loading import SpecError, loads
from photo_fleet.spec.settings import absent, secrets, settings
from photo_fleet.spec.store import Store
from tests.photo_fleet.golden_files import assert_golden
from tests.photo_fleet.local_stage import fleet_up
from tests.service import eventually, jpeg, put

SPEC = """
[service]
public_url = "https://photos.example.org"
store_ca = "/etc/ssl/private-ca.pem"
[store]
kind = "swift"
[store.swift]
account = "https://swift.example.org/v1/AUTH_7c1f"
public = "https://cdn.example.org"
container = "pictures"
staging_container = "pictures-staging"
digest = "sha512"
auth = "https://keystone.example.org/v3"
user = "photo-api"
project = "7c1f"
domain = "users"
[balancer]
networks = ["10.0.0.0/8"]
"""
FLEET = loads(SPEC, "fleet.toml")
SECRETS = {
    "DATABASE_URL": "postgresql:///photos",
    "JWT_KEYS": "k1:9f3c1d5e7a8b4260c1d2e3f4a5b69788",
    "SECRET_KEYS": "s1:7d4e0b93a1f65c28e9307b6df184c25a",
    "OPS_TOKEN": "b7e151628aed2a6abf7158809cf4f3c7",
    "SWIFT_PASSWORD": "c2a86e5d0f194b7391d8e7a605f3b41c",
    "SWIFT_URL_KEYS": "5b1f0c9e8d7a4b6380d2e1f3a4c5b697",
    "SWIFT_STAGING_URL_KEYS": "c07e2d94b1a84f5f9e3d6c8b7a012f34",
}


def test_it_is_all_that_the_service_needs() -> None:
    assert {one.variable for one in secrets(FLEET)} == SECRETS.keys()
    assert absent(FLEET) == {}
    told = settings(FLEET)
    assert told.pop("PHOTO_API_SWIFT_CA_FILE") == "/etc/ssl/private-ca.pem"
    found = load(told | {f"PHOTO_API_{name}": value for name, value in SECRETS.items()})
    swift = found.swift
    assert found.store == "swift"
    assert (swift.url, swift.public_endpoint) == (
        FLEET.store.swift.account,
        "https://cdn.example.org",
    )
    assert (swift.container, swift.staging_container) == ("pictures", "pictures-staging")
    assert (swift.auth_url, swift.user, swift.project, swift.domain, swift.digest) == (
        "https://keystone.example.org/v3",
        "photo-api",
        "7c1f",
        "users",
        "sha512",
    )


def test_an_application_credential_has_user_and_project_of_its_own() -> None:
    swift = replace(FLEET.store.swift, credentials="application", user="", project="")
    fleet = replace(FLEET, store=replace(FLEET.store, swift=swift))
    assert absent(fleet) == {}
    texts = {
        secret.variable: SECRETS.get(secret.variable, "made by Keystone")
        for secret in secrets(fleet)
    }
    assert "SWIFT_PASSWORD" not in texts
    told = settings(fleet)
    told.pop("PHOTO_API_SWIFT_CA_FILE")
    found = load(told | {f"PHOTO_API_{name}": value for name, value in texts.items()})
    assert found.swift.credential_secret == "made by Keystone"


def test_a_machine_s_files_are_exactly_these() -> None:
    assert_golden("cloud-init-swift", cloud_init.files(FLEET))
    assert "location ^~ /pictures" not in "".join(nginx.files(FLEET, Places()).values())


def test_what_is_left_to_the_machine_is_named() -> None:
    bare = replace(FLEET, store=Store("swift"))
    names = ("URL", "AUTH_URL", "USER", "PROJECT_ID")
    assert list(absent(bare)) == [f"PHOTO_API_SWIFT_{name}" for name in names]
    assert not [finding for finding in check(bare) if finding.code.startswith(("swift", "store"))]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("account", "https://swift.example.org"),
        ("account", "https://user:word@swift.example.org/v1/AUTH_1"),
        ("auth", "https://keystone.example.org/v4"),
        ("container", "a/b"),
        ("user", "a b"),
        ("digest", "md5"),
    ],
)
def test_what_the_service_would_refuse_is_refused_before(key: str, value: str) -> None:
    with pytest.raises(SpecError, match=rf"store\.swift\.{key} = "):
        loads(f'[store]\nkind = "swift"\n[store.swift]\n{key} = "{value}"', "fleet.toml")
    with pytest.raises(SpecError, match='must be "s3" or "swift"'):
        loads('[store]\nkind = "nonsense"', "fleet.toml")


def test_what_nginx_cannot_pass_on_is_not_rendered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "fleet.toml", tmp_path / "out"
    file.write_text(f'{SPEC}store = "http://10.0.0.5:8333"\n')
    assert main(["render", str(file), "--out", str(out)]) == 1
    told = capsys.readouterr().err
    assert "swift-passed-through" in told
    assert 'set balancer.store to ""' in told
    assert not out.exists()


def test_what_is_printed_of_a_start_is_read_again() -> None:
    swift = EmbeddedSwift(*(f"{number}" for number in range(10)))
    addresses = EmbeddedAddresses("postgresql://", "postgresql://", swift=swift)
    assert "8" not in repr(swift).split("staging_container")[1], "that is a secret"
    told = addresses.store_settings() | addresses.store_secrets()
    assert sorted(told.values()) == sorted(["swift", *(f"{number}" for number in range(10))])


@pytest.mark.slow
@pytest.mark.needs("nginx", "memcached")
@pytest.mark.timeout(300)
def test_a_fleet_on_one_machine_with_a_swift_of_its_own(tmp_path: Path) -> None:
    with fleet_up(tmp_path, options=("--store", "swift")) as up:
        data = jpeg()
        with up.new_user() as user:
            presigned = user.presign(user.album()["id"], data)
            assert "/v1/AUTH_photos/photos-staging/" in presigned["upload_url"]
            assert put(presigned, data).is_success
            user.confirm(presigned["photo_id"]).raise_for_status()
            image = user.api.get(f"/photos/{presigned['photo_id']}/image", follow_redirects=False)
            assert httpx.get(image.headers["location"]).content == data
            asked = preflight(presigned["upload_url"], up.url)
            assert asked["access-control-allow-origin"] == up.url
            assert "access-control-allow-origin" not in preflight(
                presigned["upload_url"], "https://stranger.invalid"
            )
        family = up.processes()
        os.kill(up.process.pid, signal.SIGKILL)
        eventually(lambda: not up.processes(), 15)
        assert len(family) > 10


def preflight(url: str, origin: str) -> httpx.Headers:
    wanted = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type",
    }
    return httpx.options(url, headers={"Origin": origin, **wanted}).headers
