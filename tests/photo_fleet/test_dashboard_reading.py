"""A Prometheus that does not answer, answers late, or answers something else: the page is written
and says what could not be read, and so does the exit code."""

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs

import pytest

from photo_base import whole_file
from photo_fleet.cli import main
from photo_fleet.commands.values import address
from photo_fleet.dashboard import prometheus
from photo_fleet.dashboard.boards import BOARDS, EVENTS
from photo_fleet.dashboard.chart import chart
from photo_fleet.dashboard.lines import Drawn, Line
from photo_fleet.dashboard.prometheus import Prometheus, everything
from photo_fleet.dashboard.readings import LONGEST_LABEL, MOST_READ, Unread, parse
from photo_fleet.dashboard.window import MOST_POINTS, Window
from tests.service import free_port

Reply = tuple[int, bytes]
Behaviour = Callable[[dict[str, str]], Reply]


def answer(series: list[Any], **more: object) -> Reply:
    return 200, json.dumps({"status": "success", "data": {"result": series}, **more}).encode()


def good(asked: dict[str, str]) -> Reply:
    """One series of two points, as a range or as what it ended with."""
    end = float(asked.get("end") or asked["time"])
    labels = {"instance": "10.0.1.10:8000"}
    if "start" in asked or "[" in asked["query"][-8:]:
        return answer([{"metric": labels, "values": [[end - 15, "1"], [end, "2"]]}])
    return answer([{"metric": labels, "value": [end, "0.9995"]}])


