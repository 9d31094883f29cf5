"""The picture of a fleet in the terminal."""

from typing import Any

from rich.console import Console

from photo_fleet.local_fleet.journal import Journal
from photo_fleet.local_fleet.view import picture

STATUS: dict[str, Any] = {
    "fleet": "stage",
    "url": "http://127.0.0.1:8080",
    "watchers": {},
    "time_scale": 60.0,
    "min": 2,
    "max": 4,
    "desired": 3,
    "release": "#1",
    "deploying": False,
    "deploy": None,
    "database": True,
    "panic": False,
    "averages": {"cpu": 41.256},
    "decision": "nothing to do",
    "receipts": [],
    "requests": {"total": 9, "errors": 1, "per_second": 1.8, "errors_per_second": 0.2},
    "instances": [
        {
            "name": "127.0.1.1",
            "port": 41001,
            "state": "ready",
            "member": True,
            "cpu_percent": 41.2,
            "in_flight": 3.0,
            "age_s": 61.0,
            "release": "#1",
        },
        {
            "name": "127.0.1.2",
            "port": 0,
            "state": "starting",
            "member": False,
            "cpu_percent": None,
            "in_flight": None,
            "age_s": 0.4,
            "release": "#1",
        },
    ],
    "events": [{"at": 0.0, "instance": "127.0.1.2", "kind": "start", "text": "process 7"}],
}


def drawn(**changed: Any) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(picture({**STATUS, **changed}))
    return captured.get()


def test_it_shows_instances_load_traffic_and_what_happened() -> None:
    lines = drawn().splitlines()
    assert "1 ready, 3 desired (2–4)" in lines[0]
    assert "time × 60" in lines[0]
    assert lines[2].split() == ["127.0.1.1:41001", "ready", "yes", "41", "%", "3", "61", "s", "#1"]
    assert lines[3].split() == ["127.0.1.2", "starting", "no", "–", "–", "0", "s", "#1"]
    assert "1.8 requests/s, 9 in all, 1 errors (0.2/s)  cpu 41.3" in lines[4]
    assert lines[5].split()[1:] == ["127.0.1.2", "start", "process", "7"]


def test_it_says_where_what_watches_the_fleet_answers() -> None:
    watchers = {"Pushgateway": "http://127.0.0.1:9091", "Prometheus": "http://127.0.0.1:9090"}
    line = drawn(watchers=watchers).splitlines()[1]
    assert line.split() == [word for pair in watchers.items() for word in pair]


def test_it_cries_when_ill_members_are_kept_or_the_database_is_away() -> None:
    assert "PANIC" in drawn(panic=True)
    assert "the database does not answer" in drawn(database=False)


def test_what_comes_from_outside_is_shown_and_neither_markup_nor_control() -> None:
    journal = Journal()
    journal.tell("127.0.1.1", "draining", "[red]\x1b[2J\nforged line")
    (line,) = drawn(events=[item.describe() for item in journal.last(9)]).splitlines()[5:]
    assert line.endswith("127.0.1.1    draining  [red] [2J forged line")
    assert str(journal.last(1)[0]).endswith("127.0.1.1 draining: [red] [2J forged line")


RECEIPT: dict[str, Any] = {
    "instance": "127.0.1.3",
    "written_at": "2026-11-26T09:00:05+00:00",
    "asked_at": "2026-11-26T09:00:00.5+00:00",
    "ended_at": "2026-11-26T09:00:05+00:00",
    "ending": "drained",
    "cause": "[red]SIGTERM\x1b[2J\n; 2 requests cut at the limit",
    "untold": 0,
    "requests_finished": 812,
    "requests_cut": 2,
    "balancers": 1,
    "acknowledged": 1,
}


def test_it_shows_what_came_of_those_that_have_ended() -> None:
    lost = dict.fromkeys(RECEIPT) | {"instance": "127.0.1.4", "ending": "lost"}
    lost["written_at"] = RECEIPT["written_at"]
    killed = {**RECEIPT, "instance": "127.0.1.5", "untold": 1, "requests_cut": None}
    lines = drawn(receipts=[RECEIPT, lost, killed]).splitlines()[4:8]
    assert lines[0].split() == [
        *("ended", "at", "how", "finished", "cut", "balancers", "took", "cause")
    ]
    (name, _, *told) = lines[1].split()
    assert [name, *told[:8]] == ["127.0.1.3", "drained", "812", "2", "1", "of", "1", "4.5", "s"]
    assert lines[1].rstrip().endswith("[red]SIGTERM [2J ; 2 requests cut at the limit")
    (name, _, *told) = lines[2].split()
    assert [name, *told] == ["127.0.1.4", "lost", *("–",) * 3, "of", "–", "–"], "nobody knows"
    (name, _, *told) = lines[3].split()
    assert [name, *told[:4]] == ["127.0.1.5", "drained", "≥", "812", "–"]
