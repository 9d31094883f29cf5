"""Which member gets which request: retries, quarantine, and changes while requests come."""

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from photo_fleet.drill.faults.black_hole import BlackHole
from photo_fleet.spec.fleet import Fleet
from tests.photo_fleet.nginx_stage import (
    Backend,
    Backends,
    Front,
    answer,
    as_lines,
    backends,
    break_off,
    dawdle,
    hang,
    reset,
    running_front,
    spec,
    think_over_posts,
)
from tests.service import eventually

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture
def servers() -> Iterator[Backends]:
    with backends() as started:
        yield started


def who_answers(front: Front, requests: int) -> Counter[str]:
    with httpx.Client(base_url=front.url) as client:
        return Counter(client.get("/api/albums").json()["from"] for _ in range(requests))


def test_requests_go_round(servers: Backends) -> None:
    three = [servers.start() for _ in range(3)]
    with running_front(None, *three) as front:
        assert who_answers(front, 30) == {one.name: 10 for one in three}
        assert [front.member(one)["requests"] for one in three] == [10, 10, 10]


def test_the_least_busy_member_is_chosen(servers: Backends) -> None:
    busy, idle = servers.start(hang), servers.start()
    with running_front(spec(algorithm="least-connections"), busy, idle) as front:
        with hanging_requests(front, busy):
            assert front.member(busy)["in_flight"] == 1
            assert who_answers(front, 10) == {idle.name: 10}
        eventually(lambda: front.member(busy)["in_flight"] == 0)
        assert front.member(idle)["in_flight"] == 0


@contextmanager
def hanging_requests(front: Front, busy: Backend) -> Iterator[None]:
    """A client that waits for this member, which does not answer, until the block ends."""
    sockets = []
    while not busy.requests:
        host, port = front.url.removeprefix("http://").split(":")
        sockets.append(socket.create_connection((host, int(port))))
        sockets[-1].sendall(b"GET /api/albums HTTP/1.1\r\nHost: photos\r\n\r\n")
        time.sleep(0.1)
    try:
        yield
    finally:
        for one in sockets:
            one.close()


def test_nobody_there_is_503_with_retry_after(servers: Backends) -> None:
    with running_front() as front:
        for answered in (
            httpx.get(f"{front.url}/api/albums"),
            httpx.post(f"{front.url}/api/albums", json={"name": "A"}),
            httpx.get(f"{front.url}/health"),
        ):
            assert answered.status_code == 503
            assert answered.headers["Retry-After"] == "2"
            assert answered.json()["code"] == "overloaded"
        edge = httpx.get(f"{front.url}/edge/health")
        assert (edge.status_code, edge.json()) == (503, {"status": "unhealthy", "members": 0})
        front.put(servers.start())
        edge = httpx.get(f"{front.url}/edge/health")
        assert (edge.status_code, edge.json()) == (200, {"status": "healthy", "members": 1})
        assert httpx.get(f"{front.url}/api/albums").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "PATCH"])
def test_a_refused_connection_is_tried_elsewhere_once(servers: Backends, method: str) -> None:
    """Nothing was sent, so any method may be."""
    gone, well = servers.refusing(), servers.start()
    with running_front(None, gone, well) as front:
        answers = in_turns_of_a_worker(front, method, 4)
        assert {one.status_code for one in answers} == {200}
        assert len(well.requests) == 4
        assert front.member(gone)["failures"] == 2
        assert front.member(gone)["in_flight"] == 0


def in_turns_of_a_worker(front: Front, method: str, requests: int) -> list[httpx.Response]:
    """Over one connection, which one worker has. Each has turns of its own."""
    with httpx.Client(base_url=front.url) as client:
        return [client.request(method, "/api/albums") for _ in range(requests)]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_a_connection_that_a_vanished_machine_does_not_take_is_tried_elsewhere_once(
    servers: Backends, method: str
) -> None:
    """Nothing was sent here either."""
    gone, well = servers.refusing(), servers.start()
    host, port = gone.address.split(":")
    with (
        closing(BlackHole(host, int(port))) as hole,
        running_front(spec(connect_timeout=0.5), gone, well) as front,
    ):
        hole.open()
        answers = in_turns_of_a_worker(front, method, 4)
        assert {one.status_code for one in answers} == {200}
        assert len(well.requests) == 4
        assert front.member(gone)["failures"] == 2
        assert max(one.elapsed.total_seconds() for one in answers) >= 0.5


