"""From the release before to this one and back: what began under the one ends under the other."""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from photo_api.contract import RELEASE
from photo_fleet.drill.clients.load import Load
from photo_fleet.drill.clients.mix import Mix, Overrides
from photo_fleet.drill.faults import releases
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.ledger import Ledger
from photo_fleet.drill.runner import Broken, Runner, under
from photo_fleet.drill.scenarios import SCENARIOS
from photo_fleet.drill.stage import previous
from photo_fleet.drill.stage.demands import Demands
from photo_fleet.drill.stage.stage import Stage
from photo_fleet.drill.statistics import unserved
from tests.releases import previous_tree

UPGRADE = next(item for item in SCENARIOS if item.name == "upgrade")


async def test_without_a_release_before_it_says_why_it_cannot_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(tmp_path, 1, Overrides(), lambda _: None)
    monkeypatch.setattr(previous, "SCRIPT", tmp_path / "none.py")
    with pytest.raises(Broken, match=r"only a checkout finds the release before.*with --from"):
        await runner.run(UPGRADE)
    (tmp_path / "none.py").write_text("raise SystemExit('a shallow clone')")
    with pytest.raises(Broken, match=r"a shallow clone: name the folder .* with --from"):
        await runner.run(UPGRADE)


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_what_began_under_one_release_ends_under_the_other(tmp_path: Path) -> None:
    former = previous_tree(tmp_path / "former").release
    demands = replace(Demands(), release=tmp_path / "former")
    (tmp_path / "s").mkdir()
    previous.begin_with(tmp_path / "former", tmp_path / "s")
    ledger, mix = Ledger(), Mix(rate=4, clients=4)
    async with Stage.open(tmp_path / "s", demands, 2, lambda _: None) as stage:
        assert versions(stage) == {former}
        async with Load(stage.url, ledger, mix) as load:
            await load.prepare()
            scene = Scene(stage, ledger.now, random.Random(1), load)
            async with under(load):
                up = await releases.upgrade(scene)
                assert versions(stage) == {RELEASE}
                with pytest.raises(LookupError, match="--from names no release before it"):
                    await releases.upgrade(scene)
                back = await releases.go_back(scene)
                assert versions(stage) == {former}
                await asyncio.sleep(2)
    assert up.unkept == back.unkept == ()
    assert [item for item in ledger.requests if unserved(item)] == []
    ended = [item for item in ledger.requests if item.client in guests(load, mix)]
    did = Counter(item.kind for item in ended if item.sent > up.began)
    for kind in ("upload", "presign", "put", "confirm", "refresh", "list_photos", "view_share"):
        assert did[kind] >= 2 * releases.PEOPLE, did


def versions(stage: Stage) -> set[str]:
    return {item["version"] for item in stage.instances()}


def guests(load: Load, mix: Mix) -> set[str]:
    """Those who joined for a deploy."""
    return {person.name for person in load.people[mix.clients :]}
