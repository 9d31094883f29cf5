"""Every request ends in exactly one outcome, whatever the other side does."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.drill.clients.classify import Seen, error_code, outcome_of
from photo_fleet.drill.clients.transport import Call, Line, client_address
from photo_fleet.drill.ledger import Ledger
from photo_fleet.drill.records import Outcome

OK, REFUSED, FAILED, CUT, LOST = Outcome
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ERROR = b'{"detail":"no","code":"overloaded","request_id":"x"}'


def seen(status: int | None, **more: Any) -> Seen:
    return Seen((200,), status, **more)


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        (seen(200), OK),
        (seen(200, body_fits=False), FAILED),
        (seen(404, error_code="not_found", provoked=True), REFUSED),
        (seen(404, error_code="not_found"), FAILED),
        (seen(401, error_code="unauthenticated"), FAILED),
        (seen(404, provoked=True), FAILED),
        (seen(503, error_code="overloaded", retry_after=True), REFUSED),
        (seen(503, error_code="overloaded"), FAILED),
        (seen(503, retry_after=True), FAILED),
        (seen(429, error_code="too_many_requests", retry_after=True), REFUSED),
        (seen(429, error_code="too_many_requests"), FAILED),
        (seen(409, error_code="request_in_progress", retry_after=True), REFUSED),
        (seen(409, error_code="not_uploaded"), FAILED),
        (seen(500, error_code="internal_error", retry_after=True), FAILED),
        (seen(502, error_code="bad_gateway"), FAILED),
        (seen(504, error_code="gateway_timeout"), FAILED),
        (seen(302), FAILED),
        (seen(None, error="ReadError"), FAILED),
        (seen(None, error="no end within 60 s", timed_out=True), LOST),
        (seen(200, error="RemoteProtocolError"), CUT),
        (seen(200, error="no end within 60 s", timed_out=True), CUT),
        (seen(503, error="RemoteProtocolError"), CUT),
        (seen(404, provoked=True, contract=False), REFUSED),
        (seen(503, retry_after=True, contract=False, error_code="x"), REFUSED),
        (seen(503, contract=False), FAILED),
        (seen(403, contract=False), FAILED),
    ],
)
def test_what_a_client_saw_has_one_outcome(what: Seen, outcome: Outcome) -> None:
    assert outcome_of(what)[0] is outcome


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (ERROR, "overloaded"),
        (b'{"detail":"no","code":"overloaded"}', None),
        (b"<html>502</html>", None),
        (b"[]", None),
        (b"", None),
    ],
)
def test_the_error_body_of_the_contract_is_told_from_others(body: bytes, code: str | None) -> None:
    assert error_code(body) == code


def test_a_request_has_exactly_one_outcome() -> None:
    ledger = Ledger()
    draft = ledger.open(client="c", kind="list", method="GET", due=0.0)
    assert ledger.unfinished == (draft,)
    ledger.close(draft, OK, status=200)
    assert not ledger.unfinished
    with pytest.raises(ValueError, match=draft.id):
        ledger.close(draft, FAILED)
    with pytest.raises(ValueError, match="not open"):
        ledger.close(replace(draft, id="foreign"), OK)
    assert [item.outcome for item in ledger.requests] == [OK]


def test_latency_counts_from_when_a_request_was_due() -> None:
    now = 100.0
    ledger = Ledger(lambda: now)
    now = 103.0
    draft = ledger.open(client="c", kind="list", method="GET", due=1.0)
    now = 105.0
    request = ledger.close(draft, OK)
    assert (request.due, request.sent, request.ended, request.latency) == (1, 3, 5, 4)


def test_ids_are_never_the_same_in_two_ledgers() -> None:
    one, other = Ledger(), Ledger()
    assert len({ledger.mint() for ledger in (one, other) for _ in range(100)}) == 200


def test_a_ledger_is_written_down_line_by_line(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.close(
        ledger.open(client="c", kind="upload", method="POST", idempotency_key="k"),
        CUT,
        status=201,
        instance="10.0.0.1",
        detail="cut “here”",
    )
    ledger.intend("k", "c", "photo", "k")
    ledger.intend("k", "c", "photo", "k")
    ledger.created("k", "photo", 7)
    ledger.intend("k", "c", "photo", "k")
    ledger.acknowledge(7, "c", "ab" * 32)
    ledger.delete_asked(7)
    path = tmp_path / "ledger.jsonl"
    ledger.write(path)
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [item["type"] for item in told] == ["request", "upload", "creation"]
    request, upload, creation = told
    assert (request["id"], request["outcome"]) == (ledger.requests[0].id, "cut")
    assert (upload["photo_id"], upload["delete_asked"], upload["deleted"]) == (7, True, False)
    assert creation["id"] == 7


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """A server whose answers are written by hand."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        listening.close()


def says(*answers: bytes) -> Handler:
    """One answer for each connection, the last again and again; empty: it resets."""
    left = list(answers)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer = left.pop(0) if len(left) > 1 else left[0]
        if not answer:
            writer.transport.abort()
            return
        writer.write(answer)
        await writer.drain()

    return handler


