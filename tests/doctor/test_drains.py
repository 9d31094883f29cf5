"""What receipts tell of drains."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from photo_fleet.doctor.looks.registry import Event, FollowingBalancer
from photo_fleet.doctor.looks.servers import Server
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet
from tests.doctor.cut_stage import NOW, boot, ended, host

Changes = Mapping[str, Any]
DRAINS: Mapping[str, tuple[Changes, str, str, str]] = {
    "cut": ({"requests_cut": 2}, "drain-cut", "error", "cut 2 requests: 10.0.1.7 2 of 100"),
    "killed": ({"ending": "killed"}, "drain-killed", "error", "killed at the limit"),
    "broken off": ({"ending": "broken_off"}, "drain-killed", "error", "a second signal"),
    "failed": ({"ending": "failed"}, "drain-killed", "error", "a process failed"),
    "long": (
        {"asked_at": NOW - 118, "in_flight_s": 54.0},
        "drain-long",
        "warning",
        "10.0.1.7 58.0 s, in flight 54.0 s",
    ),
    "lines lost": ({"log_lines_lost": 12}, "flush-short", "warning", "lost 12 log lines"),
    "slow flush": ({"flush_s": 4.8}, "flush-short", "warning", "10.0.1.7 4.8 s"),
    "one deaf balancer": (
        {"acknowledged": 1, "lame_duck_end": "elapsed", "lame_duck_s": 15.0},
        "never-deregistered",
        "warning",
        "1 of 4 drains ended without every balancer's word: 10.0.1.7 1 of 2 let go",
    ),
    "no live balancer": (
        {"acknowledged": 0, "balancers": 0, "lame_duck_end": "elapsed"},
        "never-deregistered",
        "warning",
        "10.0.1.7 no balancer was live",
    ),
    "somebody else": (
        {"lame_duck_end": "elapsed", "lame_duck_s": 15.0, "asked_at": NOW - 80},
        "never-deregistered",
        "warning",
        "new connections came to the end of the lame duck",
    ),
}


@pytest.mark.parametrize("name", DRAINS)
def test_receipts_tell_of_drains_that_went_wrong(name: str) -> None:
    changes, code, level, evidence = DRAINS[name]
    with host() as it:
        it.receipts = (ended(7, **changes), *(ended(number) for number in (1, 2, 3)))
        (found,) = it.found()
        assert (found.code, found.level, found.subjects) == (code, level, ("10.0.1.7",))
        assert evidence in found.evidence


@pytest.mark.parametrize(
    ("grace", "took", "lame_duck", "long"),
    [
        (60.0, 54.0, 15.0, False),  # the longest that the usual numbers allow
        (60.0, 56.5, 15.0, True),
        (144.0, 107.0, 105.0, False),  # health-only: nearly all of it is the lame duck
        (115.0, 106.5, 105.0, False),
        (115.0, 112.0, 105.0, True),
        (15.0, 10.9, 0.5, True),  # what is left is the service's own margin
        (16.0, 11.5, 10.0, False),
    ],
)
def test_a_drain_is_long_by_what_it_leaves(
    grace: float, took: float, lame_duck: float, long: bool
) -> None:
    changes = {"drain.grace": grace, "drain.kill_delay": grace}
    with host(changed(Fleet(), changes)) as it:
        it.receipts = (ended(7, asked_at=NOW - 60 - took, lame_duck_s=lame_duck),)
        codes = {one.code for one in it.said()[0]}
        assert ("drain-long" in codes) == long


def test_a_lost_instance_was_killed_when_it_was_draining() -> None:
    nothing = dict.fromkeys(("asked_at", "ended_at", "requests_cut", "balancers", "acknowledged"))
    lost = ended(7, ending="lost", cause="silent", lame_duck_end=None, lame_duck_s=None, **nothing)
    with host() as it:
        it.receipts = (lost,)
        assert it.found() == [], "that is another section's"
        it.registry["events"] = (Event(NOW - 100, "gone-7", "10.0.1.7", "draining", ""),)
        assert "never heard of again" in it.only("drain-killed").evidence


def test_a_drain_that_does_not_end_is_told() -> None:
    with host() as it:
        it.servers[1] = Server(boot(2, state="draining", changed_at=NOW - 30), config={})
        assert it.found() == []
        it.servers[1] = Server(boot(2, state="draining", changed_at=NOW - 300), config={})
        assert "drain for up to 5 min" in it.only("drain-long").evidence


def test_one_that_vanished_while_it_drained_is_told_though_nobody_declares_it_lost() -> None:
    with host() as it:
        gone = boot(2, state="draining", changed_at=NOW - 300, heartbeat_at=NOW - 290)
        it.servers[1] = Server(gone)
        found = it.only("drain-killed")
        assert "10.0.0.2 drained, and nothing was heard of it for up to 5 min" in found.evidence
        assert len(it.found()) == 1


def test_somebody_has_to_follow_the_registry() -> None:
    with host() as it:
        it.registry["balancers"] = (FollowingBalancer("b", "nginx-1", NOW - 500),)
        found = it.only("never-deregistered")
        assert (found.level, "nginx-1 for 8 min" in found.evidence) == ("error", True)
        it.registry["balancers"] = ()
        assert "none was ever seen" in it.only("never-deregistered").evidence
        it.fleet = changed(it.fleet, {"balancer.kind": "cloud"})
        codes = {one.code for one in it.said()[0]}
        assert "never-deregistered" not in codes, "a cloud's balancer acknowledges nothing"


def test_when_all_of_a_fleet_stopped_nobody_was_to_let_go() -> None:
    with host() as it:
        it.receipts = (ended(7, balancers=0, acknowledged=0, lame_duck_end="elapsed"),)
        assert it.only("never-deregistered").level == "error"
        for number in (1, 2):  # these came after it
            it.servers[number - 1] = replace(
                it.servers[number - 1], boot=boot(number, started_at=NOW - 30)
            )
        assert it.found() == []


def test_what_was_left_out_is_not_fine() -> None:
    with host() as it:
        it.receipts = (ended(7, requests_cut=2),)
        it.registry["left_out"] = frozenset({"receipts"})
        findings, unknown = it.said()
        assert [one.code for one in findings] == ["drain-cut"]
        assert len(unknown) == 5
