"""`photo-fleet doctor` for people, for machines, and where nobody answers."""

import asyncio
import json
import os
import pty
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.cli import main
from photo_fleet.doctor.catalogue import CODES, GUIDE
from photo_fleet.doctor.diagnosis import Diagnosis
from photo_fleet.doctor.finding import SECTIONS, Finding, Unknown
from photo_fleet.doctor.looking import Look, Rule, judge, look_around
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.sections import RULES
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.text import body, lines
from photo_fleet.spec.fleet import Fleet
from tests.photo_fleet.local_stage import fleet_command

ANCHOR_OF = {section: GUIDE[section] for section in SECTIONS}

CUT = Finding(
    "error",
    "drain-cut",
    "2 of 3 drains cut 7 requests (instance_receipts)",
    "photo-fleet status",
    "raise drain.in_flight_wait to 40s",
    tuple(f"10.0.0.{number}" for number in range(1, 8)),
)
PINNED = Finding("warning", "connections-pinned", "90 of 100 on one", "ss -tn", "least-connections")
NO_TOKEN = [
    Unknown(code, "no PHOTO_API_OPS_TOKEN", "PHOTO_API_OPS_TOKEN=… photo-fleet doctor")
    for code in ("key-old", "key-undated")
]


def rules(*findings: Finding | Unknown, also: Sequence[str] = ()) -> dict[Any, tuple[Rule, ...]]:
    """One that says each of these, and one that finds nothing for each code in `also`."""

    def judging(told: Finding | Unknown) -> Any:
        def judge(_: Seen) -> Iterator[Finding]:
            if isinstance(told, Unknown):
                raise Unseen(told.reason, told.command)
            yield told

        return judge

    made = [Rule(one.code, judging(one)) for one in findings]
    made += [Rule(code, lambda _: iter(())) for code in also]
    return {one: tuple(r for r in made if CODES[r.code].section == one) for one in SECTIONS}


def diagnosed(*findings: Finding | Unknown, also: Sequence[str] = (), only: Any = ()) -> Diagnosis:
    seen = Seen(Fleet(), 1_800_000_000.0, {})
    return Diagnosis.of("fleet.toml", seen, rules(*findings, also=also), only)


def told(diagnosis: Diagnosis, width: int | None = None, everything: bool = False) -> list[str]:
    return list(lines(diagnosis, width, everything))


def test_a_finding_tells_what_was_seen_and_what_mends_it() -> None:
    assert told(diagnosed(PINNED, CUT, *NO_TOKEN, also=["member-ghost"])) == [
        "error drain-cut (cuts) at 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5 and 2 more:"
        " drains cut requests",
        "  seen: 2 of 3 drains cut 7 requests (instance_receipts)",
        "  shown by: photo-fleet status",
        "  mend it: raise drain.in_flight_wait to 40s",
        "  read: docs/operations.md#requests-are-cut",
        "warning connections-pinned (traffic):"
        " long connections keep requests on the instances that they began at",
        "  seen: 90 of 100 on one",
        "  shown by: ss -tn",
        "  mend it: least-connections",
        "  read: docs/operations.md#traffic-is-uneven",
        "unknown: no PHOTO_API_OPS_TOKEN (leaves key-old, key-undated open)",
        "  ask it by: PHOTO_API_OPS_TOKEN=… photo-fleet doctor",
        "fleet.toml: 2 problems (1 error, 1 warning); not everything could be looked at:"
        " 2 of 5 questions are open",
    ]


def test_what_is_fine_is_told_only_when_it_is_asked_for() -> None:
    diagnosis = diagnosed(*NO_TOKEN, also=["drain-cut"])
    assert told(diagnosis, everything=True) == [
        "unknown key-old (always): no PHOTO_API_OPS_TOKEN",
        "  ask it by: PHOTO_API_OPS_TOKEN=… photo-fleet doctor",
        "unknown key-undated (always): no PHOTO_API_OPS_TOKEN",
        "  ask it by: PHOTO_API_OPS_TOKEN=… photo-fleet doctor",
        "fine drain-cut (cuts), not seen: drains cut requests",
        told(diagnosis)[-1],
    ]
    assert "fine" not in "".join(told(diagnosis))