def http(status: int, body: bytes = b"[]", *headers: str, missing: int = 0) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body) + missing}", *headers]
    return ("\r\n".join([*lines, "Connection: close", "", ""])).encode() + body


async def ask(handler: Handler, *, insist: bool = False, **more: Any) -> Ledger:
    ledger = Ledger()
    call = Call("list", "GET", "/photos/", **more)
    async with server(handler) as url, Line(url, ledger, "c", patience=0.5) as line:
        await (line.insist if insist else line.send)(call)
    assert not ledger.unfinished
    return ledger


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(2)


@pytest.mark.parametrize(
    ("handler", "outcome"),
    [
        (says(http(200)), OK),
        (says(http(200, b"{")), FAILED),
        (says(http(500, ERROR)), FAILED),
        (says(http(503, ERROR, "Retry-After: 1")), REFUSED),
        (says(http(503, ERROR)), FAILED),
        (says(http(200, b"[", missing=10)), CUT),
        (says(b""), FAILED),
        (says(b"HTTP/1.1 200"), FAILED),
        (silence, LOST),
    ],
)
async def test_what_a_server_does_is_written_down(handler: Handler, outcome: Outcome) -> None:
    def is_json(_: object, body: bytes) -> bool:
        return body == b"[]"

    ledger = await ask(handler, fits=is_json)
    assert [item.outcome for item in ledger.requests] == [outcome], ledger.requests


async def test_a_server_that_is_not_there_has_failed() -> None:
    ledger = Ledger()
    async with server(silence) as url:
        pass
    async with Line(url, ledger, "c") as line:
        answer = await line.send(Call("list", "GET", "/photos/"))
    assert answer.outcome is FAILED
    assert ledger.requests[0].detail == "ConnectError: ConnectionRefusedError"


async def test_a_failure_is_repeated_once_with_the_same_key() -> None:
    ledger = await ask(says(b"", http(200)), insist=True, key="k")
    first, second = ledger.requests
    assert (first.outcome, second.outcome) == (FAILED, OK)
    assert first.idempotency_key == second.idempotency_key == "k"
    assert first.id != second.id
    assert second.sent - first.ended == pytest.approx(1, abs=0.5)
    assert second.latency < 1  # the pause is the client's own
    assert len((await ask(says(http(500, ERROR)), insist=True)).requests) == 2
    assert len((await ask(says(http(200)), insist=True)).requests) == 1


async def test_a_refusal_is_repeated_when_it_says_when() -> None:
    busy = http(503, ERROR, "Retry-After: 2")
    first, second = (await ask(says(busy, http(200)), insist=True)).requests
    assert (first.outcome, second.outcome) == (REFUSED, OK)
    assert second.sent - first.ended == pytest.approx(2, abs=0.5)
    provoked = says(http(404, ERROR))
    assert len((await ask(provoked, insist=True, provoked=lambda _: True)).requests) == 1


async def test_a_client_has_an_address_and_keeps_a_connection_or_does_not() -> None:
    peers: list[tuple[str, int]] = []
    heads: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                return
            peers.append(writer.get_extra_info("peername"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    ledger = Ledger()
    async with (
        server(handler) as url,
        Line(url, ledger, "c", address=client_address(251)) as line,
    ):
        for fresh in (False, False, True, True):
            assert (await line.send(Call("list", "GET", "/x", key="k"), fresh=fresh)).ok
    assert {host for host, _ in peers} == {"127.2.1.2"}
    ports = [port for _, port in peers]
    assert ports[0] == ports[1]
    assert len(set(ports)) == 3
    for head, request in zip(heads, ledger.requests, strict=True):
        assert f"X-Request-ID: {request.id}\r\n".encode() in head
        assert b"Idempotency-Key: k\r\n" in head
        assert head.startswith(b"GET /api/x ")


async def test_a_slow_client_takes_its_time_and_keeps_its_promise_of_a_length() -> None:
    heads: list[bytes] = []
    bodies: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        bodies.append(await reader.readexactly(1000))
        writer.write(http(200))

    ledger = Ledger()
    call = Call("slow", "POST", "/x", body=b"x" * 1000, takes=0.6)
    async with server(handler) as url, Line(url, ledger, "c", patience=0.5) as line:
        assert (await line.send(call)).ok
    assert b"content-length: 1000\r\n" in heads[0].lower()
    assert ledger.requests[0].latency > 0.55


async def test_a_client_that_is_stopped_leaves_no_request_open() -> None:
    ledger = Ledger()
    async with server(silence) as url, Line(url, ledger, "c") as line:
        task = asyncio.create_task(line.send(Call("list", "GET", "/x", json={})))
        await asyncio.sleep(0.2)
        assert len(ledger.unfinished) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [item.outcome for item in ledger.requests] == [LOST]
    assert not ledger.unfinished


def test_there_are_64000_addresses() -> None:
    told = [client_address(number) for number in (0, 249, 250, 63_999)]
    assert told == ["127.2.0.1", "127.2.0.250", "127.2.1.1", "127.2.255.250"]
