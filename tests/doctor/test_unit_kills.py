"""Units that end a service before it is done."""

from collections.abc import Mapping

import pytest

from tests.doctor.cut_stage import host

UNITS: Mapping[str, tuple[str, str, str, str]] = {
    "shorter than a drain": ("photo-api", "TimeoutStopSec=20", "error", "= 54s, and its grace"),
    "shorter than the grace": ("photo-api", "TimeoutStopSec=55s", "warning", "its grace is 60s"),
    "systemd's default": ("photo-api", "TimeoutSec=10", "error", "TimeoutStopSec 10s"),
    "a longer drain": (
        "photo-api",
        "EnvironmentFile=\nEnvironment=PHOTO_API_LAME_DUCK=40",
        "error",
        "lame_duck 40s",
    ),
    "to each process": ("photo-api", "KillMode=control-group", "warning", "decoders"),
    "to nobody": ("photo-api", "KillMode=none", "error", "nothing tells it to stop"),
    "to the first only": ("photo-api", "KillMode=process", "warning", "left running"),
    "at once": ("photo-api", "KillSignal=SIGKILL", "error", "begin a drain"),
    "by number": ("photo-api", "KillSignal=3", "error", "KillSignal=SIGQUIT"),
    "never": ("photo-api", "SendSIGKILL=no", "warning", "holds up its next start"),
    "with its decoder": ("photo-api", "OOMPolicy=stop", "warning", "takes the instance with it"),
    "with all it has": ("photo-api", "OOMPolicy=kill", "error", "OOMPolicy=kill"),
    "by a command": (
        "photo-api",
        "ExecStop=/bin/kill -9 $MAINPID",
        "error",
        "ExecStop=/bin/kill -9 $MAINPID (",
    ),
    "by a watchdog": ("photo-api", "WatchdogSec=30", "error", "does not feed a watchdog"),
    "nginx at once": ("photo-fleet-nginx", "KillSignal=SIGTERM", "error", "SIGQUIT alone"),
    "nginx too early": ("photo-fleet-nginx", "TimeoutStopSec=5", "error", "is killed with"),
    "nginx by a command": (
        "photo-fleet-nginx",
        "ExecStop=/usr/sbin/nginx -s stop",
        "error",
        "closes all connections",
    ),
}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_that_kills_is_told_with_its_file(name: str) -> None:
    which, lines, level, evidence = UNITS[name]
    with host() as it:
        it.drop_in(lines, which)
        found = it.only("unit-kills")
        assert (found.level, found.command) == (level, f"systemctl cat {which}.service")
        assert evidence in found.evidence
        if "Environment" not in lines:
            assert f"/etc/systemd/system/{which}.service.d/override.conf:2" in found.evidence
            assert len(it.found()) == 1


def test_a_host_of_one_kind_leaves_the_other_s_unit_open() -> None:
    with host() as it:
        (it.folder / "etc/systemd/system/photo-fleet-nginx.service").unlink()
        _, (unknown,) = it.said()
        assert unknown.reason == "photo-fleet-nginx.service is not on this host"
        it.unit.unlink()
        it.unit.symlink_to("/dev/null")
        assert it.said()[0] == [], "a masked unit ends nothing"


BROKEN = {"dangling": "/etc/nowhere.conf", "circular": "override.conf"}


@pytest.mark.parametrize("which", ["photo-api", "photo-fleet-nginx", "photo-fleet-balance"])
@pytest.mark.parametrize("link", BROKEN)
def test_a_drop_in_that_leads_nowhere_leaves_its_own_unit_open(link: str, which: str) -> None:
    """What the other ones do is told all the same."""
    with host() as it:
        for name in ("photo-api", "photo-fleet-nginx"):
            it.drop_in("KillMode=none", name)
        folder = it.folder / f"etc/systemd/system/{which}.service.d"
        folder.mkdir(exist_ok=True)
        (folder / "override.conf").unlink(missing_ok=True)
        (folder / "override.conf").symlink_to(BROKEN[link])
        findings, unknown = it.said()
    told = {one.evidence.split(":")[0] for one in findings if one.code == "unit-kills"}
    assert told == {f"{name}.service" for name in ("photo-api", "photo-fleet-nginx")} - {
        f"{which}.service"
    }
    open_ones = {"reality-differs"}
    if which == "photo-api":
        open_ones |= {"reality-contradicts", "unit-kills"}
    elif which == "photo-fleet-nginx":
        open_ones |= {"unit-kills"}
    assert {one.code for one in unknown} == open_ones
    assert all(one.reason.startswith(f"{which}.service: ") for one in unknown)


def test_the_manager_s_files_matter_to_units_that_leave_it_to_them() -> None:
    with host() as it:
        conf = it.folder / "etc/systemd/system.conf.d"
        conf.mkdir(parents=True)
        (conf / "local.conf").symlink_to("/etc/nowhere.conf")
        assert it.said()[1] == [], "the units say themselves how long they may take"
        it.drop_in("TimeoutStopSec=", "photo-fleet-nginx")
        it.edit(it.unit, "TimeoutStopSec", "#TimeoutStopSec")
        assert {one.code for one in it.said()[1]} == {
            *("unit-kills", "reality-differs", "reality-contradicts")
        }