@pytest.mark.parametrize(
    ("diagnosis", "code", "strict", "verdict"),
    [
        (diagnosed(also=["drain-cut"]), 0, 0, "healthy (1 question answered well)"),
        (diagnosed(CUT), 1, 1, "1 problem (1 error, 0 warnings)"),
        (diagnosed(PINNED), 0, 1, "1 problem (0 errors, 1 warning)"),
        (
            diagnosed(*NO_TOKEN, also=["drain-cut"]),
            *(0, 1),
            "not everything could be looked at: 2 of 3 questions are open, 1 is answered well",
        ),
    ],
)
def test_one_verdict_comes_last(diagnosis: Diagnosis, code: int, strict: int, verdict: str) -> None:
    assert told(diagnosis)[-1] == f"fleet.toml: {verdict}"
    assert [diagnosis.exit_code(one) for one in (False, True)] == [code, strict]
    assert body(diagnosis, strict=True)["ok"] is (strict == 0)


def test_a_section_alone_is_not_the_whole() -> None:
    diagnosis = diagnosed(CUT, also=["member-ghost"], only=["traffic"])
    assert told(diagnosis) == ["fleet.toml, only traffic: healthy (1 question answered well)"]
    assert body(diagnosis, strict=False)["sections"] == ["traffic"]


def test_prose_is_broken_at_the_terminal_s_width_and_commands_never() -> None:
    command = (
        "PHOTO_FLEET_DATABASE_URL_FILE=/etc/photo-fleet/secrets/database-url photo-fleet doctor"
    )
    finding = Finding("error", "drain-cut", "a " * 60, command, "b " * 60)
    found = told(diagnosed(finding), width=50)
    assert f"  shown by: {command}" in found
    assert max(len(line) for line in found if command not in line) <= 50
    assert len(found) > len(told(diagnosed(finding)))


def test_nothing_that_was_read_moves_the_terminal() -> None:
    hostile = "\x1b[2J\u202e10.0.0.1\nerror"
    finding = Finding("error", "drain-cut", hostile, hostile, hostile, (hostile,))
    unknown = Unknown("key-old", hostile, hostile)
    diagnosis = diagnosed(finding, unknown)
    for text in (*told(diagnosis), *told(diagnosis, everything=True)):
        assert text.isprintable(), text
    assert "\x1b" not in json.dumps(body(diagnosis, strict=False), ensure_ascii=False)


def test_machines_get_all() -> None:
    read = body(diagnosed(CUT, *NO_TOKEN, also=["member-ghost"]), strict=False)
    assert (read["ok"], read["counts"]) == (
        False,
        {"errors": 1, "warnings": 0, "unknown": 2, "fine": 1},
    )
    assert read["verdict"].startswith("1 problem (1 error, 0 warnings); not everything")
    (finding,) = read["findings"]
    assert finding == {
        "level": "error",
        "code": "drain-cut",
        "section": "cuts",
        "guide": "docs/operations.md#requests-are-cut",
        "meaning": CODES["drain-cut"].meaning,
        "subjects": list(CUT.subjects),
        "evidence": CUT.evidence,
        "command": CUT.command,
        "fix": CUT.fix,
    }
    assert [one["code"] for one in read["unknown"]] == ["key-old", "key-undated"]
    assert [one["code"] for one in read["fine"]] == ["member-ghost"]
    assert (read["file"], read["at"]) == ("fleet.toml", "2027-01-15T08:00:00+00:00")


def test_every_section_is_in_the_guide() -> None:
    guide = (Path(__file__).parent.parent.parent / "docs/operations.md").read_text()
    for anchor in GUIDE.values():
        heading = anchor.partition("#")[2].replace("-", " ")
        assert f"\n### {heading.capitalize()}\n" in guide