@contextmanager
def answering(behaviour: Behaviour, **headers: str) -> Iterator[str]:
    """A server at this address that answers as a Prometheus would not."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked = {name: values[0] for name, values in parse_qs(form).items()}
            status, body = behaviour(asked)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # who asked has heard enough
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def made(page: Path, url: str, *more: str) -> tuple[int, str]:
    """The exit code, and the page."""
    code = main(["dashboard", "--html", "--prometheus", url, "--out", str(page), *more])
    return code, page.read_text()


def test_a_whole_answer_is_told_as_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(good) as url:
        code, text = made(tmp_path / "page.html", url, "--since", "7d", "--job", "a.b")
    assert (code, "Could not be read" in text) == (0, False)
    said = capsys.readouterr()
    assert f"{tmp_path}/page.html: " in said.out
    assert said.err == ""


def test_objectives_are_those_of_the_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "fleet.toml"
    spec.write_text('[objectives]\nreads = 99.97\nread_within = "500ms"\n')
    with answering(good) as url:
        _, text = made(tmp_path / "page.html", url, str(spec))
    assert "objective 99.97 %" in text
    assert "<h4>Reads within 500 ms" in text
    assert "1 of 4 objectives missed: Reads answered" in text
    assert main(["dashboard", "--json", "--out", str(tmp_path / "grafana"), str(spec)]) == 0
    assert f"those of the built-in defaults, not of {spec}" in capsys.readouterr().out
    spec.write_text("[objectives]\nread = 99.97\n")
    assert main(["dashboard", "--html", str(spec)]) == 2
    assert "read" in capsys.readouterr().err


def test_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = made(tmp_path / "page.html", f"http://mina:secret@127.0.0.1:{free_port()}")
    said = capsys.readouterr()
    assert code == 2
    assert "Could not be read" in text
    assert "it cannot be reached" in said.err
    assert said.err.count("\n") == 1, "once, not for each query"
    assert "secret" not in text + said.err + said.out


def test_it_knows_nothing_of_the_fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(lambda _: answer([])) as url:
        code, text = made(tmp_path / "page.html", url)
    assert code == 1
    assert "Nothing was measured in this time" in text
    assert "nothing is known of this fleet" in capsys.readouterr().out


def test_a_part_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def partly(asked: dict[str, str]) -> Reply:
        if "photo_api_fleet" in asked["query"]:
            told = {"status": "error", "error": "query processing would load too many samples"}
            return 422, json.dumps(told).encode()
        status, body = good(asked)
        if "photo_api_workers" in asked["query"]:
            body = json.dumps(json.loads(body) | {"warnings": ["store-3 is away"]}).encode()
        return status, body

    with answering(partly) as url:
        code, text = made(tmp_path / "page.html", url)
    assert code == 1
    assert "Could not be read: it refused: query processing would load too many samples" in text
    assert "Not all of it: store-3 is away" in text
    assert "<svg" in text
    assert "lack" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("reply", "headers", "told"),
    [
        ((200, b"<html>a login page</html>"), {}, "is not that of a Prometheus"),
        ((200, b'{"status": "success"}'), {}, "is not that of a Prometheus"),
        ((200, b'{"status": "success", "data": {"result": {}}}'), {}, "is not that of a"),
        ((200, b'{"status": "success", "data": {"result": [{"metric": 1}]}}'), {}, "is not that"),
        ((200, b"[" * 100_000), {}, "is not that of a Prometheus"),
        (answer([{"metric": {}, "values": [[1, 10**400]]}]), {}, "is not that of a Prometheus"),
        ((200, gzip.compress(b"x" * 100_000)), {"Content_Encoding": "gzip"}, "is not that of a"),
        ((200, b"x" * (prometheus.MOST_BYTES + 1)), {}, "an answer of more than 4 MiB"),
        ((302, b""), {"Location": "http://127.0.0.1:9/"}, "name the address that it points to"),
        ((401, b""), {}, "it refused the login (401)"),
        ((503, b"starting"), {}, "it answered 503"),
    ],
)
def test_what_is_no_answer_is_said(
    reply: Reply, headers: dict[str, str], told: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with answering(lambda _: reply, **headers) as url:
        code, text = made(tmp_path / "page.html", url)
    assert code == 2
    assert told in text
    assert told in capsys.readouterr().err


async def test_one_that_is_slow_holds_up_for_a_bounded_time() -> None:
    """The first answer comes, the others do not."""
    ended = Event()

    def late(asked: dict[str, str]) -> Reply:
        if "[300s]" not in asked["query"]:
            ended.wait(20)
        return good(asked)

    with answering(late) as url:
        now, began = time.time(), time.monotonic()
        wanted = everything(BOARDS, EVENTS)
        _, answers = await Prometheus(url, longest=1.0).read(
            Window(now - 3600, now), wanted, lambda _: None
        )
        took = time.monotonic() - began
        ended.set()
    assert took < 15
    assert set(answers) == set(wanted)
    for one in answers.values():
        assert re.match(r"no answer within 1 s|the time for reading was over", one.problem)


async def test_many_long_answers_are_bounded_together() -> None:
    def long(asked: dict[str, str]) -> Reply:
        status, body = good(asked)
        return status, body + b" " * (prometheus.MOST_BYTES - len(body))

    with answering(long) as url:
        window, wanted = Window(0, 3600), everything(BOARDS, ())[:12]
        _, answers = await Prometheus(url).read(window, wanted, lambda _: None)
    problems = {one.problem for one in answers.values()}
    assert problems == {"", "answers of more than 32 MiB together"}


def test_what_it_asks_for_is_bounded() -> None:
    for seconds in (60, 3600, 21600, 90 * 86400):
        window = Window(0, seconds)
        assert window.seconds / window.step <= MOST_POINTS
    narrow = Window(0, 600, interval=1, job='a"b\\.c')
    assert narrow.expression('rate(x{job=~"$job"}[$__rate_interval])') == (
        'rate(x{job=~"a\\"b\\\\.c"}[4s])'
    )
    assert "[241s]" in Window(0, 3600, interval=60.2).expression("x[$__rate_interval]")


def test_what_it_is_told_is_bounded() -> None:
    label = "x" * 5000 + "\x00\u202e"
    series = [{"metric": {"a": label}, "values": [[1, "NaN"], [2, "+Inf"], [3, "4"]]}]
    found = parse(answer(series)[1])
    assert len(found.series[0].labels["a"]) == LONGEST_LABEL
    assert found.series[0].values == ((3.0, 4.0),)
    crowd = [{"metric": {}, "value": [1, "2"]}] * (MOST_READ + 1)
    told = parse(answer(crowd)[1])
    assert len(told.series) == MOST_READ
    assert not told.whole
    with pytest.raises(Unread):
        parse(answer([{"metric": {}, "values": [[1, "x"]]}])[1])


@pytest.mark.parametrize(
    "value", [[1, "1e308"], [1, "9" * 400], [1e300, "1"], [-1e12, "1"], [4e11, "1"]]
)
def test_numbers_and_times_that_no_fleet_has_are_left_out(
    value: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside some that it has: the page is written with those."""

    def odd(asked: dict[str, str]) -> Reply:
        whole = float(asked.get("end") or asked["time"])
        return answer([{"metric": {"instance": "a"}, "values": [value, [whole, "0.9995"]]}])

    with answering(odd) as url:
        code, text = made(tmp_path / "page.html", url)
    assert "<svg" in text
    assert max(map(len, re.findall(r"\d{9,}", text)), default=0) < 20
    assert (code, capsys.readouterr().err) == (0, "")