@pytest.mark.parametrize(
    ("method", "status", "attempts"),
    [("GET", 200, 2), ("HEAD", 200, 2), ("DELETE", 200, 2), ("POST", 502, 1), ("PATCH", 502, 1)],
)
def test_after_a_broken_connection_only_what_may_be_repeated_is(
    servers: Backends, method: str, status: int, attempts: int
) -> None:
    """The member had read the request: it may have acted on it."""
    breaking, well = servers.start(reset), servers.start()
    with running_front(None, breaking) as front:
        _choose_first(front, breaking, well)
        body = b"{}" if method in ("POST", "PATCH") else None
        answered = httpx.request(method, f"{front.url}/api/albums", content=body)
        assert answered.status_code == status
        assert (len(breaking.requests), len(well.requests)) == (1, attempts - 1)
        assert front.member(breaking)["failures"] == 0, "it was connected"


def _choose_first(front: Front, first: Backend, second: Backend) -> None:
    """With two members the first turn, of an nginx that has had no request, is the second's."""
    front.put(second, first)


def test_what_breaks_on_a_kept_connection_is_not_repeated_either(servers: Backends) -> None:
    one, other = servers.start(), servers.start()
    with running_front(None, one, other) as front, httpx.Client(base_url=front.url) as client:
        for _ in range(8):
            assert client.post("/api/albums").status_code == 200
        for backend in (one, other):
            backend.behaviour = reset
            backend.requests.clear()
        assert client.post("/api/albums").status_code == 502
        assert len(one.requests) + len(other.requests) == 1
        assert client.get("/api/albums").status_code == 502
        assert len(one.requests) + len(other.requests) == 3, "one retry, and no more"


def test_an_answer_that_has_begun_is_not_asked_for_again(servers: Backends) -> None:
    breaking, well = servers.start(break_off), servers.start()
    with running_front() as front:
        _choose_first(front, breaking, well)
        assert httpx.delete(f"{front.url}/api/albums/1").status_code == 502
        assert (len(breaking.requests), len(well.requests)) == (1, 0)


def test_a_timeout_is_not_tried_elsewhere(servers: Backends) -> None:
    slow, well = servers.start(hang), servers.start()
    with running_front(spec(read_timeout=0.5)) as front:
        _choose_first(front, slow, well)
        answered = httpx.get(f"{front.url}/api/albums")
        assert (answered.status_code, answered.json()["code"]) == (504, "gateway_timeout")
        assert (len(slow.requests), len(well.requests)) == (1, 0)
        assert front.member(slow)["errors"] == 1


def test_two_broken_members_are_all_that_is_tried(servers: Backends) -> None:
    gone = [servers.refusing() for _ in range(3)]
    with running_front(None, *gone) as front:
        answered = httpx.get(f"{front.url}/api/albums")
        assert (answered.status_code, answered.json()["code"]) == (502, "bad_gateway")
        assert front.logged(answered.json()["request_id"])["tries"] == 2
        assert sum(front.member(one)["failures"] for one in gone) == 2


def test_three_refused_connections_quarantine_a_member_for_ten_seconds(servers: Backends) -> None:
    gone, well = servers.refusing(), servers.start()
    with running_front(None, gone, well) as front:
        before = time.time()
        eventually(lambda: who_answers(front, 2) and front.member(gone)["quarantined_until"], 10)
        until = front.member(gone)["quarantined_until"]
        assert before + 10 <= until <= time.time() + 10
        assert front.member(gone)["failures"] == 3
        assert who_answers(front, 10) == {well.name: 10}
        assert front.member(gone)["failures"] == 3, "nobody asked it"
        assert "boot-127.0.1.1 is left out for 10 s" in eventually(lambda: front.logs, 5)
        assert "/api/albums" not in Path(front.places.error_log).read_text()


