"""What the doctor sees of units: what systemd itself makes of the same files."""

import math
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.doctor.looks import program, units
from photo_fleet.doctor.looks.unit_files import Root, seconds
from photo_fleet.doctor.looks.units import Unit, loaded, look_at
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.render.environment import files as environment_files
from photo_fleet.render.systemd import balancer_files, instance_files
from photo_fleet.spec.fleet import Drain, Fleet

SYSTEMD = "/usr/lib/systemd/systemd"
ETC, RUN, LIB = "etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"
UNIT = "[Service]\nExecStart=/bin/true\nTimeoutStopSec=60\nKillMode=mixed\n"

CASES: Mapping[str, Mapping[str, str]] = {
    "alone": {f"{LIB}/photo-api.service": UNIT},
    "the administrator's": {
        f"{LIB}/photo-api.service": UNIT,
        f"{ETC}/photo-api.service": UNIT.replace("60", "1min 30s"),
    },
    "drop-ins by name": {
        f"{LIB}/photo-api.service": UNIT,
        f"{LIB}/photo-api.service.d/90-z.conf": "[Service]\nTimeoutStopSec=7\n",
        f"{ETC}/photo-api.service.d/10-a.conf": "[Service]\nTimeoutStopSec=8\nSendSIGKILL=no\n",
    },
    "the same name twice": {
        f"{LIB}/photo-api.service": UNIT,
        f"{RUN}/photo-api.service.d/a.conf": "[Service]\nTimeoutStopSec=7\n",
        f"{ETC}/photo-api.service.d/a.conf": "[Service]\nKillMode=process\n",
    },
    "a masked drop-in": {
        f"{LIB}/photo-api.service": UNIT,
        f"{LIB}/photo-api.service.d/a.conf": "[Service]\nTimeoutStopSec=7\n",
        f"{ETC}/photo-api.service.d/a.conf": "-> /dev/null",
    },
    "of all and of some services": {
        f"{LIB}/photo-api.service": UNIT,
        f"{ETC}/service.d/b.conf": "[Service]\nTimeoutStopSec=7\n",
        f"{ETC}/photo-.service.d/c.conf": "[Service]\nKillSignal=SIGINT\n",
        f"{ETC}/photo-.service.d/b.conf": "[Service]\nKillMode=none\n",
    },
    "lines": {
        f"{ETC}/photo-api.service": "[Service]\nExecStart=/bin/true\n"
        "TimeoutStopSec=\\\n# never mind\n  2min\\\n\n KillMode = mixed\n;KillMode=none\n"
        "[Install]\nWantedBy=x.target\n[Service]\nSendSIGKILL=off\n",
    },
    "what is nonsense is ignored": {
        f"{ETC}/photo-api.service": UNIT + "TimeoutStopSec=\nTimeoutStopSec=1 fortnight\n"
        "TimeoutStopSec=-1\nKillMode=mixd\n",
    },
    "for ever": {f"{ETC}/photo-api.service": UNIT + "TimeoutStopSec=infinity\n"},
    "0 is for ever": {f"{ETC}/photo-api.service": UNIT + "TimeoutStopSec=0\n"},
    "both times": {f"{ETC}/photo-api.service": UNIT + "TimeoutSec=1h 2min 3s 4ms\n"},
    "signals": {f"{ETC}/photo-api.service": UNIT + "KillSignal=9\nKillMode=\n"},
    "nothing said": {f"{ETC}/photo-api.service": "[Service]\nExecStart=/bin/true\n"},
}


