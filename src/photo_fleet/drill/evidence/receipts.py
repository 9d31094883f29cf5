"""Whether the receipt of each instance that has ended tells what its log and the clients' ledger
tell. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from photo_fleet.drill.evidence.accounts import is_answered
from photo_fleet.drill.evidence.logs import Execution, Logs
from photo_fleet.drill.evidence.tables import Row, Tables
from photo_fleet.drill.records import Fault, Request

LOST, UNTOLD = "lost", "untold"
NUMBERS = ("requests_accepted", "requests_finished", "requests_cut", "untold")
WHOLE = ("kill-instance", "vanish-instance")
"""Faults that leave an instance no moment to write anything."""

OF_A_WORKER = ("kill-worker", "kill-draining-worker")


def false_receipts(
    tables: Tables, requests: Sequence[Request], logs: Logs, faults: Sequence[Fault]
) -> Iterator[str]:
    """What is missing, and what a receipt says that is not so."""
    there = {str(row["boot_id"]) for row in tables.receipts}
    for row in tables.ended:
        if str(row["boot_id"]) not in there:
            yield f"{row['instance']} is {row['state']} and left no receipt"
    names = Counter(str(row["instance"]) for row in tables.receipts)
    for row in tables.receipts:
        boot, name = str(row["boot_id"]), str(row["instance"])
        lines = [one for one in logs.executions if one.source == "server" and one.boot == boot]
        # A name that two boots had tells of neither.
        answered = _answered_by(name, requests) if names[name] == 1 else set[str]()
        happened = [fault.name for fault in faults if fault.instance == name]
        told = [line for line in logs.receipts if line.get("ended_boot") == boot]
        for wrong in _wrong(row, lines, answered, happened, told):
            yield f"the receipt of {name} ({row['ending']}) {wrong}"


def _wrong(
    row: Row,
    lines: Sequence[Execution],
    answered: set[str],
    faults: Sequence[str],
    told: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    if row["ending"] == LOST:
        known = [name for name in NUMBERS if row[name] is not None]
        if known:
            yield f"knows {', '.join(known)}, and nobody can"
        return
    if row["ending"] == UNTOLD:
        yield "says no more than that it stopped"
        return
    if any(fault in WHOLE for fault in faults):
        yield f"tells of an end in order, and it was hit by {', '.join(faults)}"
    if not row["untold"] and any(fault in OF_A_WORKER for fault in faults):
        yield f"tells of no process that was killed, and it was hit by {', '.join(faults)}"
    yield from _unlike_its_log(row, told)
    yield from _miscounted(row, lines, answered)


def _unlike_its_log(row: Row, told: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(told) != 1:
        yield f"stands in the log {len(told)} times"
    for line in told:
        for name in (*NUMBERS, "ending"):
            if line.get(name) != row[name]:
                yield f"says {name} {row[name]}, and {line.get(name)} in the log"


def _miscounted(row: Row, lines: Sequence[Execution], answered: set[str]) -> Iterator[str]:
    accepted, finished, cut = (row[name] for name in NUMBERS[:3])
    reached = len(lines) + len(answered - {line.request_id for line in lines})
    broken_off = sum(line.broken_off for line in lines)
    if finished < len(answered) and not row["untold"]:
        yield f"says {finished} finished, and clients have {len(answered)} whole answers"
    if row["untold"]:
        if cut is not None:
            yield f"says {cut} cut, and {row['untold']} processes told nothing"
        if finished > reached:
            yield f"says {finished} finished, and {reached} came there"
        return
    if accepted != reached:
        yield f"says {accepted} accepted, and {reached} came there"
    if cut is None or cut < broken_off:
        yield f"says {cut} cut, and its log tells of {broken_off}"
    if accepted != finished + (cut or 0):
        yield f"says {accepted} accepted, and {finished} finished and {cut} cut"


def _answered_by(name: str, requests: Iterable[Request]) -> set[str]:
    return {
        item.id
        for item in requests
        if item.target == "api" and item.instance == name and is_answered(item)
    }