def test_a_line_of_one_huge_number_has_an_axis() -> None:
    panel = next(one for board in BOARDS for one in board.panels if one.kind != "stat")
    window = Window(0, 600)
    for value in (1e17, -1e20, 1e-300):
        line = Line("a", "s0", ((0, value), (600, value)))
        for kind in (replace(panel, least=None, most=None, objective=None), panel):
            assert "<svg" in chart(kind, Drawn((line,)), (), window, UTC)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--html", "--json"],
        ["--html", "--prometheus", "127.0.0.1:9090"],
        ["--html", "--prometheus", "file:///etc/passwd"],
        ["--html", "--prometheus", "http://[::1"],
        ["--html", "--prometheus", "http://[::::]:9090"],
        ["--html", "--prometheus", "http://xn--/"],
        ["--html", "--prometheus", "http://a b/"],
        ["--html", "--prometheus", "http://127.0.0.1:99999"],
        ["--html", "--since", "5"],
        ["--html", "--since", "1s"],
        ["--html", "--since", "-1h"],
        ["--html", "--since", "99999d"],
    ],
)
def test_wrong_usage_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dashboard", *arguments])
    assert ended.value.code == 2
    assert ("as http://127.0.0.1:9090" in capsys.readouterr().err) == ("--prometheus" in arguments)


def test_a_page_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "nowhere/page.html")
    assert main(["dashboard", "--html", "--out", out]) == 2, "before anything is asked"
    assert "nowhere/page.html" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["dashboard", "--html", "--out"], ["drill", "--html"], ["report", "daily", "--out"]]
)
@pytest.mark.parametrize("what", ["pipe", "link to a device", "link", "folder", ".", "/", ""])
def test_only_a_file_is_replaced_by_a_page(
    command: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root could put it in the place of /dev/stdout for all programs of the machine."""
    out = tmp_path / "out"
    if what == "pipe":
        os.mkfifo(out)
    elif what == "folder":
        out.mkdir()
    elif what == "link to a device":
        out.symlink_to("/dev/full")
    elif what == "link":
        out.symlink_to(tmp_path / "nowhere")
    given = what if what in (".", "/", "") else str(out)
    before = os.lstat(given or ".")
    assert main([*command, given]) == 2, "before anything is asked"
    assert f"cannot write {given or '.'}" in capsys.readouterr().err
    assert os.lstat(given or ".").st_ino == before.st_ino
    if what != "link":
        with pytest.raises(FileExistsError, match="it is no file"):
            whole_file.replace(Path(given), "page")


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_the_page_is_written_though_the_parent_closed_an_output(
    closed: str, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    with answering(good) as url:
        usage = ("dashboard", "--html", "--prometheus", url, "--out", str(page))
        shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
        done = subprocess.run(
            [*shell, sys.executable, "-m", "photo_fleet.cli", *usage], timeout=60, check=False
        )
    assert (done.returncode, page.exists()) == (0, True)


def test_an_address_may_have_any_password() -> None:
    for told in ("http://mina:p^s%20s@127.0.0.1:9090/prom", "http://127.0.0.1:9090"):
        assert address(told) == told
    with pytest.raises(argparse.ArgumentTypeError, match="as http://"):
        address("http://mina:secret@:9090")
