"""nginx gives no answer, or this machine has no time to hear it."""

import asyncio
import itertools
import socket
from collections.abc import Iterator

import pytest

from photo_fleet.doctor.looks import edge
from photo_fleet.doctor.looks.edge import EdgeLook
from photo_fleet.doctor.members import no_answer
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.spec.fleet import Fleet


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections, and answers nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def looked_at(url: str, monkeypatch: pytest.MonkeyPatch, busy: list[float]) -> EdgeLook:
    """`busy` are the seconds that this thread waits for a processor at each time."""
    ends = itertools.chain.from_iterable((0.0, seconds) for seconds in busy)
    monkeypatch.setattr(edge, "PATIENCE", 0.2)
    monkeypatch.setattr(edge, "busy", lambda: next(ends))
    reach = Reach(Fleet(), "fleet.toml", lambda: "", "", url, None)
    return asyncio.run(edge.take(reach, Seen(Fleet(), 0.0, {})))


@pytest.mark.parametrize("busy", [[0.0, 0.0], [0.1, 0.0, 0.1, 0.0]])
def test_no_answer_twice(silent: str, monkeypatch: pytest.MonkeyPatch, busy: list[float]) -> None:
    seen = looked_at(silent, monkeypatch, busy)
    assert (seen.status, "gave no answer" in seen.silence) == (None, True)


def test_who_is_late_itself_cannot_tell(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    look = looked_at(silent, monkeypatch, [0.1, 0.0, 0.1, 0.1])
    assert (look.status, look.silence) == (None, "")
    with pytest.raises(Unseen, match="this machine was too busy to ask it"):
        list(no_answer(Seen(Fleet(), 0.0, {EdgeLook: look})))
