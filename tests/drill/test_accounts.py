"""The instance of a request is known from its answer or from nginx's log, and all logs of it must
agree."""

from dataclasses import replace
from typing import Any

import pytest

from photo_fleet.drill.evidence.accounts import DEATHS, attributed, unaccounted
from photo_fleet.drill.evidence.logs import Execution, Logs, Passage, passages
from photo_fleet.drill.faults.available import AVAILABLE
from photo_fleet.drill.records import Fault, Outcome, Request
from tests.drill.handmade import HIT, OTHER, Requests, bad

make = Requests().make
REFUSED = bad(Outcome.REFUSED, 503)
BROKEN = bad(Outcome.FAILED, instance=None)


def passed(
    request: Request, *instances: str, status: int | None = None, away: str | None = None
) -> Passage:
    """`away` did not take the connection."""
    told = request.status if status is None else status
    upstreams = tuple(f"{name}:8000" for name in instances)
    reached = tuple(name != away for name in instances)
    return Passage(request.id, request.method, told or 0, upstreams, reached)


def answered(request: Request, *sources: str, **changed: Any) -> list[Execution]:
    instance, status = request.instance or "", request.status or 0
    plain = {
        "server": Execution(request.id, request.method, instance, status, "server"),
        "nginx": Execution(request.id, request.method, f"{instance}:8000", status, "nginx"),
    }
    return [replace(plain[source], **changed) for source in sources]


def logs(*lines: Passage, executions: list[Execution] | None = None) -> Logs:
    return Logs(lines, tuple(executions or ()))


def test_a_request_without_an_answer_belongs_to_whom_nginx_sent_it_last() -> None:
    broken, unheard, refused = make(1, **BROKEN), make(1, **BROKEN), make(1, **BROKEN)
    found = attributed(
        [broken, unheard, refused], logs(passed(broken, OTHER, HIT), passed(refused, status=503))
    )
    assert [(item.instance, item.logged) for item in found] == [
        (HIT, True),
        (None, False),
        (None, True),
    ]


def test_who_answered_had_it_whatever_was_tried_before() -> None:
    served = make(1)
    (found,) = attributed([served], logs(passed(served, HIT, OTHER)))
    assert (found.instance, found.logged) == (OTHER, True)


def test_the_store_is_no_instance() -> None:
    broken = make(1, **BROKEN, target="store")
    (found,) = attributed([broken], logs(passed(broken, "127.0.0.1")))
    assert (found.instance, found.logged) == (None, True)


GONE = {**bad(Outcome.FAILED, 404), "method": "DELETE", "kind": "delete_photo"}
OK, FAILED = Outcome.OK, Outcome.FAILED


def test_a_deletion_that_nginx_repeated_may_find_nothing_left() -> None:
    first, second, third, other = (make(1, **GONE) for _ in range(4))
    other = replace(other, kind="list")
    found = attributed(
        [first, second, third, other],
        logs(
            passed(first, HIT, OTHER),
            passed(second, OTHER),
            passed(third, HIT, OTHER, away=HIT),
            passed(other, HIT, OTHER),
        ),
    )
    assert [item.outcome for item in found] == [OK, FAILED, FAILED, FAILED]
    assert [item.tries for item in found] == [2, 1, 1, 2], "a member without it has not tried"


def test_what_nginx_has_no_line_of_was_tried_when_an_instance_wrote_of_it() -> None:
    heard, unheard = (make(1, **BROKEN, method="POST") for _ in range(2))
    wrote = answered(replace(heard, instance=HIT, status=201), "server")
    assert [item.tries for item in attributed([heard, unheard], logs(executions=wrote))] == [1, 0]


def test_a_deletion_that_its_client_repeated_may_find_nothing_left_if_the_first_arrived() -> None:
    first, unheard, wrote = (make(1, **BROKEN, method="DELETE") for _ in range(3))
    again = [make(2, **GONE, repeats=item.id) for item in (first, unheard, wrote)]
    again = [replace(item, outcome=OK) for item in again]  # as their client may take them
    found = attributed(
        again,
        logs(
            passed(first, HIT),
            passed(unheard, HIT, away=HIT),
            *(passed(item, OTHER) for item in again),
            executions=answered(replace(wrote, instance=HIT, status=204), "server"),
        ),
    )
    assert [item.outcome for item in found] == [OK, FAILED, OK]


