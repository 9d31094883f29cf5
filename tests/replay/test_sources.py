"""Where a traffic comes from: a file, a shape, a Prometheus; and what is none."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_fleet.dashboard.readings import Unread
from photo_fleet.dashboard.window import Window
from photo_fleet.replay import measured, steps_file, traffic
from photo_fleet.replay.measured import read_traffic
from photo_fleet.replay.shapes import SHAPES, shape
from photo_fleet.replay.steps_file import parse, read_file
from photo_fleet.replay.traffic import BadTraffic, Traffic
from tests.metrics.scraping import prometheus_with
from tests.photo_fleet.test_dashboard_reading import answer, answering

REQUESTS = st.floats(0, 1e9).map(lambda one: round(one, 3)) | st.integers(0, 10**9)


@given(st.lists(st.none() | REQUESTS, min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_down_is_read(told: list[float | None], end: str) -> None:
    lines = ["# requests", *("-" if one is None else f"{one}" for one in [*told, 7])]
    found = parse(end.join(lines) + end * 3, 60)
    assert found.rates == tuple(None if one is None else one / 60 for one in [*told, 7])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        *[(odd, "is no number") for odd in ("NaN", "nan", "inf", "-5", "1,5", "1_0", "0x1f", "--")],
        *[(odd, "is no number") for odd in ("٣", "\x1b[31m", "1 2", "1\r2", "null", "1e-300")],
        ("1e13", "nothing gets more than 1e\\+12"),
        ("1e999", "nothing gets more than 1e\\+12"),
        ("", "is empty"),
        ("   ", "is empty"),
    ],
)
def test_an_odd_line_is_refused_with_its_number_and_what_to_do(line: str, why: str) -> None:
    with pytest.raises(BadTraffic, match=rf"^line 3.*{why}.*: write the requests") as refused:
        parse(f"1\n# a word\n{line}\n2\n", 60)
    assert str(refused.value).isprintable()


def test_a_heading_and_a_line_without_end_are_refused_shortly() -> None:
    with pytest.raises(BadTraffic, match=r"line 1: 'requests' .* a heading has to begin with #"):
        parse("requests\n1\n", 60)
    with pytest.raises(BadTraffic) as refused:
        parse("1\n" + "9" * 100_000, 60)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no steps: give one number a line"),
        ("\n\r\n", "no steps"),
        ("# nothing\n", "no steps"),
        ("-\n-\n", "of none of its steps anybody knows"),
        ("0\n-\n0\n", "in none of its steps anything was asked for"),
    ],
)
def test_what_holds_no_traffic_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadTraffic, match=why):
        parse(text, 60)


def test_a_file_is_read_up_to_a_bound_of_bytes_and_of_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "steps"
    file.write_bytes(b"\xef\xbb\xbf1\r\n2\r\n")
    assert read_file(str(file), 1).rates == (1, 2)
    monkeypatch.setattr(steps_file, "MOST_STEPS", 3)
    file.write_text("1\n" * 4)
    with pytest.raises(BadTraffic, match="more than 3 steps"):
        read_file(str(file), 1)
    with pytest.raises(BadTraffic, match="more than 16 MiB"):
        read_file("/dev/zero", 1)
    file.write_bytes(bytes(range(256)))
    with pytest.raises(BadTraffic, match="line 1"):
        read_file(str(file), 1)


@given(st.lists(st.none() | st.floats(0.001, 1e6), min_size=1), st.floats(0.1, 1e6))
def test_a_traffic_is_scaled_by_its_busiest_step(rates: list[float | None], peak: float) -> None:
    scaled = Traffic([*rates, 1.0], 60).scaled(peak)
    assert scaled.peak == pytest.approx(peak)
    assert [one is None for one in scaled.rates] == [one is None for one in [*rates, 1.0]]


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_have_their_peak_and_nothing_beyond(name: str) -> None:
    rates = [one or 0.0 for one in shape(name, 60).rates]
    assert len(rates) * 60 == SHAPES[name][1]
    assert 0.98 < max(rates) <= 1
    assert 0 <= min(rates) < 0.11
    with pytest.raises(BadTraffic, match="more than"):
        shape("diurnal", 1)


END = time.time() // 3600 * 3600
MINUTES, GAP = 90, range(40, 50)


def rate_of(minute: int) -> float:
    return 5.0 + minute % 7


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One instance, scraped every 15 s for 90 minutes but for ten; its probes come on top."""
    folder = tmp_path_factory.mktemp("prometheus")
    labels = 'job="photo-api",instance="a:1",handler'
    asked, probes, ready = [], [], []
    count = 0.0
    for number in range(MINUTES * 4 + 1):
        minute, at = number // 4, END - MINUTES * 60 + number * 15
        if minute not in GAP:
            probes.append(
                f'http_requests_total{{{labels}="/api/health/ready"}} {100 * number} {at}'
            )
            asked.append(f'http_requests_total{{{labels}="/api/photos"}} {count} {at}')
            ready.append(f'photo_api_ready{{job="photo-api",instance="a:1"}} 1 {at}')
        count += rate_of(minute) * 15
    samples = folder / "samples"
    counters = ["# TYPE http_requests counter", *asked, *probes]
    samples.write_text("\n".join([*counters, "# TYPE photo_api_ready gauge", *ready, "# EOF", ""]))
    create = ("promtool", "tsdb", "create-blocks-from", "openmetrics", samples, folder / "data")
    subprocess.run(create, check=True, capture_output=True)
    with prometheus_with(folder, "global: {}\n") as found:
        yield found.url


