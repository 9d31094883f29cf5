"""What each gate lets pass, and what it does not."""

from dataclasses import replace
from typing import Any

import pytest

from photo_fleet.drill.gates import (
    EXAMPLES,
    GATES,
    MEANINGS,
    RECOVERED_WITHIN,
    RECOVERY,
    Gate,
    violations,
    without_secrets,
)
from photo_fleet.drill.records import Discrepancies, Fault, Outcome, Record, Request
from photo_fleet.drill.statistics import Ending, Phase
from photo_fleet.drill.verdict import judge
from tests.drill.handmade import BEGAN, ENDED, HIT, OTHER, Requests, bad, quiet_run

REFUSED = bad(Outcome.REFUSED, 503)
PROVOKED = bad(Outcome.REFUSED, 404)
THROTTLED = bad(Outcome.REFUSED, 429)
FAILED = bad(Outcome.FAILED, 502, instance=HIT, logged=True)
UNHEARD = bad(Outcome.FAILED, instance=None)
CUT = bad(Outcome.CUT, 200)
DENIED = bad(Outcome.FAILED, 404)
LOST = bad(Outcome.LOST, instance=HIT)
WRITE: dict[str, Any] = {"method": "POST", "kind": "upload"}
STORE: dict[str, Any] = {"target": "store", "kind": "thumbnail"}

FAULTS = {
    Gate.LOSSLESS: Fault("scale", BEGAN, ENDED, HIT),
    Gate.KILL: Fault("kill-instance", BEGAN, BEGAN, HIT),
    Gate.PROXY_KILL: Fault("kill-proxy-worker", BEGAN, BEGAN),
    Gate.PAUSE: Fault("balancer-pause", BEGAN, BEGAN + 1, HIT),
    Gate.FREEZE: Fault("freeze-instance", BEGAN, ENDED, HIT, left=BEGAN + 4),
    Gate.OUTAGE: Fault("database-stop", BEGAN, ENDED),
    Gate.EDGE: Fault("edge-alone", BEGAN, ENDED),
    Gate.FAILOVER: Fault("lagging-standby-promoted", BEGAN, ENDED, behind=BEGAN - 5),
    Gate.COMPARISON: Fault("remove-by-health", BEGAN, ENDED, HIT),
}

make = Requests().make

EXCUSED: dict[Gate, list[Request]] = {
    Gate.LOSSLESS: [make(12, **PROVOKED), make(12, **PROVOKED, **WRITE)],
    Gate.KILL: [
        make(9, 10.1, **{**CUT, "instance": HIT}),
        make(9, 10.1, **{**CUT, "instance": HIT}, **WRITE),
        make(9, 10.1, **FAILED, **WRITE),
        make(9, 10.1, **LOST, method="DELETE"),
        make(9, 10.1, **{**REFUSED, "instance": HIT}, method="PATCH"),
        make(12, **PROVOKED),
    ],
    Gate.PROXY_KILL: [
        make(9, 10.1, **UNHEARD),
        make(9, 70, **LOST, **WRITE),
        make(2, 10, **CUT, **STORE),
    ],
    Gate.PAUSE: [make(10.5, 10.6, **UNHEARD), make(9.9, 10.2, **UNHEARD, **WRITE)],
    Gate.FREEZE: [
        make(9, 69, **LOST),
        make(13.5, 40, **{**FAILED, "instance": HIT}, **WRITE),
        make(13.5, 21, **{**CUT, "instance": HIT}),
    ],
    Gate.EDGE: [
        make(12, **REFUSED),
        make(12, **FAILED, **STORE),
        make(12, **REFUSED, **STORE),
    ],
    Gate.OUTAGE: [
        make(12, **REFUSED),
        make(12, **THROTTLED, **WRITE),
        make(9.9, 10.1, **REFUSED),
        make(ENDED + 5, **REFUSED),
        make(12, **PROVOKED),
    ],
    Gate.FAILOVER: [
        make(12, **REFUSED),
        make(ENDED + 5, **DENIED),
        make(ENDED + 5, **{**DENIED, "status": 401}, **WRITE),
    ],
    Gate.COMPARISON: [
        make(3, **FAILED),
        make(3, **CUT, **WRITE),
        make(3, **LOST),
        make(3, **REFUSED, **STORE),
    ],
}

