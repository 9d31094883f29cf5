"""What a service's receipt must agree with: its own log."""

import json
from typing import Any, Protocol

from tests.own_stage import ask
from tests.service import Service

RECEIPT = "SELECT * FROM instance_receipts WHERE boot_id = $1::uuid"


class Logging(Protocol):
    """What has a log of JSON lines."""

    @property
    def log(self) -> str: ...


def lines(service: Logging) -> list[dict[str, Any]]:
    """Its log lines, those of all its processes."""
    return [json.loads(line) for line in service.log.splitlines() if line.startswith("{")]


def told(service: Logging) -> dict[str, Any]:
    """The receipt as its log has it: one line."""
    (line,) = [line for line in lines(service) if line["event"] == "instance_ended"]
    return line


def held(service: Service) -> dict[str, Any]:
    """The receipt of a service that has ended, once it agrees with what every process wrote into
    the log, and the registry's with that of the log."""
    line, requests = told(service), [one for one in lines(service) if one["event"] == "request"]
    (row,) = ask(service.environ, RECEIPT, line["boot"])
    receipt = dict(row)
    same = receipt.keys() & line.keys() - {"version", "instance"}
    assert {name: receipt[name] for name in same} == {name: line[name] for name in same}
    assert {"requests_accepted", "lame_duck_s", "jobs_kept", "untold", "cause"} <= same
    if not receipt["untold"]:
        assert receipt["requests_accepted"] == len(requests)
        assert receipt["requests_cut"] == sum(one.get("broken_off", False) for one in requests)
        whole = receipt["requests_finished"] + receipt["requests_cut"]
        assert receipt["requests_accepted"] == whole
    return receipt