@pytest.fixture
def root() -> Iterator[Path]:
    """Where others may read, too."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def put(root: Path, files: Mapping[str, str]) -> Root:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        if text.startswith("-> "):
            file.symlink_to(text.removeprefix("-> "))
        else:
            file.write_text(text)
    return Root(root)


def instance(root: Root) -> Unit:
    found = look_at(root, units.INSTANCE)
    assert found
    return found


def told_by_systemd(root: Path) -> dict[str, str]:
    """What a manager of the user nobody would load, by the names that it prints."""
    paths = ":".join(f"{root}/{folder}" for folder in (ETC, RUN, LIB))
    variables = {
        "SYSTEMD_UNIT_PATH": f"{paths}:/usr/lib/systemd/user",
        "HOME": "/tmp",
        "XDG_RUNTIME_DIR": "/tmp",
    }
    told = subprocess.run(
        [SYSTEMD, "--test", "--user", "--unit=photo-api.service"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=30,
        user=65_534 if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
        cwd="/",
    ).stdout
    about = told.partition("Unit photo-api.service:")[2].partition("-> Unit ")[0]
    assert about, "systemd says nothing of it"
    lines = re.findall(r"^\s+([A-Za-z ]+): (.*)$", about, re.MULTILINE)
    files = [value for name, value in lines if name in ("Fragment Path", "DropIn Path")]
    return dict(lines) | {"files": " ".join(file.removeprefix(str(root)) for file in files)}


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("case", CASES)
def test_files_make_what_systemd_makes_of_them(case: str, root: Path) -> None:
    seen = instance(put(root, CASES[case]))
    if not os.access(SYSTEMD, os.X_OK):
        pytest.skip("no systemd here")
    told = told_by_systemd(root)
    assert " ".join(seen.files) == told["files"]
    assert seconds(told["TimeoutStopSec"]) == pytest.approx(seen.stop, abs=1), "it prints seconds"
    for name in ("KillMode", "KillSignal"):
        assert seen.settings[name].text == told[name]
    says_no = seen.settings["SendSIGKILL"].text in ("no", "off")
    assert ("no" if says_no else "yes") == told["SendSIGKILL"]


@pytest.mark.needs("systemd-analyze")
def test_spans_of_time_are_systemd_s() -> None:
    spans = ["90", "1min 30s", "1.5h", "2 weeks", "300ms", "5m3s", "1d", " 7 s ", "15 sec", "3us"]
    told = subprocess.run(
        ["systemd-analyze", "timespan", *spans], capture_output=True, text=True, check=True
    ).stdout
    micros = [int(value) for value in re.findall(r"μs: (\d+)", told)]
    assert [round((seconds(span) or 0) * 1e6) for span in spans] == micros
    assert seconds("infinity") == math.inf
    assert [seconds(span) for span in ("", "x", "1 fortnight", "-1", "1,5")] == [None] * 5


def rendered(fleet: Fleet) -> dict[str, str]:
    installed = instance_files(fleet) | balancer_files(fleet)
    files = {f"{ETC}/{name}": text for name, text in installed.items() if "service" in name}
    return files | {
        f"etc/photo-api/{name}": text for name, text in environment_files(fleet).items()
    }


def test_each_value_is_told_with_its_file(root: Path) -> None:
    drop_in = f"{ETC}/photo-api.service.d/slow.conf"
    files = rendered(Fleet(drain=Drain(grace=70))) | {
        drop_in: "[Service]\nEnvironment=PHOTO_API_GRACE=1\nTimeoutStopSec=2min\n",
        "etc/photo-api/site.env": "#\nPHOTO_API_LAME_DUCK = '4'\nPHOTO_API_JWT_KEYS=k:hidden\n",
    }
    seen = instance(put(root, files))
    assert (seen.stop, seen.stop_place) == (120, f"/{drop_in}:3")
    assert seen.settings["KillMode"].text == "mixed"
    assert seen.settings["KillMode"].place.startswith("/etc/systemd/system/photo-api.service:")
    found = {name: (value.text, value.place) for name, value in seen.environment.items()}
    assert found["PHOTO_API_LAME_DUCK"] == ("4", "/etc/photo-api/site.env:2"), "the last one wins"
    assert found["PHOTO_API_GRACE"][0] == "70", "files win over what the unit says"
    assert "hidden" not in repr(seen), "nothing else of an environment is kept"
    assert "--workers 1" in seen.programs["ExecStart"][0].text
    (root / "etc/photo-api/photo-api.env").unlink()
    assert instance(Root(root)).unread == ("/etc/photo-api/photo-api.env",)


def test_the_manager_s_default_counts(root: Path) -> None:
    files = {
        f"{ETC}/photo-api.service": "[Service]\nExecStart=/bin/true\n",
        "etc/systemd/system.conf": "[Manager]\nDefaultTimeoutStopSec=20s\n",
    }
    assert instance(put(root, files)).stop == 20
    more = {"run/systemd/system.conf.d/x.conf": "[Manager]\nDefaultTimeoutStopSec=21\n"}
    seen = instance(put(root, more))
    assert (seen.stop, seen.stop_place) == (21, "/run/systemd/system.conf.d/x.conf:2")


@pytest.mark.parametrize("content", ["-> /dev/null", ""])
def test_a_masked_unit_is_none(root: Path, content: str) -> None:
    seen = instance(
        put(root, {f"{ETC}/photo-api.service": content, f"{LIB}/photo-api.service": UNIT})
    )
    assert seen.masked


def test_links_lead_inside_the_root_and_not_round_and_round(root: Path) -> None:
    files = {f"{ETC}/photo-api.service": "-> /opt/x.service", "opt/x.service": UNIT}
    assert instance(put(root, files)).stop == 60
    loop = {f"{ETC}/photo-api.service": "-> photo-api.service"}
    assert look_at(put(root, loop), units.INSTANCE) is None
    os.mkfifo(root / "opt/fifo")
    assert look_at(put(root, {f"{ETC}/photo-api.service": "-> /opt/fifo"}), units.INSTANCE) is None


@pytest.mark.parametrize("name", ["-/etc/x/*.env", "-/etc/%N.env", "/etc/a\0b", "/etc"])
def test_environment_files_that_only_systemd_finds_are_unread(root: Path, name: str) -> None:
    files = {f"{ETC}/photo-api.service": f"{UNIT}EnvironmentFile={name}\n"}
    (unread,) = instance(put(root, files)).unread
    assert unread.isprintable()
    assert unread[:4] == "/etc"


async def test_a_host_without_units_is_unseen(root: Path) -> None:
    seen = Seen(Fleet(), 0, {})
    with pytest.raises(Unseen, match="nobody has told"):
        await units.take(Reach(Fleet(), "x"), seen)
    with pytest.raises(Unseen, match="is installed here"):
        await units.take(Reach(Fleet(), "x", units=root), seen)
    put(root, rendered(Fleet()))
    look = await units.take(Reach(Fleet(), "x", units=root), seen)
    assert set(look.units) == set(units.NAMES)


async def test_what_systemd_has_loaded_wins(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No systemd can be had here that runs: what stands for `systemctl show` prints as 252 does."""
    folder = root / "bin"
    folder.mkdir()
    shown: dict[str, Any] = {
        "LoadState": "loaded",
        "NeedDaemonReload": "yes",
        "TimeoutStopUSec": "1min 30s",
        "KillMode": "control-group",
        "KillSignal": 15,
        "SendSIGKILL": "yes",
    }
    text = "\n".join(f"{name}={value}" for name, value in shown.items())
    tool = folder / "systemctl"
    tool.write_text(f"#!/bin/sh\ncat <<'.'\n{text}\n.\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    unit = instance(put(root, rendered(Fleet())))
    found = await units._as_loaded(unit)
    assert (found.stop, found.outdated) == (90, True)
    assert found.stop_place == "systemctl show photo-api.service"
    assert found.settings["KillMode"].text == "control-group"
    assert found.settings["KillSignal"] == unit.settings["KillSignal"], "the same in other words"
    tool.write_text("#!/bin/sh\nexec sleep 30\n")
    monkeypatch.setattr(program, "PATIENCE", 0.2)
    assert await units._as_loaded(unit) == unit
    tool.unlink()
    if not shutil.which("systemctl"):
        return
    assert loaded(unit, {"LoadState": "not-found"}) == unit