@pytest.mark.slow
def test_a_member_comes_back_from_its_quarantine(servers: Backends) -> None:
    gone, well = servers.refusing(), servers.start()
    with running_front(None, gone, well) as front:
        eventually(lambda: who_answers(front, 2) and front.member(gone)["quarantined_until"], 10)
        servers.listen_again(gone)
        eventually(lambda: gone.name in who_answers(front, 2), 20, 0.5)
        assert front.member(gone)["quarantined_until"] is None


SILENCE = 5.5


@contextmanager
def requests_under_way(
    front: Front, count: int, *members: Backend, method: str = "GET"
) -> Iterator[None]:
    """So many wait for each of these until the block ends. Nobody else is there any more."""
    host, port = front.url.removeprefix("http://").split(":")
    with ExitStack() as clients:
        for member in members:
            front.put(member)
            for _ in range(count):
                client = clients.enter_context(socket.create_connection((host, int(port))))
                head = f"{method} /api/albums HTTP/1.1\r\nHost: photos\r\nContent-Length: 0\r\n\r\n"
                client.sendall(head.encode())
            eventually(partial(_has_requests, member, count))
        yield


def _has_requests(member: Backend, count: int) -> bool:
    return len(member.requests) == count


def test_a_member_that_answers_nobody_is_left_out_after_five_seconds(servers: Backends) -> None:
    frozen, well = servers.start(hang), servers.start()
    with running_front() as front, requests_under_way(front, 3, frozen):
        front.put(frozen, well)
        time.sleep(SILENCE)
        assert who_answers(front, 20) == {well.name: 20}
        assert len(frozen.requests) == 3
        assert front.member(frozen)["failures"] == 0, "its connections are fine"
        assert eventually(lambda: front.member(frozen)["quarantined_until"], 10)
        assert len(frozen.questions) == 1
        assert "none was answered for 5 s" in eventually(lambda: front.logs, 5)
        assert "/api/albums" not in Path(front.places.error_log).read_text()


@pytest.mark.slow
def test_a_member_that_falls_silent_among_requests_is_left_out_too(servers: Backends) -> None:
    """Workers keep for a moment whom they may choose, and these have chosen before."""
    frozen, well = servers.start(hang), servers.start()
    with running_front(None, frozen, well) as front, ExitStack() as clients:
        host, port = front.url.removeprefix("http://").split(":")
        for _ in range(16):
            client = clients.enter_context(socket.create_connection((host, int(port))))
            client.sendall(b"GET /api/albums HTTP/1.1\r\nHost: photos\r\n\r\n")
        # Of two workers with a number of them each that is odd the first is the other's.
        eventually(lambda: len(frozen.requests) >= 7)
        time.sleep(SILENCE)
        answers = [httpx.get(f"{front.url}/api/albums").json()["from"] for _ in range(8)]
        assert answers == [well.name] * 8


def test_long_requests_starve_no_member_that_answers_a_question(servers: Backends) -> None:
    busy, well = servers.start(think_over_posts), servers.start()
    with running_front() as front, requests_under_way(front, 3, busy, method="POST"):
        front.put(busy, well)
        time.sleep(SILENCE)
        eventually(lambda: who_answers(front, 2)[busy.name] == 1, 10)
        assert who_answers(front, 42)[busy.name] == 21
        assert len(busy.questions) == 1
        assert front.member(busy)["quarantined_until"] is None
        assert "left out" not in front.logs


@pytest.mark.slow
def test_a_quarantine_ends_by_one_question_while_requests_wait_on(servers: Backends) -> None:
    frozen, well = servers.start(hang), servers.start()
    with running_front() as front, requests_under_way(front, 3, frozen):
        front.put(frozen, well)
        time.sleep(SILENCE)
        first = eventually(lambda: _quarantine_after_requests(front, frozen), 10)
        eventually(lambda: _quarantine_after_requests(front, frozen) > first, 30, 0.2)
        assert len(frozen.questions) == 2, "one for the quarantine, one for its renewal"
        assert len(frozen.requests) == 3, "no client was the trial"
        frozen.behaviour = answer
        eventually(lambda: frozen.name in who_answers(front, 2), 30, 0.2)
        assert len(frozen.questions) == 3
        assert _quarantine(front, frozen) == 0