SERVED = make(12)
WRONG = make(12, **REFUSED)
CUT = make(12, **bad(Outcome.CUT, 200, instance=HIT))
OF_STORE = make(12, target="store", instance=None)


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (SERVED, logs(passed(SERVED, OTHER), executions=answered(SERVED, "nginx", "server"))),
        # nginx refused it itself, a store answered it, it broke off, or it never arrived.
        (WRONG, logs(passed(WRONG))),
        (OF_STORE, logs(passed(OF_STORE, "127.0.0.1"))),
        (CUT, logs()),
        (make(12, **BROKEN), logs()),
        # What others wrote, such as downloads of the drill itself, is nobody's here.
        (SERVED, logs(passed(SERVED), passed(make(1), HIT), executions=answered(make(1), "nginx"))),
    ],
)
def test_logs_that_agree_leave_nothing_open(request_: Request, found: Logs) -> None:
    assert unaccounted([request_], found, []) == ()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (logs(), "was answered by 200, and nginx knows nothing"),
        (logs(passed(SERVED, status=502)), "its client saw 200, nginx sent 502"),
        (logs(passed(SERVED), passed(SERVED)), "was sent once and passed nginx 2 times"),
        (
            logs(passed(SERVED), executions=answered(SERVED, "nginx")),
            f"{OTHER} answered 200, and wrote nothing",
        ),
        (
            logs(
                passed(SERVED),
                executions=[
                    *answered(SERVED, "nginx"),
                    *answered(SERVED, "server", status=500),
                ],
            ),
            f"{OTHER} answered 200, and wrote nothing",
        ),
    ],
)
def test_each_disagreement_is_told(found: Logs, words: str) -> None:
    (told,) = unaccounted([SERVED], found, [])
    assert words in told
    assert SERVED.id in told


@pytest.mark.parametrize(
    ("fault", "open_"),
    [
        (Fault("kill-instance", 13.0, 13.0, OTHER), 0),
        (Fault("kill-worker", 11.0, 11.0, OTHER), 0),
        (Fault("freeze-instance", 11.0, 36.0, OTHER), 0),
        (Fault("kill-worker", 9.5, 9.6, OTHER), 1),
        (Fault("freeze-instance", 9.5, 34.5, OTHER), 1),
        (Fault("kill-instance", 15.0, 15.0, OTHER), 1),
        (Fault("kill-instance", 13.0, 13.0, HIT), 1),
        (Fault("scale", 13.0, 13.0, OTHER), 1),
    ],
)
def test_who_is_killed_takes_along_the_end_of_its_own_log_only(fault: Fault, open_: int) -> None:
    found = logs(passed(SERVED), executions=answered(SERVED, "nginx"))
    assert len(unaccounted([SERVED], found, [fault])) == open_


def test_only_faults_that_there_are_excuse_a_log_that_ends() -> None:
    assert set(DEATHS) <= set(AVAILABLE)


def test_a_line_of_nginx_tells_where_a_request_was_sent() -> None:
    def line(upstream: str) -> bytes:
        return (
            f'{{"request_id":"a","method":"GET","status":200,"upstream":"{upstream}"}}\n'.encode()
        )

    read = passages([line("i:1, j:1"), line(""), line("photo_members"), b'{"request_id":"cut'])
    assert [item.upstreams for item in read] == [("i:1", "j:1"), (), ()]
    tried = line("i:1, j:1").replace(b"}", b',"connect_seconds":"-, 0.001"}')
    assert [item.reached for item in passages([tried])] == [(False, True)]
    again = line("i:1, i:1").replace(b"}", b',"connect_seconds":"-, 0.001"}')
    assert [item.reached for item in passages([again])] == [(False, True)]
