"""A receipt that is missing, or that tells what is not so, is found."""

from dataclasses import replace
from typing import Any

import pytest

from photo_fleet.drill.evidence.logs import Execution, Logs, receipts
from photo_fleet.drill.evidence.receipts import false_receipts
from photo_fleet.drill.evidence.tables import Tables
from photo_fleet.drill.records import Fault, Outcome, Request
from tests.drill.handmade import HIT, OTHER, Requests

BOOT = "0190f0aa-0000-4000-8000-000000000001"
MAKE = Requests().make
SERVED = tuple(MAKE(second, instance=HIT) for second in range(3))
ELSEWHERE = MAKE(9, instance=OTHER)
UNANSWERED = MAKE(4, instance=HIT, status=503, outcome=Outcome.CUT)
PROBE = "a-probe"

SOUND: dict[str, Any] = {
    "boot_id": BOOT,
    "instance": HIT,
    "ending": "drained",
    "requests_accepted": 5,
    "requests_finished": 4,
    "requests_cut": 1,
    "untold": 0,
}
ENDED = {"boot_id": BOOT, "instance": HIT, "state": "stopped"}
NOTHING = dict.fromkeys(("requests_accepted", "requests_finished", "requests_cut", "untold"))


def line(request_id: str, boot: str = BOOT, *, broken_off: bool = False) -> Execution:
    return Execution(request_id, "GET", HIT, 200, "server", boot, broken_off)


LINES = (
    *(line(item.id) for item in SERVED),
    line(UNANSWERED.id, broken_off=True),
    line(PROBE),
    line("another-boot-s", "b"),
)


def wrong(
    row: dict[str, Any] | None = None,
    *,
    lines: tuple[Execution, ...] = LINES,
    told: tuple[dict[str, Any], ...] | None = None,
    fault: str = "scale",
) -> list[str]:
    row = SOUND if row is None else row
    rows = (row,) if row else ()
    said = tuple({**one, "ended_boot": one["boot_id"]} for one in rows if one["ending"] != "lost")
    tables = Tables(receipts=rows, ended=(ENDED,))
    logs = Logs(executions=lines, receipts=said if told is None else told)
    requests: tuple[Request, ...] = (*SERVED, UNANSWERED, ELSEWHERE)
    return list(false_receipts(tables, requests, logs, [Fault(fault, 1.0, 2.0, HIT)]))


def test_one_that_agrees_with_log_and_ledger_holds() -> None:
    assert wrong() == []
    assert wrong({**SOUND, **NOTHING, "ending": "lost"}, fault="kill-instance") == []
    killed = {**SOUND, "untold": 1, "requests_finished": 3, "requests_cut": None}
    assert wrong(killed, fault="kill-worker") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"requests_accepted": 4, "requests_finished": 3}, "4 accepted, and 5 came there"),
        ({"requests_accepted": 6, "requests_finished": 5}, "6 accepted, and 5 came there"),
        ({"requests_finished": 5, "requests_cut": 0}, "0 cut, and its log tells of 1"),
        ({"requests_finished": 5}, "5 finished and 1 cut"),
        ({"requests_finished": 2, "requests_cut": 3}, "clients have 3 whole answers"),
        ({"ending": "untold", **NOTHING}, "no more than that it stopped"),
        ({"ending": "lost"}, "nobody can"),
        ({"untold": 1}, "says 1 cut, and 1 processes told nothing"),
        ({"untold": 1, "requests_cut": None, "requests_finished": 9}, "9 finished, and 5 came"),
    ],
)
def test_each_number_that_lies_is_found(change: dict[str, Any], words: str) -> None:
    (told, *_) = wrong({**SOUND, **change})
    assert told.startswith(f"the receipt of {HIT} (")
    assert words in told


def test_one_that_is_missing_or_told_otherwise_in_the_log_is_found() -> None:
    assert wrong({}) == [f"{HIT} is stopped and left no receipt"]
    assert "stands in the log 0 times" in wrong(told=())[0]
    other = {**SOUND, "ended_boot": BOOT, "requests_cut": 2}
    assert "says requests_cut 1, and 2 in the log" in wrong(told=(other,))[0]


def test_one_of_an_instance_that_was_killed_tells_of_that() -> None:
    assert "an end in order, and it was hit by kill-instance" in wrong(fault="kill-instance")[0]
    assert "no process that was killed" in wrong(fault="kill-worker")[0]


def test_what_a_client_has_an_answer_to_counts_also_without_a_line() -> None:
    assert wrong(lines=LINES[1:]) == []
    unseen = (*LINES, line("one-more"))
    assert "5 accepted, and 6 came there" in wrong(lines=unseen)[0]
    two = replace(LINES[0], broken_off=True)
    assert "says 1 cut, and its log tells of 2" in wrong(lines=(two, *LINES[1:]))[0]


def test_an_instance_s_line_about_another_is_no_receipt_of_its_own() -> None:
    own = b'{"event":"instance_ended","boot":"a","ended_boot":"a","requests_cut":1}\n'
    other = b'{"event":"instance_ended","boot":"a","ended_boot":"b","ending":"lost"}\n'
    assert [told["requests_cut"] for told in receipts([own, other])] == [1]
