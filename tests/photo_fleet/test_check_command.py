"""`photo-fleet check` for people, for scripts, and against a server that runs."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from photo_fleet.cli import COMMANDS, main
from photo_fleet.commands.check import tell
from photo_fleet.rules.findings import Finding
from photo_fleet.rules.server import REPORTED, compare, reported
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Balancer, Fleet
from photo_fleet.spec.loading import load
from photo_fleet.spec.settings import settings
from tests.service import Service

ROOT = Path(__file__).parent.parent.parent
GUIDE, MENDED = str(ROOT / "examples/guide.toml"), str(ROOT / "examples/guide-mended.toml")


def photo_fleet(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own, in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "photo_fleet.cli", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_guide_fails_and_says_why(tmp_path: Path) -> None:
    checked = photo_fleet(tmp_path, "check", GUIDE)
    assert checked.returncode == 1, checked.stderr
    assert "up to 95 s of traffic reaches an instance" in checked.stdout
    assert f"{GUIDE}: 4 errors, 1 warning" in checked.stdout


def test_the_mended_guide_passes_unless_warnings_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", MENDED]) == 0
    told = capsys.readouterr().out
    assert f"{MENDED}: 0 errors, 1 warning" in told
    assert "ports: let port 8000 of every instance be reached by" in told
    assert "gets requests for up to 32 s, one that hangs for up to 45 s" in told
    assert main(["check", "--strict", MENDED]) == 1
    assert "with --strict warnings are errors" in capsys.readouterr().out


REFUSED = {
    "user data": (
        "[service]\ncors_origins = " + json.dumps([f"https://w{n}.example.org" for n in range(500)])
    ),
    "nearly everybody": '[balancer]\nnetworks = ["0.0.0.0/0"]',
    "balancer.bucket": '[balancer]\nstore = "http://10.0.0.5"\nbucket = "api"',
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_instances_or_render_refuse_does_not_pass(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(REFUSED[word])
    assert main(["check", "--json", str(file)]) == 1
    errors = [
        one for one in json.loads(capsys.readouterr().out)["findings"] if one["level"] == "error"
    ]
    assert any(word in one["numbers"] for one in errors), errors


def test_machines_get_all_of_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", GUIDE]) == 1
    body = json.loads(capsys.readouterr().out)
    assert (body["ok"], body["errors"], body["warnings"]) == (False, 4, 1)
    (replace_on,) = [one for one in body["findings"] if one["code"] == "replace-on"]
    assert replace_on["changes"] == {"group.replace_on": "/health/live"}
    assert replace_on["level"] == "error"
    assert body["sick"] == {"failing_s": 32, "hanging_s": 45}
    assert {"numbers", "consequence", "remedy"} <= replace_on.keys()


def test_strict_tells_machines_that_warnings_are_not_ok(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "--json", "--strict", MENDED]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_without_a_file_the_defaults_are_checked_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 0
    assert "There is no fleet.toml here: these are the built-in defaults." in (
        capsys.readouterr().out
    )
    (tmp_path / "fleet.toml").write_text('[group]\nreplace_on = "/health"\n')
    assert main(["check"]) == 1
    assert "fleet.toml: 1 error, 1 warning" in capsys.readouterr().out


def test_an_unusable_spec_is_told_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text("[drain]\ngrace = 60\nlame_duk = 1\n")
    checked = photo_fleet(tmp_path, "check")
    assert checked.returncode == 2
    assert 'fleet.toml:2: drain.grace = 60 needs a unit: write "60s"' in checked.stderr
    assert "fleet.toml:3: drain.lame_duk is not a key; did you mean lame_duck?" in checked.stderr
    assert "Traceback" not in checked.stderr


def test_machines_get_the_problems_of_an_unusable_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text("[drain]\ngrace = 60\n")
    assert main(["check", "--json", str(path)]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["file"], problem["line"], problem["key"]) == (str(path), 2, "drain.grace")


def test_a_file_that_is_not_there_is_no_reason_for_the_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "absent.toml")]) == 2
    assert "absent.toml: cannot be read" in capsys.readouterr().err


def test_wrong_usage_is_2() -> None:
    for arguments in ([], ["chekc"], ["check", "--jsno"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


def test_checking_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    program = (
        "import sys; from photo_fleet.cli import main; main(['check', sys.argv[1]]);"
        "print([name for name in ('asyncpg', 'httpx', 'rich', 'asyncio') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, MENDED], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"


def test_every_command_is_told_by_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    for command in COMMANDS:
        # The longest name has a line of its own.
        assert re.search(rf"^    {command.name}\s+{command.help[:10]}", told, re.M)


GOOD = {
    "database-url": "postgresql://photos:b1946ac92492d2347c6235b4d2611184@db/photos",
    "s3-access-key": "photos",
    "s3-secret-key": "591785b794601e212b260e25925636fd",
    "jwt-keys": "a:9f3c1d5e7a8b4260c1d2e3f4a5b69788",
    "secret-keys": "a:7d4e0b93a1f65c28e9307b6df184c25a",
    "ops-token": "3e7f90c1b2d4a5866f1e0d9c8b7a4352",
}


def put_secrets(folder: Path) -> None:
    for name, text in GOOD.items():
        (folder / name).write_text(text + "\n")


def test_the_secrets_of_instances_are_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_secrets(tmp_path)
    assert main(["check", MENDED, "--secrets", str(tmp_path)]) == 0
    (tmp_path / "jwt-keys").write_text("a:photo-api-secret-key-2024-production-1")
    (tmp_path / "ops-token").write_text(GOOD["s3-secret-key"].upper())
    assert main(["check", MENDED, "--secrets", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "error secrets: PHOTO_API_JWT_KEYS, the secret of 'a', is not random" in told
    assert "PHOTO_API_S3_SECRET_KEY is the same as PHOTO_API_OPS_TOKEN" in told
    assert "openssl rand -hex 32" in told
    assert "production" not in told
    spec = tmp_path / "with-ca.toml"
    elsewhere = '[service]\nstore_ca = "/on/a/machine.pem"\n'
    spec.write_text(Path(MENDED).read_text().replace("[service]\n", elsewhere))
    assert main(["check", str(spec), "--secrets", str(tmp_path)]) == 1
    assert "the secret of 'a', is not random" in capsys.readouterr().out
    (tmp_path / "jwt-keys").unlink()
    assert main(["check", MENDED, "--secrets", str(tmp_path)]) == 1
    assert "jwt-keys cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("provider", "keys", "told"),
    [
        ("akamai", "2026-11:5a0de7c1b98f", "secrets of 32 characters or more"),
        ("akamai", "2026-11:not-hexadecimal-c1b98f4326d7e4f1a0", "must be hexadecimal"),
        ("cloudfront", "K2JCJMDEHXQW5F:5a0de7c1b98f4326d7e4f1a03c8b6259", "openssl pkcs8"),
        ("nhn", None, "cdn-keys cannot be read"),
    ],
)
def test_the_keys_of_a_cdn_are_looked_at(
    provider: str, keys: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_secrets(tmp_path)
    spec = tmp_path / "fleet.toml"
    cdn = f'[cdn]\nprovider = "{provider}"\nurl = "https://cdn.example.org"\n'
    spec.write_text(f"{Path(MENDED).read_text()}\n{cdn}")
    if keys is not None:
        (tmp_path / "cdn-keys").write_text(keys)
    assert main(["check", str(spec), "--secrets", str(tmp_path)]) == 1
    [line] = [one for one in capsys.readouterr().out.splitlines() if "CDN_KEYS" in one]
    assert told in line
    assert "5a0de7c1b98f" not in line


def spec_of(service: Service, folder: Path, **changes: str) -> str:
    """A spec file that says what `service` was started with, except for `changes`."""
    numbers = {
        "port": str(urlsplit(service.url).port),
        "lame_duck": '"3s"',
        "wait": '"3s"',
        "pool": "10",
        **changes,
    }
    path = folder / "fleet.toml"
    path.write_text(
        "[service]\n"
        f'port = {numbers["port"]}\npool = {numbers["pool"]}\nlongest_request = "3s"\n'
        '[balancer]\nconnect_timeout = "1s"\nsend_timeout = "3s"\nread_timeout = "3s"\n'
        f"[drain]\nlame_duck = {numbers['lame_duck']}\nin_flight_wait = {numbers['wait']}\n"
    )
    return str(path)


@pytest.fixture
def instance(start_service: Callable[..., Service]) -> Service:
    return start_service(LAME_DUCK="3")


def test_a_server_is_compared_with_the_spec(instance: Service, tmp_path: Path) -> None:
    token = {"PHOTO_API_OPS_TOKEN": instance.environ["PHOTO_API_OPS_TOKEN"]}
    probe = ("--probe", f"{instance.url}/")

    same = photo_fleet(tmp_path, "check", spec_of(instance, tmp_path), *probe, **token)
    assert same.returncode == 0, same.stdout
    assert "0 errors, 1 warning" in same.stdout

    spec = spec_of(instance, tmp_path, lame_duck='"20s"', pool="5", port="8000")
    differs = photo_fleet(tmp_path, "check", spec, *probe, "--json", **token)
    assert differs.returncode == 1, differs.stderr
    found = {one["code"]: one for one in json.loads(differs.stdout)["findings"]}
    assert found.keys() == {"n-plus-one", "server-lame-duck", "server-pool", "server-port"}
    assert found["server-lame-duck"]["numbers"] == (
        "drain.lame_duck is 20 in the spec and 3 at the server"
    )
    assert (
        "PHOTO_API_LAME_DUCK 20, or set drain.lame_duck to 3s"
        in (found["server-lame-duck"]["remedy"])
    )
    assert found["server-port"]["level"] == "warning"

    absent = photo_fleet(tmp_path, "check", spec, *probe)
    assert absent.returncode == 2
    assert "PHOTO_API_OPS_TOKEN is not set" in absent.stderr

    wrong = photo_fleet(tmp_path, "check", spec, *probe, PHOTO_API_OPS_TOKEN="no-such-token")
    assert wrong.returncode == 2
    assert "tells its configuration to nobody with this PHOTO_API_OPS_TOKEN" in wrong.stderr
    assert "no-such-token" not in wrong.stderr + wrong.stdout


def test_the_service_reports_every_number_that_is_compared(service: Service) -> None:
    config = reported(service.url, service.environ["PHOTO_API_OPS_TOKEN"])
    assert config.keys() >= REPORTED.keys()


def test_a_server_behind_a_cloud_s_balancer_wants_a_token_for_its_metrics(
    service: Service,
) -> None:
    config = reported(service.url, service.environ["PHOTO_API_OPS_TOKEN"])
    fleet = Fleet(balancer=Balancer(kind="cloud"))
    for of_spec, told, level in (
        (fleet, "network", "error"), (fleet, "token", None),
        (Fleet(), "token", "warning"), (Fleet(), config["metrics_access"], None),
    ):  # fmt: skip
        found = [
            finding
            for finding in compare(of_spec, config | {"metrics_access": told})
            if finding.code == "server-metrics-access"
        ]
        assert [finding.level for finding in found] == ([level] if level else [])
    assert settings(fleet)["PHOTO_API_METRICS_ACCESS"] == "token"
    assert "PHOTO_API_METRICS_ACCESS" not in settings(Fleet())


def test_the_remedy_of_a_difference_makes_the_spec_true(service: Service) -> None:
    config = reported(service.url, service.environ["PHOTO_API_OPS_TOKEN"])
    fleet = Fleet()
    for finding in compare(fleet, config):
        fleet = changed(fleet, finding.changes)
    assert compare(fleet, config) == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:1 does not answer"),
        ("127.0.0.1:8000", "--probe takes the http:// or https:// address"),
        ("ftp://127.0.0.1", "--probe takes the http:// or https:// address"),
        ("http://127.0.0.1:99999", "no usable port"),
        ("http://me:hunter22@127.0.0.1:1", "http://127.0.0.1:1 does not answer"),
    ],
)
def test_an_address_without_a_server_is_told(
    url: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PHOTO_API_OPS_TOKEN", "token")
    assert main(["check", MENDED, "--probe", url]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "hunter22" not in error
    assert main(["check", MENDED, "--json", "--probe", url]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert told in problem["text"]


def test_a_server_that_is_not_ours_is_told(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHOTO_API_OPS_TOKEN", "token")
    store = environ["PHOTO_API_S3_ENDPOINT"]
    assert main(["check", MENDED, "--probe", store]) == 2
    assert "not as the service does" in capsys.readouterr().err


def test_a_report_of_nonsense_is_a_difference() -> None:
    config = dict.fromkeys(REPORTED, "\x1b[2J")
    found = compare(load(MENDED), config)
    assert len(found) == len(REPORTED)
    assert all("\x1b" not in one.numbers + one.remedy for one in found)


def test_a_name_from_elsewhere_moves_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """As of an alarm in AWS, which stands in a command that is proposed."""
    told = "aws cloudwatch delete-alarms --alarm-names '\x1b[2Jall is well'"
    tell("fleet.toml", Fleet(), [Finding("error", "aws-alarm", told, told, told)], False)
    printed = capsys.readouterr().out
    assert printed.count("delete-alarms") == 3
    assert "\x1b" not in printed