FORBIDDEN: list[tuple[Gate, str, Request]] = [
    (Gate.LOSSLESS, "refused", make(12, **REFUSED)),
    (Gate.LOSSLESS, "refused", make(12, **THROTTLED)),
    (Gate.LOSSLESS, "refused", make(12, **bad(Outcome.REFUSED, 408))),
    (Gate.LOSSLESS, "failed", make(12, **FAILED)),
    (Gate.LOSSLESS, "failed", make(12, **FAILED, **STORE)),
    (Gate.LOSSLESS, "failed", make(12, **bad(Outcome.FAILED, 404))),
    (Gate.LOSSLESS, "cut", make(12, **CUT)),
    (Gate.LOSSLESS, "lost", make(12, 72, **LOST)),
    (Gate.KILL, "read-failed", make(9, 10.1, **FAILED)),
    (Gate.KILL, "read-failed", make(9, 10.1, **REFUSED, method="HEAD")),
    (Gate.KILL, "read-failed", make(9, 70, **LOST)),
    (Gate.KILL, "cut-elsewhere", make(9, 10.1, **CUT)),
    (Gate.KILL, "cut-elsewhere", make(9, 10.1, **{**CUT, "instance": None}, **STORE)),
    (Gate.KILL, "cut-elsewhere", make(12, **{**CUT, "instance": HIT})),
    (Gate.KILL, "cut-elsewhere", make(8, 9, **{**CUT, "instance": HIT}, **WRITE)),
    (Gate.KILL, "write-failed-elsewhere", make(12, **FAILED, **WRITE)),
    (Gate.KILL, "write-failed-elsewhere", make(9, 9.9, **FAILED, **WRITE)),
    (Gate.KILL, "write-failed-elsewhere", make(9, 10.1, **FAILED, target="store", method="PUT")),
    (Gate.KILL, "write-failed-elsewhere", make(9, 10.1, **UNHEARD, **WRITE)),
    (Gate.KILL, "write-failed-elsewhere", make(9, 10.1, **{**FAILED, "instance": OTHER}, **WRITE)),
    (Gate.KILL, "write-failed-elsewhere", make(9, 10.1, **REFUSED, method="DELETE")),
    (Gate.PROXY_KILL, "elsewhere", make(9, 9.9, **UNHEARD)),
    (Gate.PROXY_KILL, "elsewhere", make(9, 10.1, **FAILED)),
    (Gate.PROXY_KILL, "elsewhere", make(12, **REFUSED)),
    (Gate.PROXY_KILL, "elsewhere", make(12, **CUT, **STORE)),
    (Gate.PAUSE, "elsewhere", make(9, 9.9, **UNHEARD)),
    (Gate.PAUSE, "elsewhere", make(12, **UNHEARD)),
    (Gate.PAUSE, "elsewhere", make(10.5, 10.6, **FAILED)),
    (Gate.FREEZE, "elsewhere", make(12, **{**FAILED, "instance": OTHER})),
    (Gate.FREEZE, "elsewhere", make(15, 70, **{**LOST, "instance": HIT})),
    (Gate.FREEZE, "elsewhere", make(9, 9.9, **FAILED)),
    (Gate.FREEZE, "elsewhere", make(12, **UNHEARD)),
    (Gate.FREEZE, "elsewhere", make(12, **FAILED, **STORE)),
    (Gate.EDGE, "failed", make(12, **FAILED)),
    (Gate.EDGE, "cut", make(12, **CUT)),
    (Gate.EDGE, "lost", make(12, 72, **LOST, **WRITE)),
    (Gate.EDGE, "store-failed", make(9, **FAILED, **STORE)),
    (Gate.EDGE, "store-failed", make(ENDED + 2, **REFUSED, **STORE)),
    (Gate.EDGE, "refused-without-outage", make(9, **REFUSED)),
    (Gate.EDGE, "not-recovered", make(ENDED + 5, **REFUSED, kind="login")),
    (Gate.OUTAGE, "failed", make(12, **FAILED)),
    (Gate.OUTAGE, "cut", make(12, **CUT)),
    (Gate.OUTAGE, "lost", make(12, 72, **LOST, **WRITE)),
    (Gate.OUTAGE, "store-failed", make(12, **FAILED, **STORE)),
    (Gate.OUTAGE, "refused-without-outage", make(9, **REFUSED)),
    (Gate.FAILOVER, "failed", make(12, **FAILED)),
    (Gate.FAILOVER, "failed", make(BEGAN - 6, **DENIED)),
    (Gate.FAILOVER, "cut", make(12, **CUT)),
    (Gate.FAILOVER, "lost", make(12, 72, **LOST, **WRITE)),
    (Gate.FAILOVER, "refused-without-outage", make(9, **REFUSED)),
    (Gate.OUTAGE, "not-recovered", make(ENDED + 5, **REFUSED, kind="login")),
]