def _quarantine_after_requests(front: Front, member: Backend) -> float:
    who_answers(front, 10)
    return _quarantine(front, member)


def _quarantine(front: Front, member: Backend) -> float:
    return float(front.member(member)["quarantined_until"] or 0)


def test_two_slow_requests_or_many_slow_answers_leave_nobody_out(servers: Backends) -> None:
    """But for the moment in which a member with many is asked."""
    busy, slow, well = servers.start(hang), servers.start(dawdle), servers.start()
    with (
        running_front() as front,
        requests_under_way(front, 2, busy),
        requests_under_way(front, 5, slow),
    ):
        front.put(busy, slow, well)
        time.sleep(SILENCE)
        busy.behaviour = slow.behaviour = answer
        each = {one.name: 10 for one in (busy, slow, well)}
        assert sum(who_answers(front, 30).values()) == 30
        assert eventually(lambda: who_answers(front, 30) == each, 2)
        assert front.member(slow)["quarantined_until"] is None


@pytest.mark.slow
def test_a_member_that_answers_again_comes_back(servers: Backends) -> None:
    frozen, well = servers.start(hang), servers.start()
    with running_front() as front:
        with requests_under_way(front, 3, frozen):
            front.put(frozen, well)
            time.sleep(SILENCE)
            assert who_answers(front, 4) == {well.name: 4}
            frozen.behaviour = answer
        eventually(lambda: frozen.name in who_answers(front, 2), 20, 0.5)
        assert front.member(frozen)["quarantined_until"] is None


def test_when_all_hang_all_are_tried(servers: Backends) -> None:
    both = [servers.start(hang), servers.start(hang)]
    with running_front() as front, requests_under_way(front, 3, *both):
        front.put(*both)
        time.sleep(SILENCE)
        for one in both:
            one.behaviour = answer
        eventually(lambda: len(who_answers(front, 4)) == 2, 10)


def test_when_all_are_in_quarantine_all_are_tried(servers: Backends) -> None:
    both = [servers.refusing(), servers.refusing()]
    with running_front(None, *both) as front:
        for _ in range(3):
            assert httpx.get(f"{front.url}/api/albums").status_code == 502
        assert all(front.member(one)["quarantined_until"] for one in both)
        for one in both:
            servers.listen_again(one)
        assert who_answers(front, 4) == {one.name: 2 for one in both}


def test_a_removed_member_gets_no_request_after_the_answer(servers: Backends) -> None:
    """Also not over connections that are kept, and not as the second attempt."""
    leaving, staying, breaking = servers.start(), servers.start(), servers.start(reset)
    with running_front(None, leaving, staying) as front:
        with Clients(front, 8) as clients:
            eventually(lambda: len(leaving.requests) > 200, 20)
            front.put(staying, breaking)
            at_answer = len(leaving.requests)
            clients.ask_on(300)
        assert len(leaving.requests) == at_answer
        assert leaving.connections <= 20, "connections were kept"
        assert clients.failed == [], "GETs only: the broken connections were made good"


def test_no_request_fails_while_members_change_twenty_times(servers: Backends) -> None:
    six = [servers.start() for _ in range(6)]
    with running_front(None, *six[:3]) as front:
        with Clients(front, 6, "GET", "POST") as clients:
            for change in range(20):
                members = [six[(change + n) % 6] for n in range(3)]
                told = front.put(*members)
                removed = [one for one in six if one not in members]
                counts = [len(one.requests) for one in removed]
                clients.ask_on(20)
                assert [len(one.requests) for one in removed] == counts
        assert told["generation"] == 21
        assert clients.failed == []
        assert clients.connections == 6, "nobody had to connect anew"


