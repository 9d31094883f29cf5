"""The edge's secrets: made of the instances', for nginx's user alone, and shown to nobody."""

import os
import stat
from pathlib import Path

import pytest

from photo_fleet.cli import main
from photo_fleet.render import nginx, systemd, tree
from photo_fleet.render.edge_keys import key_map
from photo_fleet.render.places import Places
from photo_fleet.spec.edge import Edge
from photo_fleet.spec.fleet import Balancer, Fleet

ONE, OTHER = "5f3c1a7be90d44c2" * 4, "0a1b2c3d4e5f6071" * 4


def test_nginx_s_map_has_every_key() -> None:
    assert key_map(f" 2026-11:{ONE},default:{OTHER}\n").splitlines()[1:] == [
        f'"kid:2026-11" "{ONE}";',
        f'"kid:default" "{OTHER}";',
    ]


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("", "at least one"),
        (f"a:{ONE[:31]}", "32 characters"),
        (f"a:{ONE},a:{OTHER}", "twice"),
        (f"a:{ONE},A:{OTHER}", "capital"),
        (f"a b:{ONE}", "letters"),
        (f'a:{ONE}";', "openssl"),
        (f"a:{ONE}$uri", "openssl"),
        (f"a:{ONE}\nb", "openssl"),
    ],
)
def test_what_nginx_would_misunderstand_is_refused_and_not_shown(setting: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        key_map(setting)
    assert ONE[:16] not in str(refused.value)


def test_the_command_writes_it_for_its_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, out = tmp_path / "cdn-keys", tmp_path / "edge-keys.conf"
    keys.write_text(f"a:{ONE}\n")
    arguments = ["edge-keys", "--keys", str(keys), "--out", str(out)]
    assert main(arguments) == 0
    assert out.read_text() == key_map(f"a:{ONE}")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    told = capsys.readouterr()
    assert ONE not in told.out + told.err
    before = out.read_text()
    for content in (b"a:short", b"\xff\xfe", b"a" * 70_000):
        keys.write_bytes(content)
        assert main(arguments) == 1
    keys.write_text(f"another:{ONE}")
    assert main([*arguments, "--user", "nobody-of-this-name"]) == 1
    keys.unlink()
    assert main(arguments) == 1
    assert out.read_text() == before
    assert os.listdir(tmp_path) == [out.name]


def test_nginx_s_unit_has_a_place_for_images_where_there_is_an_edge() -> None:
    fleet = Fleet(balancer=Balancer(store="http://10.0.0.5:8333"), edge=Edge(on=True))
    unit = "photo-fleet-nginx.service"
    assert "CacheDirectory=photo-fleet\n" in systemd.balancer_files(fleet)[unit]
    assert "CacheDirectory" not in systemd.balancer_files(Fleet())[unit]
    assert any("edge-keys" in note for note in systemd.notes(fleet))


def test_no_secret_is_in_what_is_rendered() -> None:
    fleet = Fleet(balancer=Balancer(store="http://10.0.0.5:8333"), edge=Edge(on=True))
    told = nginx.files(fleet, Places())["nginx.conf"]
    assert "include /etc/photo-fleet/edge-keys.con[f];" in told
    assert not [name for name in tree.files(fleet) if "edge-keys" in name]
