"""What is shown of a fleet in a folder can be pasted on its machine, or says that it is for
others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import photo_fleet
from photo_fleet.doctor.diagnosis import Diagnosis
from photo_fleet.doctor.finding import Finding, Unknown
from photo_fleet.local_fleet.commands_here import ELSEWHERE, CommandsHere
from photo_fleet.local_fleet.layout import Layout

LAYOUT = Layout(Path("/tmp/my fleet"))
HERE = CommandsHere(LAYOUT, "http://127.0.0.1:9090")
SECRETS = "'/tmp/my fleet/secrets/"


@pytest.mark.parametrize(
    ("command", "here"),
    [
        ("photo-fleet status", "photo-fleet status --data '/tmp/my fleet'"),
        (
            "PHOTO_API_OPS_TOKEN_FILE=… photo-fleet doctor --only cuts",
            "photo-fleet doctor --data '/tmp/my fleet' --only cuts",
        ),
        (
            'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT 1"',
            f'psql "$(cat {SECRETS}database-url\')" -c "SELECT 1"',
        ),
        (
            'curl -H "Authorization: Bearer $PHOTO_API_OPS_TOKEN" http://127.0.1.1:1/x',
            f'curl -H "Authorization: Bearer $(cat {SECRETS}ops-token\')" http://127.0.1.1:1/x',
        ),
        (
            "photo-fleet check --probe http://127.0.1.1:80",
            f'PHOTO_API_OPS_TOKEN="$(cat {SECRETS}ops-token\')"'
            " photo-fleet check '/tmp/my fleet/fleet.toml' --probe http://127.0.1.1:80",
        ),
        ("photo-fleet check", "photo-fleet check '/tmp/my fleet/fleet.toml'"),
        (
            "sudo curl -sS --unix-socket /run/photo-fleet/members.sock http://nginx/members",
            "curl -sS --unix-socket '/tmp/my fleet/run/members.sock' http://nginx/members",
        ),
        (
            "photo-api jobs list --state dead",
            f'psql "$(cat {SECRETS}database-url\')" -c'
            " \"SELECT * FROM jobs WHERE state = 'dead' LIMIT 50\"",
        ),
        (
            "photo-fleet dashboard --html --since 7d",
            "photo-fleet dashboard '/tmp/my fleet/fleet.toml' --prometheus http://127.0.0.1:9090"
            " --html --since 7d",
        ),
        (
            "photo-fleet replay --prometheus http://127.0.0.1:9090 --since 30d",
            "photo-fleet replay --data '/tmp/my fleet' --since 30d",
        ),
        ("systemctl cat photo-api.service", f"systemctl cat photo-api.service  # {ELSEWHERE}"),
        ("grep -n upstream /tmp/x/nginx.conf", "grep -n upstream /tmp/x/nginx.conf"),
    ],
)
def test_a_command_is_that_of_the_folder(command: str, here: str) -> None:
    assert HERE.command(command) == here


def test_all_of_a_diagnosis_is() -> None:
    finding = Finding(
        "error", "drain-cut", "x", "photo-fleet status", "systemctl restart photo-api"
    )
    unknown = Unknown("key-old", "x", "photo-fleet doctor")
    told = HERE.diagnosis(Diagnosis("f", 0, ("cuts",), (finding,), (unknown,), ()))
    assert told.findings[0].command == "photo-fleet status --data '/tmp/my fleet'"
    assert ELSEWHERE in told.findings[0].fix
    assert told.unknown[0].command == "photo-fleet doctor --data '/tmp/my fleet'"


COMMAND = re.compile(
    r"^(PHOTO_\w+=|sudo|psql|curl|photo-|systemctl|journalctl|grep|nginx|tail|cat)"
)
NOT_HERE = re.compile(
    r"\$PHOTO_|=… |/run/photo|/etc/photo|/var/l\w+/photo|systemctl|journalctl -u|\bsudo\b"
    r"|photo-api (?!serve$)|photo-fleet-|photo-fleet (doctor|status)(?! --data)"
    r"|photo-fleet (check|render|dashboard)(?! '/tmp| writes)"
)


def literals(folder: str) -> Iterator[str]:
    """The commands in its rules, with x for what they are told of."""
    for file in (Path(photo_fleet.__file__).parent / folder).rglob("*.py"):
        inner = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                inner |= {id(part) for part in node.values}
                parts = (one.value if isinstance(one, ast.Constant) else "x" for one in node.values)
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and id(node) not in inner:
                yield str(node.value)


@pytest.mark.parametrize("folder", ["doctor", "report"])
def test_no_rule_shows_a_place_of_production(folder: str) -> None:
    commands = [text for text in literals(folder) if COMMAND.match(text) and " " in text]
    assert len(commands) > 10
    for text in commands:
        told = HERE.command(text)
        assert not NOT_HERE.search(told) or told.endswith(f"# {ELSEWHERE}"), told
