"""What the doctor reads of nginx's access log: its end, whatever else stands in it."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.doctor.looks import access_log
from photo_fleet.doctor.looks.access_log import look_at
from photo_fleet.doctor.seen import Unseen

NOW = 1_790_000_000.0


def line(age: float, **more: Any) -> str:
    told = {
        "time": datetime.fromtimestamp(NOW - age, UTC).isoformat(timespec="seconds"),
        "request_id": "r1",
        "client": "203.0.113.9",
        "method": "GET",
        "path": "/api/photos",
        "status": 200,
        "bytes": 12,
        "seconds": 0.012,
        "instance": "10.0.1.10",
        "boot": "b1",
        "upstream": "10.0.1.10:8000",
        "upstream_status": "200",
        "connect_seconds": "0.001",
        "header_seconds": "0.01",
        "response_seconds": "0.012",
        "tries": 1,
    }
    return json.dumps(told | more) + "\n"


def test_lines_become_requests(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    retried = {
        "upstream": "10.0.1.11:8000, 10.0.1.10:8000",
        "response_seconds": "-, 0.500",
        "tries": 2,
    }
    own = {"upstream": "", "boot": "", "instance": "", "response_seconds": "", "tries": 0}
    log.write_text(line(30) + line(20, **retried) + line(10, **own, status=429))
    found = look_at(log, NOW - 3600)
    assert (found.since, found.foreign) == (NOW - 3600, 0)
    first, second, third = found.requests
    assert (first.at, first.client, first.boot, first.waited) == (
        *(NOW - 30, "203.0.113.9"),
        *("b1", 0.012),
    )
    assert (second.upstream, second.tries, second.waited) == ("10.0.1.10:8000", 2, 0.5)
    assert (third.upstream, third.status, third.waited) == ("", 429, None)


FOREIGN = (
    '203.0.113.9 - - [26/Nov/2026:13:00:00 +0000] "GET / HTTP/1.1" 200 12\n',
    "[1, 2]\n",
    "null\n",
    "{}\n",
    line(5)[:80] + "\n",
    line(5, time="yesterday"),
    line(5, time=7),
    line(5, status="200"),
    line(5, client=None),
    line(5, boot=["b1"]),
    line(5, boot={}),
    line(5, response_seconds="soon"),
    line(5, status=1e999),
    line(5, seconds=True),
    "[" * 50_000 + "\n",
    "\x00\xff\x1b[2J\n",
    line(5, path="x" * 70_000),
)


def test_what_is_no_line_of_ours_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("".join(FOREIGN) + line(3) + line(2, client="\x1b[2Jevil") + line(1)[:50])
    found = look_at(log, NOW - 3600)
    assert found.foreign == len(FOREIGN) + 1
    assert [one.client for one in found.requests] == ["203.0.113.9", "\\u001b[2Jevil"]


@pytest.mark.parametrize("content", [FOREIGN[0] * 3, "{}\n" * 150_000, FOREIGN[0] + line(1)[:50]])
def test_a_log_without_a_line_of_ours_is_unseen(tmp_path: Path, content: str) -> None:
    log = tmp_path / "access.log"
    log.write_text(content)
    with pytest.raises(Unseen, match=r"none of \d+ lines is as the log_format"):
        look_at(log, NOW - 3600)


def test_a_hole_is_no_quiet_hour(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with log.open("wb") as opened:
        opened.truncate(5 << 30)
    with pytest.raises(Unseen, match="nothing in the last"):
        look_at(log, NOW - 3600)


def test_what_is_rotated_away_meanwhile_is_counted_once(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(line(10))
    (tmp_path / "access.log.1").hardlink_to(log)  # as when it was renamed after it was read
    assert len(look_at(log, NOW - 3600).requests) == 1


def test_no_more_is_read_than_is_borne(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "access.log"
    lines = [line(100 - number) for number in range(100)]
    monkeypatch.setattr(access_log, "MOST_BYTES", 10 * len(lines[0]) + 5)
    log.write_text("".join(lines))
    found = look_at(log, NOW - 3600)
    assert len(found.requests) == 10, "the first is not whole"
    assert found.since == NOW - 10, "what was before is not known"


def test_what_was_rotated_away_belongs_to_it(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(line(10))
    (tmp_path / "access.log.1").write_text(line(4000) + line(30) + line(20))
    found = look_at(log, NOW - 3600)
    assert [NOW - one.at for one in found.requests] == [30, 20, 10]


def test_what_is_no_readable_file_is_unseen(tmp_path: Path) -> None:
    with pytest.raises(Unseen, match="No such file"):
        look_at(tmp_path / "none", 0)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unseen, match="it is no file"):
        look_at(tmp_path / "pipe", 0)


def test_a_full_log_takes_seconds_at_most(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("".join(line(1, client=f"2001:db8::{n:x}") for n in range(5_000)))
    began = time.process_time()
    assert len(look_at(log, 0).requests) == 5_000
    assert time.process_time() - began < 1