FOUND = {
    "duplicate": Discrepancies(duplicates=("album 'x' exists twice",)),
    "ghost": Discrepancies(ghosts=("photo 7 has no object",)),
    "acknowledged-loss": Discrepancies(acknowledged_lost=("photo 7: 404",)),
    "half-done": Discrepancies(half_done=("album 3 has half of its photos",)),
    "false-receipt": Discrepancies(false_receipts=("10.0.0.1 is stopped and left no receipt",)),
    "unaccounted": Discrepancies(unaccounted=("list r1 was answered, and nginx knows nothing",)),
}

STRICT = [gate for gate in Gate if gate is not Gate.COMPARISON]


def run(gate: Gate, *more: Request) -> Record:
    return quiet_run(*more, fault=FAULTS[gate])


def rules(gate: Gate, record: Record) -> list[str]:
    return [violation.rule for violation in violations(gate, record)]


def test_every_gate_has_rules_and_every_rule_a_test() -> None:
    assert set(GATES) == set(Gate)
    tested = {rule for _, rule, _ in FORBIDDEN} | set(FOUND)
    tested |= {"no-evidence", "recovered-late", "refused-after", "unkept"}
    assert tested == set(MEANINGS)


@pytest.mark.parametrize("gate", STRICT)
def test_what_the_drill_saw_of_a_part_is_excused_by_nothing(gate: Gate) -> None:
    seen = replace(FAULTS[gate], unkept=("a row is missing after 15 s",))
    assert rules(gate, quiet_run(fault=seen)) == ["unkept"]


@pytest.mark.parametrize("gate", Gate)
def test_a_gate_holds_when_all_is_served(gate: Gate) -> None:
    assert violations(gate, run(gate)) == []


@pytest.mark.parametrize("gate", Gate)
def test_a_gate_excuses_what_its_fault_explains(gate: Gate) -> None:
    # Later ones of each kind are served, so that an outage is known to be over.
    served = [make(ENDED + 32, kind=request.kind) for request in EXCUSED[gate]]
    assert violations(gate, run(gate, *EXCUSED[gate], *served)) == []


@pytest.mark.parametrize(("gate", "rule", "request_"), FORBIDDEN)
def test_a_gate_forbids_all_else(gate: Gate, rule: str, request_: Request) -> None:
    kinds = [] if rule == "not-recovered" else [make(ENDED + 35, kind=request_.kind)]
    found = violations(gate, run(gate, request_, *kinds))
    assert [(violation.rule, violation.count) for violation in found] == [(rule, 1)]
    told = request_.kind if rule == "not-recovered" else request_.id
    assert told in found[0].examples[0]


@pytest.mark.parametrize("gate", STRICT)
@pytest.mark.parametrize("rule", FOUND)
def test_no_fault_excuses_a_wrong_effect(gate: Gate, rule: str) -> None:
    record = replace(run(gate), discrepancies=FOUND[rule])
    assert rules(gate, record) == [rule]