def test_a_spec_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "fleet.toml"
    spec.write_text("[drain]\ngrase = 1\n")
    assert main(["doctor", str(spec)]) == 2
    assert f"{spec}:2: drain.grase is not a key" in capsys.readouterr().err
    assert main(["doctor", str(spec), "--json"]) == 2
    read = json.loads(capsys.readouterr().out)
    assert (read["ok"], read["findings"], read["problems"][0]["line"]) == (False, [], 2)


def test_a_folder_without_a_fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--data", str(tmp_path)]) == 2
    assert f"no fleet runs in {tmp_path}" in capsys.readouterr().err
    assert main(["doctor", "any.toml", "--data", str(tmp_path), "--json"]) == 2
    assert "name no FILE beside it" in json.loads(capsys.readouterr().out)["problems"][0]["text"]
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """Its exit code is that of what was found, and no traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "photo_fleet.cli", "doctor", "-v"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0


def test_on_a_terminal_it_says_what_it_looks_at(tmp_path: Path) -> None:
    """And in a pipe it does not."""
    command = [sys.executable, "-m", "photo_fleet.cli", "doctor"]
    piped = fleet_command("doctor", "--units", str(tmp_path))
    assert piped.stderr == ""
    master, slave = pty.openpty()
    with os.fdopen(slave, "wb") as terminal:
        done = subprocess.run(
            [*command, "--units", str(tmp_path)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=terminal,
            check=False,
            timeout=60,
        )
    said = os.read(master, 65_536)
    os.close(master)
    assert done.returncode == 0
    assert "looking at" in said.decode()
    assert b"looking at" not in done.stdout


def test_a_look_that_hangs_is_unknown() -> None:
    async def hang(_: Reach, __: Seen) -> object:
        await asyncio.sleep(1000)
        return None

    async def visit() -> Seen:
        looks = [Look(int, "one", hang)], [Look(str, "other", hang)]
        return await look_around(Reach(Fleet(), "spec"), looks, lambda _: None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("photo_fleet.doctor.looking.LONGEST_LOOK", 0.2)
        patch.setattr("photo_fleet.doctor.looking.LONGEST_VISIT", 0.3)
        began = time.monotonic()
        seen = asyncio.run(visit())
    assert time.monotonic() - began < 1
    for kind in (int, str):
        with pytest.raises(Unseen, match="no answer within"):
            seen.need(kind)


def test_a_fault_of_the_doctor_leaves_one_question_open() -> None:
    async def broken(_: Reach, __: Seen) -> object:
        raise KeyError("a secret that was read")

    def at_fault(_: Seen) -> Iterator[Finding]:
        yield CUT
        raise KeyError("a secret that was read")

    looks = [[Look(int, "one", broken)]]
    seen = asyncio.run(look_around(Reach(Fleet(), "spec"), looks, lambda _: None))
    with pytest.raises(Unseen, match="one: the doctor itself failed \\(KeyError at test_command"):
        seen.need(int)
    findings, unknown = judge(seen, [Rule(CUT.code, at_fault), Rule("key-old", lambda _: iter(()))])
    assert findings == [CUT]
    assert [one.code for one in unknown] == [CUT.code]
    assert "secret" not in unknown[0].reason


@contextmanager
def nobody_answers() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield listening.getsockname()[1]


@pytest.mark.long
def test_it_comes_to_an_end_when_nobody_answers(tmp_path: Path) -> None:
    """Within a minute, and all of it is unknown."""
    with ExitStack() as silent:
        database, edge, prometheus = (silent.enter_context(nobody_answers()) for _ in range(3))
        began = time.monotonic()
        done = fleet_command(
            *("doctor", "--json", "--units", str(tmp_path)),
            *("--database-url", f"postgresql://someone:x@127.0.0.1:{database}/photos"),
            *("--edge", f"http://127.0.0.1:{edge}"),
            *("--prometheus", f"http://127.0.0.1:{prometheus}"),
            PHOTO_API_OPS_TOKEN="x" * 40,
        )
    assert time.monotonic() - began < 60
    read = json.loads(done.stdout)
    assert done.returncode == 0, read["verdict"]
    assert read["findings"] == []
    assert len(read["unknown"]) >= sum(map(len, RULES.values())) / 2
