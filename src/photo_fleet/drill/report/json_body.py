"""A drill for machines. Keys are only ever added; times and latencies are in seconds.

format      1
holds       whether every gate holds and all was carried out
unfinished  what could not be carried out, and why
replaced    in what the stage differed from the spec of --spec, and why
began, command, release, machine
scenarios   in the order in which they ran:
  name, title, gate, seed, holds, requests
  counts        [{target, kind, ok, provoked, refused, failed, cut, lost}]
  violations    [{rule, meaning, count, examples}]
  left_behind   {meaning, count, examples}: what a failover forgot, and may
  bounds        [{what, events, trials, upper, faults}]: with 95 % confidence the true share of
                events is at most `upper` (one-sided Clopper-Pearson; 3/n for none of n), if the
                trials are independent; those of one of the `faults` are not
  latency       {before, during, after: {count, p50, p99}}: of what the service answered, by
                when it was due; percentiles are null without requests
  recovered     from the last fault's end until every request was served again; null: some kind
                never was
  stall         the longest that the drill itself was late; any latency may hold as much of it
  faults        [{name, instance, began, ended, left, unkept, behind}]: since the load began;
                `left` is when the instance had left the balancer's members, `unkept` what the
                drill saw it do wrong, `behind` since when the database that took another's
                place had received nothing
  timeline      [{at, seconds, ok, provoked, refused, failed, cut, lost, p50, p99}]: requests
                that ended in the `seconds` from `at` on
  instances     [{at, states: {state: how many}}]
  alerts        null when nobody watched; {shortened, after: {name: seconds since the first fault},
                missed, false}: `shortened` is the factor by which windows of rules were shorter
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from photo_fleet.drill.alarms import SHORTENED
from photo_fleet.drill.gates import EXAMPLES, LEFT_BEHIND, MEANINGS, Violation, without_secrets
from photo_fleet.drill.statistics import Ending, Interval, intervals
from photo_fleet.drill.verdict import Drill, Judged

FORMAT = 1


def dumps(drill: Drill) -> str:
    """As JSON text."""
    return json.dumps(body(drill), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def body(drill: Drill) -> dict[str, Any]:
    """As JSON's own types."""
    return {
        "format": FORMAT,
        "holds": drill.holds,
        "began": drill.began,
        "command": without_secrets(drill.command),
        "release": drill.release,
        "machine": drill.machine,
        "unfinished": [without_secrets(text) for text in drill.unfinished],
        "replaced": list(drill.replaced),
        "scenarios": [_scenario(item) for item in drill.judged],
    }


def _scenario(judged: Judged) -> dict[str, Any]:
    verdict, record = judged.verdict, judged.record
    return {
        "name": judged.scenario.name,
        "title": judged.scenario.title,
        "gate": verdict.gate.value,
        "seed": verdict.seed,
        "holds": verdict.holds,
        "requests": verdict.requests,
        "counts": [
            {"target": count.target, "kind": count.kind, **_endings(count.endings)}
            for count in verdict.counts
        ],
        "violations": [_violation(item) for item in verdict.violations],
        "left_behind": {
            "meaning": LEFT_BEHIND,
            "count": len(record.discrepancies.left_behind),
            "examples": [
                without_secrets(text) for text in record.discrepancies.left_behind[:EXAMPLES]
            ],
        },
        "bounds": [asdict(bound) for bound in verdict.bounds],
        "latency": {
            item.phase.value: {"count": item.count, "p50": item.p50, "p99": item.p99}
            for item in verdict.latencies
        },
        "recovered": verdict.recovered,
        "stall": record.stall,
        "faults": [asdict(fault) for fault in record.faults],
        "timeline": [_piece(item) for item in intervals(record)],
        "alerts": _alerts(judged),
        "instances": [asdict(sample) for sample in record.samples],
    }


def _alerts(judged: Judged) -> dict[str, Any] | None:
    found = judged.watched
    return {"shortened": SHORTENED, **asdict(found)} if found else None


def _violation(violation: Violation) -> dict[str, Any]:
    return {
        "rule": violation.rule,
        "meaning": MEANINGS[violation.rule],
        "count": violation.count,
        "examples": list(violation.examples),
    }


def _piece(item: Interval) -> dict[str, Any]:
    return {
        "at": item.at,
        "seconds": item.width,
        **_endings(item.endings),
        "p50": item.p50,
        "p99": item.p99,
    }


def _endings(counted: Mapping[Ending, int]) -> dict[str, int]:
    return {way.value: counted.get(way, 0) for way in Ending}