@pytest.mark.parametrize("gate", STRICT)
def test_a_run_in_which_nothing_happened_proves_nothing(gate: Gate) -> None:
    assert rules(gate, replace(run(gate), requests=())) == ["no-evidence"]
    assert rules(gate, replace(run(gate), faults=())) == ["no-evidence"]


@pytest.mark.parametrize("rule", FOUND)
def test_a_comparison_is_held_to_what_was_acknowledged_alone(rule: str) -> None:
    record = replace(run(Gate.COMPARISON), discrepancies=FOUND[rule], faults=())
    held = rule in ("duplicate", "ghost", "acknowledged-loss")
    assert rules(Gate.COMPARISON, record) == ([rule] if held else [])


def test_a_failover_tells_what_it_left_behind_and_may() -> None:
    found = Discrepancies(left_behind=("photo 7 was acknowledged and has no row",))
    record = replace(run(Gate.FAILOVER), discrepancies=found)
    verdict = judge(record, Gate.FAILOVER)
    assert (verdict.violations, verdict.bound("left-behind").events) == ((), 1)
    untold = replace(FAULTS[Gate.FAILOVER], behind=None)
    assert rules(Gate.FAILOVER, quiet_run(make(ENDED + 5, **DENIED), fault=untold)) == ["failed"]


def test_an_outage_is_over_soon_after_its_end() -> None:
    def refused_at(seconds: float) -> list[str]:
        later = make(ENDED + seconds + 1, kind="login")
        return rules(
            Gate.OUTAGE, run(Gate.OUTAGE, make(ENDED + seconds, **REFUSED, kind="login"), later)
        )

    assert refused_at(RECOVERED_WITHIN - 1) == []
    assert refused_at(RECOVERED_WITHIN + 1) == ["recovered-late"]
    assert refused_at(RECOVERY + 1) == ["refused-without-outage", "recovered-late"]


def test_few_are_refused_after_an_outage() -> None:
    """Of ten that `quiet_run` serves after it, and those here."""
    refused = [make(ENDED + 1 + number / 10, **REFUSED) for number in range(6)]
    assert rules(Gate.OUTAGE, run(Gate.OUTAGE, *refused[:5])) == []
    assert rules(Gate.OUTAGE, run(Gate.OUTAGE, *refused)) == ["refused-after"]


def test_a_store_that_is_down_excuses_its_own_requests_only() -> None:
    fault = Fault("store-restart", BEGAN, ENDED)
    assert rules(Gate.OUTAGE, quiet_run(make(12, **FAILED, **STORE), fault=fault)) == []
    assert rules(Gate.OUTAGE, quiet_run(make(12, **FAILED), fault=fault)) == ["failed"]


def test_a_frozen_instance_that_never_leaves_is_an_excuse_until_it_is_thawed() -> None:
    fault = replace(FAULTS[Gate.FREEZE], left=None)
    within = make(ENDED - 1, 50, **{**LOST, "instance": HIT})
    after = make(ENDED + 1, 50, **{**LOST, "instance": HIT})
    assert rules(Gate.FREEZE, quiet_run(within, fault=fault)) == []
    assert rules(Gate.FREEZE, quiet_run(after, fault=fault)) == ["elsewhere"]


def test_each_of_several_kills_excuses_its_own_instance() -> None:
    faults = (FAULTS[Gate.KILL], Fault("kill-instance", 15.0, 15.0, OTHER))
    first = make(9, 10.1, **{**CUT, "instance": HIT})
    second = make(14, 15.1, **{**CUT, "instance": OTHER})
    wrong = make(14, 15.1, **{**CUT, "instance": HIT})
    held = replace(run(Gate.KILL, first, second), faults=faults)
    assert rules(Gate.KILL, held) == []
    broken = replace(run(Gate.KILL, wrong), faults=faults)
    assert rules(Gate.KILL, broken) == ["cut-elsewhere"]