class Clients:
    """Clients that keep their connections and ask without a pause until the block ends."""

    def __init__(self, front: Front, number: int, *methods: str) -> None:
        self.url = front.url
        self.methods = methods or ("GET",)
        self.answered = 0
        self.connections = 0
        self.failed: list[str] = []
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]

    def _ask(self) -> None:
        limits = httpx.Limits(max_connections=1)
        with httpx.Client(base_url=self.url, limits=limits, timeout=30) as client:
            while not self._ending.is_set():
                for method in self.methods:
                    self._note(client, method)

    def _note(self, client: httpx.Client, method: str) -> None:
        def traced(event: str, _: object) -> None:
            self.connections += event == "connection.connect_tcp.complete"

        try:
            answered = client.request(method, "/api/albums", extensions={"trace": traced})
        except httpx.TransportError as error:
            self.failed.append(f"{method}: {error!r}")
            return
        self.answered += 1
        if answered.status_code != 200:
            self.failed.append(f"{method}: {answered.status_code} {answered.text}")

    def ask_on(self, requests: int) -> None:
        """Until so many more are answered."""
        goal = self.answered + requests
        eventually(lambda: self.answered > goal, 30, 0.01)

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


def test_a_removed_member_s_last_requests_are_shown_until_they_end(servers: Backends) -> None:
    busy, other = servers.start(hang), servers.start()
    with running_front(None, busy) as front:
        with hanging_requests(front, busy):
            front.put(other)
            assert front.held()["leaving"] == [{"id": f"boot-{busy.name}", "in_flight": 1}]
        eventually(lambda: front.held()["leaving"] == [])


def test_what_a_worker_has_just_sent_counts_for_a_removal(servers: Backends) -> None:
    """Workers count by themselves and tell it 50 ms later: several times, to meet that moment."""
    other = servers.start()
    with running_front() as front, _control_client(front) as control:
        host, port = front.url.removeprefix("http://").split(":")
        for busy in [servers.start(hang) for _ in range(8)]:
            front.put(busy)
            with socket.create_connection((host, int(port))) as client:
                client.sendall(b"GET /api/albums HTTP/1.1\r\nHost: photos\r\n\r\n")
                control.put("/members", content=as_lines(other)).raise_for_status()
                eventually(partial(_leaves_with_what_it_has, front, busy), 5)
        eventually(lambda: front.held()["leaving"] == [])


def _control_client(front: Front) -> httpx.Client:
    """To make one takes longer than that moment."""
    transport = httpx.HTTPTransport(uds=front.places.members_socket)
    return httpx.Client(transport=transport, base_url="http://nginx", timeout=10)


def _leaves_with_what_it_has(front: Front, member: Backend) -> bool:
    shown = {"id": f"boot-{member.name}", "in_flight": 1} in front.held()["leaving"]
    return shown == bool(member.requests)


def test_what_a_worker_of_before_a_reload_has_is_counted_to_its_end(servers: Backends) -> None:
    busy = servers.start(hang)
    with running_front(None, busy) as front:
        before = workers(front)
        with hanging_requests(front, busy):
            front.process.send_signal(signal.SIGHUP)
            eventually(lambda: len(set(workers(front)) - set(before)) == len(before), 10)
            assert front.member(busy)["in_flight"] == 1
        eventually(lambda: front.member(busy)["in_flight"] == 0)


def workers(front: Front) -> list[int]:
    path = f"/proc/{front.process.pid}/task/{front.process.pid}/children"
    return [int(pid) for pid in Path(path).read_text().split()]


def test_without_lua_a_file_tells_who_the_members_are(servers: Backends) -> None:
    fleet: Fleet = spec(membership="reload")
    one, two, gone = servers.start(), servers.start(), servers.refusing()
    with running_front(fleet, one, two, gone) as front:
        edge = httpx.get(f"{front.url}/edge/health")
        assert (edge.status_code, edge.json()) == (200, {"status": "healthy", "members": 3})
        answered = who_answers(front, 20)
        assert set(answered) == {one.name, two.name}
        one.behaviour = two.behaviour = reset
        assert httpx.post(f"{front.url}/api/albums").status_code == 502
    with running_front(fleet) as front:
        none = httpx.get(f"{front.url}/api/albums")
        assert (none.status_code, none.json()["code"]) == (503, "overloaded")
        assert none.headers["Retry-After"] == "2"
        assert httpx.get(f"{front.url}/edge/health").status_code == 503


def test_connections_to_members_are_kept(servers: Backends) -> None:
    one = servers.start(answer)
    with running_front(None, one) as front:
        who_answers(front, 40)
        assert one.connections <= len(workers(front))
