"""The proof of `photo-fleet check`: its generated specs, what it concludes of what a drill saw, and
two specs of each kind for real."""

import ast
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from photo_fleet.drill.check_proof import tables
from photo_fleet.drill.check_proof.reasons import NOT_SHOWN, PARTLY, SHOWN, refusals, shown_by
from photo_fleet.drill.check_proof.result import Conclusion, Proof, Result, Seen, is_doubtful, seen
from photo_fleet.drill.check_proof.runner import scenario_of
from photo_fleet.drill.check_proof.specs import BREAKING, ONE_IN, VALUES, Case, cases
from photo_fleet.drill.records import Outcome
from photo_fleet.spec.changes import PART, changed
from tests.drill.handmade import quiet_run
from tests.photo_fleet.test_checks import BROKEN

ROOT = Path(__file__).parent.parent.parent
LONGEST = 20.0
SERVED = Seen(requests=100)
LOST = Seen(requests=100, unserved={"failed": 3})
COMMAND = (sys.executable, "-m", "photo_fleet.cli", "drill", "--prove-check")


@cache
def generated(number: int, seed: int) -> Sequence[Case]:
    """The draws take seconds."""
    return list(cases(number, seed))


def value_of(case: Case, key: str) -> object:
    node: object = case.fleet
    for part in PART.findall(key):
        node = getattr(node, part)
    return node


@pytest.mark.parametrize("seed", [1, 7])
def test_specs_pass_and_are_refused_in_turn_for_one_key(seed: int) -> None:
    found = generated(24, seed)
    assert [case.number for case in found] == list(range(1, 25))
    for sound, broken in zip(found[::2], found[1::2], strict=True):
        assert (sound.broken, sound.findings, refusals(sound.fleet)) == (None, (), [])
        assert (broken.twin, broken.load) == (sound.number, sound.load)
        assert broken.broken is not None
        assert len(broken.broken) == 1
        assert broken.fleet == changed(sound.fleet, broken.broken) != sound.fleet
        assert shown_by(broken.fleet)
        assert {one.code for one in broken.findings} >= set(shown_by(broken.fleet))


def test_values_are_those_of_the_table_and_no_duration_is_long() -> None:
    for case in generated(24, 1):
        for key, values in VALUES.items():
            assert value_of(case, key) in values
    durations = [value for values in VALUES.values() for value in values if type(value) is float]
    assert max(durations) == LONGEST


def test_every_key_breaks_a_spec_and_some_balancers_are_not_told() -> None:
    found = generated(24, 1)[: 2 * len(BREAKING)]
    assert {key for case in found for key in case.broken or {}} == set(BREAKING)
    removals = [case.fleet.drain.removal for case in found if case.broken is None]
    assert removals.count("health-only") == len(removals) // ONE_IN


def test_a_seed_repeats_the_specs() -> None:
    assert list(cases(6, 1)) == generated(24, 1)[:6]
    assert generated(6, 4) != generated(24, 1)[:6]
    assert len(generated(5, 1)) == 5


def codes_in_rules() -> set[str]:
    """Of every `Contradiction` that a rule makes: their second argument."""
    calls = (
        node
        for path in (ROOT / "src/photo_fleet/rules").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Contradiction"
    )
    return {ast.literal_eval(call.args[1]) for call in calls if is_text(call.args[1])}


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_each_code_of_check_is_shown_or_says_why_not() -> None:
    told = SHOWN.keys() | NOT_SHOWN.keys()
    assert {code for code, _, _ in BROKEN} <= told
    assert codes_in_rules() <= told
    assert not SHOWN.keys() & NOT_SHOWN.keys()
    assert PARTLY.keys() <= SHOWN.keys()
    assert all(NOT_SHOWN.values())


def test_the_longest_requests_take_what_the_spec_says() -> None:
    for case in generated(24, 1):
        if case.load == "longest":
            [first, *_] = scenario_of(case).steps
            longest = case.fleet.service.longest_request
            assert longest - 1 <= first.arguments["seconds"] < longest


SOUND, REFUSED = generated(2, 1)


@pytest.mark.parametrize(
    ("case", "saw", "twin", "conclusion"),
    [
        (SOUND, SERVED, None, Conclusion.SERVES),
        (SOUND, LOST, None, Conclusion.WRONG),
        (SOUND, Seen(requests=0), None, Conclusion.WRONG),
        (SOUND, Seen(requests=9, others={"acknowledged-loss": 1}), None, Conclusion.WRONG),
        (SOUND, Seen(nobody="they end"), None, Conclusion.WRONG),
        (SOUND, None, None, Conclusion.UNSEEN),
        (REFUSED, LOST, SERVED, Conclusion.LOSES),
        (REFUSED, Seen(nobody="they end"), SERVED, Conclusion.LOSES),
        (REFUSED, replace(SERVED, again=3), replace(SERVED, again=2), Conclusion.RETRIED),
        (REFUSED, replace(SERVED, again=2), replace(SERVED, again=2), Conclusion.UNSEEN),
        (REFUSED, SERVED, SERVED, Conclusion.UNSEEN),
        (REFUSED, LOST, LOST, Conclusion.UNSEEN),
        (REFUSED, LOST, None, Conclusion.UNSEEN),
    ],
)
def test_what_follows_from_what_was_seen(
    case: Case, saw: Seen | None, twin: Seen | None, conclusion: Conclusion
) -> None:
    result = Result(case, saw, twin, "" if saw else "no time")
    assert result.conclusion is conclusion
    proof = Proof("", "", "", "", 1, (result,))
    assert proof.holds is (conclusion.value in ("serves", "loses", "retried"))
    assert ("nginx sent 3 again" in result.words) is (conclusion is Conclusion.RETRIED)