def test_prometheus_tells_each_step_and_what_it_has_not_is_unknown(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several answers, for one has room for fewer steps."""
    monkeypatch.setattr(measured, "AT_ONCE", 25)
    window = Window(END - MINUTES * 60 - 600, END)
    found = asyncio.run(read_traffic(server, window, 60, lambda _: None))
    assert (found.every, found.start) == (60, END - MINUTES * 60 - 600)
    assert found.rates[:10] == (None,) * 10, "from before it was scraped"
    rates = found.rates[10:]
    assert [minute for minute, rate in enumerate(rates) if rate is None] == list(GAP)
    for minute in set(range(1, MINUTES)) - {39, 50, *GAP}:
        assert rates[minute] == pytest.approx(rate_of(minute), rel=0.35), minute
    known = [one for one in rates if one is not None]
    mean = sum(rate_of(minute) for minute in range(MINUTES) if minute not in GAP) / len(known)
    assert sum(known) / len(known) == pytest.approx(mean, rel=0.02), "none of the probes"


def test_steps_that_are_shorter_than_two_scrapes_are_refused(server: str) -> None:
    window = Window(END - 600, END)
    with pytest.raises(BadTraffic, match=r"scraped every 15 s.*: --every 30s or more"):
        asyncio.run(read_traffic(server, window, 20, lambda _: None))


def test_a_prometheus_without_requests_or_without_an_answer_is_none(server: str) -> None:
    window = Window(END - 20 * 86400.0, END - 10 * 86400.0)
    with pytest.raises(BadTraffic, match="of none of its steps anybody knows"):
        asyncio.run(read_traffic(server, window, 3600, lambda _: None))
    with (
        answering(lambda _: answer([], warnings=["a store did not answer"])) as half,
        pytest.raises(Unread, match="a store did not answer"),
    ):
        asyncio.run(read_traffic(half, window, 3600, lambda _: None))


def test_a_prometheus_that_tells_of_fewer_than_no_requests_is_not_believed() -> None:
    def negative(asked: dict[str, str]) -> tuple[int, bytes]:
        if "end" not in asked:
            return answer([])
        first, end = float(asked["start"]), float(asked["end"])
        return answer([{"metric": {}, "values": [[first, "5"], [first + 60, "-80"], [end, "5"]]}])

    with answering(negative) as url, pytest.raises(BadTraffic, match="fewer than no requests"):
        asyncio.run(read_traffic(url, Window(END - 600, END), 60, lambda _: None))


def test_more_steps_than_may_be_are_refused_before_anybody_is_asked() -> None:
    window = Window(END - (traffic.MOST_STEPS + 1), END)
    with pytest.raises(BadTraffic, match="change --every"):
        asyncio.run(read_traffic("http://127.0.0.1:1", window, 1, lambda _: None))
