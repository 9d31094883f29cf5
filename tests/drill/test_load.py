"""A load of all acts on one real service: everything succeeds but what the load itself provokes."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photo_fleet.drill.clients.mix import EVERYDAY, Arrival, Mix, Overrides, schedule, weights_of
from photo_fleet.drill.clients.pictures import picture
from photo_fleet.drill.evidence.reconcile import reconcile
from photo_fleet.drill.records import Discrepancies, Outcome
from tests.drill.loaded import Stage, own_stage, run_load

ALL_ACTS = dict.fromkeys(EVERYDAY, 1.0) | {"delete_photo": 2.0, "upload": 2.0}
KINDS = set(EVERYDAY) - {"sign_up", "careless_upload"} | {"register", "presign", "put", "confirm"}


@pytest.fixture(scope="module")
def stage(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with own_stage(stack, environ, tmp_path_factory.mktemp("drill")) as running:
        yield running


async def test_a_load_of_all_acts_succeeds_and_everything_agrees(stage: Stage) -> None:
    mix = Mix(rate=25, clients=6, weights=ALL_ACTS, fresh=0.3, slow=(0.5, 1.5))
    load = await run_load(stage, mix, 6)
    ledger = load.ledger
    assert not ledger.unfinished
    bad = [
        item
        for item in ledger.requests
        if item.outcome is not Outcome.OK
        and not (item.outcome is Outcome.REFUSED and item.status in (404, 409))
    ]
    assert not bad
    kinds = Counter(item.kind for item in ledger.requests)
    assert kinds.keys() - {"direct_upload"} == KINDS - {"direct_upload"}, kinds
    assert {item.target for item in ledger.requests} == {"api", "store"}
    assert len({item.id for item in ledger.requests}) == len(ledger.requests)
    careless = [item for item in ledger.requests if item.kind == "confirm" and item.status == 409]
    assert careless
    assert len(ledger.uploads) > 10
    assert any(item.deleted for item in ledger.uploads)
    assert all(item.instance for item in ledger.requests if item.target == "api")

    assert await stage.sweep() == 0
    evidence = await stage.gather(load)
    assert {item.request_id for item in evidence.executions} >= {
        item.id for item in ledger.requests if item.target == "api"
    }
    assert reconcile(evidence) == Discrepancies()


def test_a_schedule_is_the_same_for_the_same_seed_and_keeps_its_rate() -> None:
    def first(seed: int, **changes: Any) -> list[Arrival]:
        return list(islice(schedule(Mix(rate=50, clients=7, **changes), seed), 5000))

    poisson = first(1)
    assert poisson == first(1) != first(2)
    assert poisson[-1].at == pytest.approx(100, rel=0.1)
    assert {item.client for item in poisson} == set(range(7))
    often = Counter(item.act for item in poisson)
    assert set(often) == set(EVERYDAY)
    assert often["thumbnail"] > often["list_albums"] > often["slow_upload"]
    even = first(1, arrivals="even")
    assert [item.at for item in even[:3]] == pytest.approx([0.02, 0.04, 0.06])


def test_weights_are_read_from_a_command_line() -> None:
    assert weights_of("thumbnail=3, upload=1.5") == {"thumbnail": 3, "upload": 1.5}
    for wrong in ("dance=1", "upload", "upload=-1", "upload=0", "upload=nan", "upload=inf", ""):
        with pytest.raises(ValueError, match=r"."):
            weights_of(wrong)


def test_a_wish_changes_what_a_scenario_says_and_brings_people_for_the_rate() -> None:
    mix = Mix(rate=10, clients=20)
    assert Overrides().applied(mix) == mix
    asked = Overrides(rate=100, weights={"upload": 1}).applied(mix)
    assert (asked.rate, asked.clients, asked.weights) == (100, 200, {"upload": 1})
    assert Overrides(rate=1).applied(mix).clients == 20


@pytest.mark.parametrize("size", [2_000, 65_000, 66_500, 150_000, 300_000])
def test_pictures_have_their_size_and_decode(size: int, tmp_path: Path) -> None:
    made = picture("name", random.Random(3), size)
    assert abs(len(made.data) - size) <= 4
    path = tmp_path / "picture.jpg"
    path.write_bytes(made.data)
    with Image.open(path) as image:
        image.load()
        assert image.size == (64, 48)


def test_pictures_differ_by_their_names() -> None:
    one, other = (picture(name, random.Random(3)) for name in ("one", "two"))
    assert len(one.data) == len(other.data)
    assert one.sha256 != other.sha256
    assert 2_000 <= len(one.data) <= 200_000
