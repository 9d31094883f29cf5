"""A fleet that grows, shrinks and changes its release while people use it."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from photo_api.contract import RELEASE
from photo_fleet.dashboard.boards import BOARDS
from photo_fleet.dashboard.prometheus import Prometheus, everything
from photo_fleet.dashboard.window import Window
from tests.photo_fleet.load import People
from tests.photo_fleet.local_stage import Up, fleet_command, fleet_up, release_tree
from tests.service import eventually

pytestmark = [pytest.mark.needs("nginx"), pytest.mark.slow, pytest.mark.timeout(400)]

NEXT_RELEASE = "9.9.9"
NOT_HERE = ("photo_fleet_certificate_", "photo_api_key_made_", "photo_api_spans_waiting")
"""What a local fleet has none of: TLS, keys in files that say when they were made, a collector."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Three instances that only change when told to."""
    with fleet_up(tmp_path_factory.mktemp("load"), high=5, desired=3) as up:
        yield up


def test_a_load_makes_the_fleet_grow_to_its_maximum_and_its_end_makes_it_shrink(
    tmp_path: Path,
) -> None:
    scale = ["--time-scale", "60"]
    with fleet_up(tmp_path, cores=0.06, remove_below=35, options=scale) as up:
        people = People(up.url)
        with people.busy(*(people.reader(pause=0) for _ in range(8))) as ledger:
            eventually(lambda: len(up.serving()) == 4, 150, 1)
            time.sleep(10)
            assert len(up.serving()) == 4, "it stays there"
        eventually(lambda: len(up.serving()) == 2, 150, 1)
        ledger.assert_nothing_failed()
        policy = [item for item in up.said.splitlines() if "policy:" in item]
        steps = [re.findall(r"(\d) → (\d)", line)[0] for line in policy]
        assert steps == [("2", "3"), ("3", "4"), ("4", "3"), ("3", "2")]
        assert re.search(r"cpu \d+ % on average of 2, above 70 % for 5 s: 2 → 3", up.said)


def test_scaling_to_five_and_back_under_mixed_load_fails_no_request(up: Up) -> None:
    people = People(up.url)
    with people.busy(*_everybody(people)) as ledger:
        up.command("scale", "5")
        assert len(up.wait_for(5)) == 5
        time.sleep(5)
        up.command("scale", "2")
        up.wait_for(2)
        time.sleep(3)
        up.command("scale", "3")
        up.wait_for(3)
        time.sleep(10)
    ledger.assert_nothing_failed()
    _expect_all_kinds(people)


def test_a_rolling_deploy_under_mixed_load_fails_no_request(up: Up, tmp_path: Path) -> None:
    release = release_tree(tmp_path / "next", release=NEXT_RELEASE, upgrades_from=[RELEASE])
    people = People(up.url)
    before = {item["name"] for item in up.wait_for(3)}
    with people.busy(*_everybody(people)) as ledger:
        told = up.command("deploy", "--release", str(release))
        assert "3 instances serve release" in told
        after = {item["name"] for item in up.wait_for(3)}
        time.sleep(10)
    ledger.assert_nothing_failed()
    assert not before & after
    assert httpx.get(f"{up.url}/health").json()["version"] == NEXT_RELEASE
    _expect_all_kinds(people)


@pytest.mark.needs("prometheus")
async def test_every_panel_of_the_dashboards_has_numbers_of_such_a_fleet(
    up: Up, tmp_path: Path
) -> None:
    """The last: what went before is what they show."""
    address = re.search(r"Prometheus answers at (http://\S+)", up.said)
    assert address, up.said
    prometheus = address[1]
    now, wanted = time.time(), everything(BOARDS, ())
    window = Window(now - 600, now)
    _, answers = await Prometheus(prometheus).read(window, wanted, lambda _: None)
    empty = [
        (asked.expr, told)
        for asked, told in answers.items()
        if not told.whole or not any(one.values for one in told.series)
        if not any(name in asked.expr for name in NOT_HERE)
    ]
    assert empty == []
    page = tmp_path / "page.html"
    up_to_now = ["dashboard", "--html", "--since", "10m", "--out", str(page)]

    def has_all() -> bool:
        """Prometheus learns of the newest within a round of discovery and a scrape."""
        told = fleet_command(*up_to_now, "--prometheus", prometheus)
        assert told.returncode == 0, told.stdout + told.stderr
        shown = page.read_text()
        return all(f"{one['name']}:{one['port']}" in shown for one in up.serving())

    eventually(has_all, 60, 1)


def _everybody(people: People) -> list[tuple[Callable[[], None], float]]:
    return [
        *(people.reader() for _ in range(3)),
        people.writer(),
        people.direct_uploader(),
        people.uploader(),
        *(people.slow_uploader() for _ in range(2)),
        people.slow_direct_uploader(),
    ]


def _expect_all_kinds(people: People) -> None:
    kinds = {"GET", "GET image", "POST", "DELETE", "presign", "PUT", "confirm", "upload"}
    assert kinds | {"slow upload"} <= people.ledger.done.keys(), people.ledger.done
    assert people.ledger.done["slow upload"] >= 2
