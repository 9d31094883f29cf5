"""What hears the alarm: who may speak to it, how much, and what it does of what it is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from photo_base.tasks import cancel
from photo_fleet.cli import main
from photo_fleet.group.openstack import receiver
from photo_fleet.group.openstack.receiver import Receiver
from photo_fleet.group.openstack.scale_in import Order, Refusal, Removed, Unfinished
from tests.service import free_port

TOKEN = "t" * 32
ALARM = json.dumps({"alarm_name": "idle", "previous": "ok", "current": "alarm"}).encode()


class Group:
    """Does what is ordered when `free` is set, or raises what is next."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.free = asyncio.Event()
        self.free.set()
        self.next: list[Exception] = [Refusal("nothing is unfinished")]

    async def __call__(self, order: Order) -> Removed:
        self.orders.append(order)
        await self.free.wait()
        if self.next:
            raise self.next.pop(0)
        return Removed("10.0.0.4:8000", 3, False, None)


@asynccontextmanager
async def listening(group: Group) -> AsyncIterator[int]:
    port = free_port()
    task = asyncio.create_task(Receiver(("127.0.0.1", port), TOKEN, group).run())
    await until(lambda: bool(group.orders) and not group.next)
    yield port
    await cancel(task)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.01)


async def say(
    port: int,
    path: str = f"/scale-in/{TOKEN}",
    body: bytes = ALARM,
    head: str = "",
    method: str = "POST",
) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{head}"
    if "Content-Length" not in head:
        lines += f"Content-Length: {len(body)}\r\n"
    writer.write(lines.encode() + b"\r\n" + body)
    try:
        return (await asyncio.wait_for(reader.read(), 10)).decode()
    finally:
        writer.close()


async def test_it_first_finishes_what_is_unfinished_and_then_hears_the_alarm() -> None:
    group = Group()
    async with listening(group) as port:
        assert group.orders == [Order(resume=True)]
        assert "202 Accepted" in await say(port)
        await until(lambda: len(group.orders) == 2)
        assert group.orders[1] == Order()
        bearer = f"Authorization: Bearer {TOKEN}\r\n"
        assert "202 Accepted" in await say(port, "/scale-in", head=bearer)
        await until(lambda: len(group.orders) == 3)


async def test_a_repeated_alarm_asks_for_nothing_more() -> None:
    group = Group()
    async with listening(group) as port:
        group.free.clear()
        await say(port)
        await until(lambda: len(group.orders) == 2)
        answers = await asyncio.gather(*(say(port) for _ in range(12)))
        assert all("a scale-in is under way" in one for one in answers)
        group.free.set()
        await asyncio.sleep(0.1)
        assert len(group.orders) == 2


@pytest.mark.parametrize("state", ["ok", "insufficient data"])
async def test_other_states_are_no_order(state: str) -> None:
    group = Group()
    async with listening(group) as port:
        assert "200 OK" in await say(port, body=json.dumps({"current": state}).encode())
        assert len(group.orders) == 1


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        ("401", {"path": "/scale-in/" + "u" * 32}),
        ("401", {"path": "/scale-in"}),
        ("401", {"path": "/scale-in", "head": f"Authorization: Bearer {TOKEN}x\r\n"}),
        ("401", {"path": f"/scale-in/{TOKEN}/"}),
        ("401", {"path": "/", "head": f"Authorization: Bearer {TOKEN}\r\n"}),
        ("405", {"method": "GET"}),
        ("413", {"head": "Content-Length: 65537\r\n", "body": b""}),
        ("411", {"head": "Content-Length: -1\r\n", "body": b""}),
        ("431", {"head": "X: " + "x" * 9000 + "\r\n"}),
        ("400", {"body": b"not JSON"}),
        ("400", {"body": b"[1]"}),
        ("400", {"body": b"[" * 60_000}),
        ("400", {"body": b""}),
    ],
)
async def test_what_is_not_an_alarm_is_refused(status: str, request_: dict[str, object]) -> None:
    group = Group()
    async with listening(group) as port:
        assert f"HTTP/1.1 {status} " in await say(port, **request_)  # type: ignore[arg-type]
        assert len(group.orders) == 1


async def test_a_flood_that_says_nothing_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "PATIENCE", 0.5)
    group = Group()
    async with listening(group) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        await asyncio.sleep(0.8)
        assert "202 Accepted" in await say(port)
        for _, writer in silent:
            writer.close()


async def test_what_is_unfinished_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "AGAIN", 0.1)
    group = Group()
    group.next = [Unfinished("it hangs"), Refusal("no answer", unknown=True)]
    async with listening(group):
        await until(lambda: len(group.orders) == 3)
        await asyncio.sleep(0.3)
        assert group.orders == [Order(resume=True)] * 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"OS_AUTH_URL": ""}, "OS_AUTH_URL must be set: Keystone's address"),
        ({"OS_AUTH_URL": "nowhere"}, "OS_AUTH_URL must be an http:// or https:// address"),
        ({"OS_APPLICATION_CREDENTIAL_SECRET": ""}, "OS_APPLICATION_CREDENTIAL_SECRET must be set"),
        ({"PHOTO_FLEET_DATABASE_URL": ""}, "as postgresql://user:password@host:5432/name"),
        ({"PHOTO_FLEET_SCALE_IN_TOKEN": "short"}, "PHOTO_FLEET_SCALE_IN_TOKEN must hold 32 to"),
    ],
)
def test_wrong_settings_are_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    told: str,
) -> None:
    secret = "s3cr3t-of-the-credential"
    environ = {
        "OS_AUTH_URL": "http://127.0.0.1:9/v3",
        "OS_APPLICATION_CREDENTIAL_ID": "id",
        "OS_APPLICATION_CREDENTIAL_SECRET": secret,
        "PHOTO_FLEET_DATABASE_URL": "postgresql://u:p@127.0.0.1:9/d",
        "PHOTO_FLEET_SCALE_IN_TOKEN": TOKEN,
    }
    for name, value in (environ | changes).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert main(["group", "scale-in", "--listen", "127.0.0.1:9"]) == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert secret not in printed.err + printed.out


def test_a_spec_that_cannot_be_used_is_told_to_machines_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["group", "scale-in", str(tmp_path / "fleet.toml"), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["unfinished"] is False
    assert "cannot be read" in told["error"]