def test_a_violation_counts_all_and_shows_some() -> None:
    many = [make(12 + number / 100, **FAILED, detail="reset") for number in range(40)]
    (found,) = violations(Gate.LOSSLESS, run(Gate.LOSSLESS, *many))
    assert (found.count, len(found.examples)) == (40, EXAMPLES)
    assert found.examples[0] == (
        f"12.00–12.02 s list (GET, api) failed, 502 at {HIT}: reset [{many[0].id}]"
    )


@pytest.mark.parametrize(
    ("told", "fit"),
    [
        ("GET http://s/b/k?X-Amz-Signature=abc&x=1 broke", "GET http://s/b/k?… broke"),
        ("/api/share/aBcD-123/photos/4/image: 404", "/api/share/…/photos/4/image: 404"),
        ("http://me:pass@10.0.0.1/x", "http://10.0.0.1/x"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer …"),
        ('{"access_token":"abc","x":1}', '{"access_token":"…","x":1}'),
        ("password=hunter2 rest", "password=… rest"),
        ("jwt eyJhbGciOi.eyJzdWIi.c2ln end", "jwt … end"),
        ("line\nbreak\x1b[31m", "line break [31m"),
    ],
)
def test_what_is_told_holds_no_secrets(told: str, fit: str) -> None:
    assert without_secrets(told) == fit
    found = Discrepancies(ghosts=(told,))
    record = replace(run(Gate.LOSSLESS, make(12, **FAILED, detail=told)), discrepancies=found)
    ghost, failed = violations(Gate.LOSSLESS, record)
    assert ghost.examples == (fit,)
    assert fit in failed.examples[0]


def test_a_verdict_counts_by_target_kind_and_ending() -> None:
    more = [make(12, **FAILED, **STORE), make(12, **PROVOKED), make(12, **REFUSED)]
    verdict = judge(run(Gate.OUTAGE, *more), Gate.OUTAGE)
    counted = {(count.target, count.kind): count.endings for count in verdict.counts}
    assert counted == {
        ("api", "list"): {Ending.OK: 30, Ending.PROVOKED: 1, Ending.REFUSED: 1},
        ("store", "thumbnail"): {Ending.OK: 30, Ending.FAILED: 1},
    }
    assert verdict.requests == 63
    assert (verdict.total(Ending.FAILED), verdict.total(Ending.FAILED, "api")) == (1, 0)
    assert (verdict.unserved("api"), verdict.unserved("store")) == (1, 1)
    assert not verdict.holds


def test_a_verdict_bounds_what_it_did_not_see() -> None:
    keyed = [make(5, **WRITE, idempotency_key=f"k{number % 3}") for number in range(4)]
    keyed[2] = replace(keyed[2], tries=2)
    record = replace(run(Gate.LOSSLESS, *keyed), discrepancies=FOUND["duplicate"])
    verdict = judge(record, Gate.LOSSLESS)
    nothing = verdict.bound("unserved")
    assert (nothing.events, nothing.trials) == (0, 34)
    assert nothing.upper == pytest.approx(3 / 34)
    twice = verdict.bound("duplicate")
    assert (twice.events, twice.trials) == (1, 2), "of three keys one was sent once"
    assert {bound.faults for bound in verdict.bounds} == {1}
    assert verdict.effects == 1
    assert verdict.bound("acknowledged-loss").trials == 1


def test_more_ghosts_than_uploads_can_be_told_of() -> None:
    record = replace(run(Gate.LOSSLESS), uploads=(), discrepancies=Discrepancies(ghosts=("a", "b")))
    assert judge(record, Gate.LOSSLESS).bound("ghost").upper == 1


def test_a_verdict_tells_latency_around_the_faults_and_recovery() -> None:
    stalled = make(12, 15, kind="list")
    verdict = judge(run(Gate.OUTAGE, stalled, make(24, 25.5)), Gate.OUTAGE)
    slowest = {item.phase: item.p99 for item in verdict.latencies}
    assert slowest == {
        Phase.BEFORE: pytest.approx(0.02),
        Phase.DURING: pytest.approx(3),
        Phase.AFTER: pytest.approx(0.02),
    }
    assert verdict.recovered == pytest.approx(0.52)