def test_once_more_is_tried_what_chance_or_a_busy_machine_may_have_decided() -> None:
    assert is_doubtful(Result(REFUSED, SERVED, SERVED))
    assert is_doubtful(Result(SOUND, replace(LOST, stall=2.0)))
    assert is_doubtful(Result(SOUND, Seen(nobody="no probe brings them in", stall=2.0)))
    assert is_doubtful(Result(SOUND, None, None, "it did not come to its end in time", 2.0))
    for sure in (
        Result(SOUND, LOST),
        Result(SOUND, SERVED),
        Result(SOUND, None, None, "it did not come to its end in time"),
        Result(REFUSED, None, SERVED, "PostgreSQL does not start"),
        Result(REFUSED, LOST, SERVED),
        Result(REFUSED, SERVED, LOST),
    ):
        assert not is_doubtful(sure)


def test_a_proof_that_was_broken_off_holds_nothing() -> None:
    proof = Proof("", "", "", "", 2, (Result(SOUND, SERVED),))
    assert not proof.holds
    assert proof.conclusion == "2 specs: 1 passed and lost nothing, 1 not tried"


def test_of_a_run_it_counts_what_was_not_served_and_what_was_sent_again() -> None:
    record = quiet_run()
    assert seen(record, SOUND, (), 1).serves
    [first, second, *rest] = record.requests
    lost = replace(first, outcome=Outcome.FAILED, status=502)
    again = {first.id, second.id, "another load's"}
    saw = seen(replace(record, requests=(lost, second, *rest)), SOUND, again, 1)
    assert (saw.unserved, saw.again, saw.loses) == ({"failed": 1}, 1, True)


def test_what_took_longer_than_the_spec_allows_counts_for_nothing() -> None:
    record = quiet_run()
    [first, *rest] = record.requests
    longest = SOUND.fleet.service.longest_request
    lost = replace(first, outcome=Outcome.FAILED, status=504, ended=first.sent + longest)
    saw = seen(replace(record, requests=(lost, *rest)), SOUND, (), 1)
    assert (saw.serves, saw.beyond) == (True, 1)
    assert saw.words.endswith("all served; 1 took longer than longest_request")
    slow = replace(lost, kind="slow_upload")
    assert seen(replace(record, requests=(slow, *rest)), SOUND, (), 1).loses


def test_the_table_has_a_row_for_each_spec() -> None:
    results = (Result(SOUND, SERVED), Result(REFUSED, LOST, SERVED))
    proof = Proof("then", "photo-fleet drill", "1", "2 cores", 2, results)
    lines = tables.markdown(proof).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| 1 | deregister-first, lame duck ")
    assert "| passes | 100 requests, all served |  |" in lines[2]
    assert f"refuses: {', '.join(REFUSED.codes)}" in lines[3]
    assert lines[3].endswith("| 100 requests: failed × 3 | spec 1: 100 requests, all served |")
    told = json.loads(tables.dumps(proof))
    assert [one["conclusion"] for one in told["specs"]] == ["serves", "loses"]
    assert told["holds"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["2", "--only", "steady"], "--only: not with --prove-check"),
        (["2", "--store", "swift"], "--store swift: not with --prove-check"),
        (["2", "--self-test"], "--self-test: not with"),
        (["2", "--from", "/"], "--from: not with --prove-check"),
        (["2", "--keep", "/etc"], "not an empty folder"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_started(arguments: list[str], told: str) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_two_that_pass_lose_nothing_and_two_that_are_refused_do() -> None:
    done = subprocess.run(
        [*COMMAND, "4", "--json"], capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = json.loads(done.stdout)
    assert [one["conclusion"] for one in told["specs"]] == ["serves", "loses", "serves", "loses"]
    assert [one["codes"] for one in told["specs"][1::2]] == [["stop-budget"], ["read-timeout"]]
    assert "PHOTO_API_GRACE" in told["specs"][1]["seen"]["nobody"]
    assert told["specs"][3]["seen"]["unserved"]


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_sigterm_ends_it_as_an_interrupt_does_with_the_table_so_far_and_leaves_nothing() -> None:
    # Names of sockets are short: no folder of pytest's.
    with tempfile.TemporaryDirectory(prefix="drill-") as folders:
        running = subprocess.Popen(
            [*COMMAND, "2", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": folders},
        )
        assert running.stderr is not None
        while "check passes" not in (line := running.stderr.readline()):
            assert line, "it ended by itself"
        running.send_signal(signal.SIGTERM)
        running.send_signal(signal.SIGTERM)  # as `timeout` does
        output, errors = running.communicate(timeout=60)
        assert running.returncode == 1, errors
        told = json.loads(output)
        assert (told["holds"], told["specs"], told["wanted"]) == (False, [], 2)
        assert "interrupted" in errors
        left = subprocess.run(["pgrep", "-f", folders], capture_output=True, text=True, check=False)
        assert (left.stdout, os.listdir(folders)) == ("", [])
