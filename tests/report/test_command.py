"""`photo-fleet report` with sources that are there, are not, hang, or answer something else: it is
written whatever they do, in a bounded time, and what they did not tell is unknown."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from photo_fleet.cli import main
from photo_fleet.dashboard import prometheus
from photo_fleet.report import reading
from photo_fleet.report.history import Wanted
from photo_fleet.report.reading import read_history
from photo_fleet.spec.fleet import Fleet
from tests.full_disk import full_disk
from tests.metrics.scraping import prometheus_with
from tests.own_stage import ask, empty_database, execute, own_database
from tests.photo_fleet.fleet_history import History, bring_in
from tests.photo_fleet.test_dashboard_reading import answer, answering
from tests.report.histories import alive, note
from tests.report.reports import HOSTILE, SECRET
from tests.service import free_port

PERIODS = ("daily", "weekly", "monthly")
NOWHERE = ("--prometheus", "http://mina:secret@127.0.0.1:9")


def made(*arguments: str) -> int:
    return main(["report", *arguments])


def body(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The report as JSON."""
    capsys.readouterr()
    made(*arguments, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def verdicts(report: dict[str, Any]) -> set[str]:
    return {line["verdict"] for line in report["lines"]}


@contextmanager
def silent(greeting: bytes = b"") -> Iterator[int]:
    """A port that takes connections and says nothing more than this."""
    server = socket.create_server(("127.0.0.1", 0))
    taken = []

    def serve() -> None:
        while True:
            try:
                taken.append(server.accept()[0])
                taken[-1].sendall(greeting)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.close()
        for one in taken:
            one.close()


@pytest.mark.parametrize("period", PERIODS)
def test_without_answers_all_is_unknown(period: str, capsys: pytest.CaptureFixture[str]) -> None:
    database = f"postgresql://mina:secret@127.0.0.1:{free_port()}/photos"
    arguments = (period, *NOWHERE, "--database-url", database)
    assert made(*arguments) == 0
    said = capsys.readouterr()
    assert "| pass |" not in said.out
    assert "0 pass**" in said.out
    assert SECRET not in said.out + said.err
    assert made(*arguments, "--strict") == 1
    capsys.readouterr()
    report = body(capsys, *arguments)
    assert verdicts(report) == {"unknown"}
    assert all(line["why_unknown"] for line in report["lines"])
    assert report["verdict"] == "unknown"


def test_one_source_alone_leaves_the_rest_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, lack in (
        (NOWHERE, "--database-url"),
        (("--database-url", "postgresql://a@127.0.0.1:9/a"), "--prometheus"),
    ):
        report = body(capsys, "daily", *arguments)
        assert verdicts(report) == {"unknown"}
        assert any(lack in source for source in report["sources"])


@pytest.mark.parametrize(
    ("greeting", "told"), [(b"", "no answer"), (b"HTTP/1.1 400 Bad\r\n\r\n", "registry: ")]
)
def test_sources_that_hang_or_babble_hold_up_for_a_bounded_time(
    greeting: bytes,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(prometheus, "LONGEST_QUERY", 0.5)
    monkeypatch.setattr(reading, "CONNECTING", 0.5)
    with silent(greeting) as port:
        began = time.monotonic()
        where = ("--prometheus", f"http://127.0.0.1:{port}")
        database = f"postgresql://mina:secret@127.0.0.1:{port}/photos"
        report = body(capsys, "daily", *where, "--database-url", database)
    assert time.monotonic() - began < 5
    assert verdicts(report) == {"unknown"}
    assert told in " ".join(report["sources"])
    assert SECRET not in json.dumps(report)


@pytest.mark.parametrize("period", PERIODS)
def test_a_report_of_a_slow_prometheus_ends_in_its_time(
    period: str, registry: str, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many questions there are: of each step in which the group grew there are some."""
    end = time.time()
    note(registry, end, [alive(f"10.0.1.{n}", 1 + n / 2) for n in range(10)])
    monkeypatch.setattr(reading, "LONGEST_REPORT", 1.0)

    def slow(_: object) -> tuple[int, bytes]:
        time.sleep(0.4)
        return answer([])

    with answering(slow) as url:
        wanted = Wanted(period, Fleet(), end, url, database=lambda: reader)  # type: ignore[arg-type]
        began = time.monotonic()
        history = asyncio.run(read_history(wanted, lambda _: None))
        assert time.monotonic() - began < 4 * reading.LONGEST_REPORT
    late = [one.problem for one in history.measured.answers.values()]
    assert any(late)
    assert period != "weekly" or len(history.reactions) == 9
    for reaction in history.reactions:
        assert all(one.problem for one in reaction.measured.answers.values())


@pytest.mark.parametrize(
    "reply",
    [
        (200, b"<html>a login page</html>"),
        (503, b"starting"),
        answer([{"metric": {}, "values": [[1, 10**400]]}]),
        answer([{"metric": {"instance": HOSTILE}, "values": [[1, "NaN"], [2, "1e300"]]}]),
        answer([]),
    ],
)
def test_a_prometheus_that_answers_something_else_makes_nothing_pass(
    reply: tuple[int, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(lambda _: reply) as url:
        for period in PERIODS:
            report = body(capsys, period, "--prometheus", url)
            assert "pass" not in verdicts(report)


def test_a_registry_that_is_locked_holds_up_for_a_bounded_time(
    stack: dict[str, Any], environ: dict[str, str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(reading, "LONGEST_REGISTRY", 1.0)
    with own_database(stack, environ) as settings:
        url, held, done = settings["PHOTO_API_DATABASE_URL"], threading.Event(), threading.Event()

        async def hold() -> None:
            connection = await asyncpg.connect(url)
            async with connection.transaction():
                await connection.execute("LOCK TABLE instance_events IN ACCESS EXCLUSIVE MODE")
                held.set()
                done.wait(20)
            await connection.close()

        holder = threading.Thread(target=lambda: asyncio.run(hold()))
        holder.start()
        assert held.wait(10)
        began = time.monotonic()
        report = body(capsys, "weekly", "--database-url", url)
        took = time.monotonic() - began
        done.set()
        holder.join(10)
    assert took < 8
    assert "pass" not in verdicts(report)


def test_a_database_that_is_no_registry_says_so(
    stack: dict[str, Any], environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with empty_database(stack, environ) as settings:
        url = settings["PHOTO_API_DATABASE_URL"]
        report = body(capsys, "daily", "--database-url", url)
    assert "not migrated" in " ".join(report["sources"])
    assert verdicts(report) == {"unknown"}
    assert (urlsplit(url).password or "none") not in json.dumps(report)


def test_names_and_causes_of_a_registry_are_text(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    hostile = HOSTILE.replace("\x00", "")
    with own_database(stack, environ) as settings:
        url = settings["PHOTO_API_DATABASE_URL"]
        ask(
            settings,
            "WITH boots AS (SELECT gen_random_uuid() AS boot, n FROM generate_series(1, 9) AS n)"
            " INSERT INTO instance_events (boot_id, instance, event, cause, at)"
            " SELECT boot, $1 || n, event, $1, now() - interval '1 hour' * n + later FROM boots,"
            " (VALUES ('started', interval '0'), ('ready', '1 s'), ('check_fails', '10 s'),"
            " ('worker_died', '20 s'), ('draining', '30 s'), ('stopped', '40 s'))"
            " AS happened (event, later)",
            hostile,
        )
        for period in PERIODS:
            for form in ("--markdown", "--html", "--json"):
                out = tmp_path / f"{period}{form}"
                code = made(period, "--database-url", url, form, "--out", str(out))
                assert code in (0, 1)
                text = out.read_text()
                assert "<script src" not in text or form != "--html"
                assert SECRET not in text
                assert "\x1b" not in text
                assert "\u202e" not in text
        assert ask(settings, "SELECT count(*) FROM instance_events")[0][0] == 54, "only read"
    assert capsys.readouterr().err == ""


@pytest.mark.needs("prometheus", "promtool")
def test_a_real_prometheus_and_an_empty_registry(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Pictures of a morning; what lacks a day does not pass."""
    end = float(int(time.time()))
    bring_in(History(end, 36), tmp_path)
    page = tmp_path / "report.html"
    with own_database(stack, environ) as settings, prometheus_with(tmp_path, "") as server:
        url = settings["PHOTO_API_DATABASE_URL"]
        given = ("--prometheus", server.url, "--database-url", url, "--job", "photo-api")
        code = made("daily", *given, "--html", "--out", str(page))
        report = body(capsys, "daily", *given)
    text = page.read_text()
    assert text.count("<svg") >= 3
    assert "10.0.1.12:8000" in text
    assert code == (1 if "fail" in verdicts(report) else 0)
    assert "pass" not in verdicts(report), "nobody knows the night"


def test_the_end_is_named_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = body(capsys, "weekly", *NOWHERE, "--at", "2026-01-31T08:00+09:00")
    assert (report["start"], report["end"]) == ("2026-01-23T23:00:00Z", "2026-01-30T23:00:00Z")
    made("monthly", *NOWHERE, "--at", "2026-01-31T08:00+09:00")
    assert "2026-01-01 08:00 to 2026-01-31 08:00 UTC+09:00" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["hourly"],
        ["daily", "--at", "2999-01-01T00:00Z"],
        ["daily", "--at", "soon"],
        ["daily", "--at", "\udcff"],
        ["daily", "--json", "--html"],
        ["daily", "--prometheus", "127.0.0.1:9090"],
        ["monthly", "--price", "-1"],
        ["monthly", "--price", "nan"],
        ["monthly", "--currency", "x" * 17],
    ],
)
def test_wrong_usage_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        made(*arguments)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing to read from: name --prometheus"),
        (("--data", "nowhere"), "nowhere"),
        (("fleet.toml", "--data", "nowhere"), "--data has a spec of its own"),
        (("nowhere.toml", *NOWHERE), "nowhere.toml"),
        (("--database-url", "mysql://a/b"), "--database-url must read postgresql://user:password@"),
        ((*NOWHERE, "--out", "nowhere/report.md"), "cannot write nowhere/report.md"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fleet.toml").write_text('name = "photos"\n')
    assert made("daily", *arguments) == 2
    said = capsys.readouterr()
    assert told in said.err
    assert said.out == ""


def test_a_full_disk_leaves_the_report_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.md"
    out.write_text("the one before")
    with full_disk():
        assert made("daily", *NOWHERE, "--out", str(out)) == 2
    assert out.read_text() == "the one before"
    assert f"cannot write {out}" in capsys.readouterr().err
    assert made("daily", *NOWHERE, "--out", str(out)) == 0
    assert "# Photo API: daily report" in out.read_text()
    assert capsys.readouterr().out == f"{out}: 0 of 8 fail, 8 unknown, 0 pass\n"


def test_the_database_s_role_suffices(
    stack: dict[str, Any], environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A role without any right is told what it lacks."""
    with own_database(stack, environ) as settings:
        url = settings["PHOTO_API_DATABASE_URL"]
        asyncio.run(execute(stack["superuser_url"], "CREATE ROLE nobody_here LOGIN PASSWORD 'x'"))
        try:
            parts = urlsplit(url)
            host = parts.netloc.rpartition("@")[2]
            stranger = parts._replace(netloc=f"nobody_here:x@{host}").geturl()
            report = body(capsys, "daily", "--database-url", stranger)
        finally:
            asyncio.run(execute(stack["superuser_url"], "DROP ROLE nobody_here"))
    assert "photo-fleet role" in " ".join(report["sources"])
