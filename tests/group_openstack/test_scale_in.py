"""One instance fewer in OpenStack's group, against a real registry and a fake of OpenStack."""

import asyncio
import time
from dataclasses import replace
from random import Random

import pytest

from photo_fleet.group.openstack.scale_in import Order, Refusal, Unfinished
from photo_fleet.group.openstack.stack import TAG, Seen, StackGroup
from tests.group_openstack.fake_answers import Machine
from tests.group_openstack.fake_openstack import FakeOpenstack
from tests.group_openstack.stage import SHORT, Stage

NEWEST = "10.0.0.4:8000"


def addresses(cloud: FakeOpenstack) -> list[str]:
    return [one.address for one in cloud.machines]


def one_is_gone(stage: Stage, address: str = "10.0.0.4") -> None:
    """That one and no other, and not before it had told that it stopped."""
    assert [one.address for one in stage.cloud.deleted] == [address]
    assert len(stage.cloud.machines) == 3
    assert stage.brutal == []
    assert stage.cloud.deleted[0].stops == 1


async def test_the_newest_leaves_the_pool_drains_and_is_removed(stage: Stage) -> None:
    removed = await stage.run()
    assert (removed.address, removed.left, removed.resumed) == (NEWEST, 3, False)
    assert removed.receipt is not None
    assert removed.receipt.ending == "untold"
    one_is_gone(stage)
    kinds = [path.rsplit("/", 2)[-2:] for _, path in stage.cloud.writes]
    assert [kind[0] for kind in kinds] == ["members", kinds[1][0], "resources", "photo-api"]
    assert [method for method, _ in stage.cloud.writes] == ["PUT", "POST", "PATCH", "PATCH"]
    assert stage.said == [
        f"{NEWEST} leaves: taking it out of the pool",
        f"{NEWEST} is out of the pool: stopping its server, which drains",
        f"{NEWEST} has ended: removing its server",
    ]


async def test_who_orders_may_name_the_instance(stage: Stage) -> None:
    assert (await stage.run(instance="10.0.0.2")).address == "10.0.0.2:8000"
    one_is_gone(stage, "10.0.0.2")
    with pytest.raises(Refusal, match=r"10\.0\.0\.2 is no member of the group \(any more\)"):
        await stage.run(instance="10.0.0.2", now=True)


async def test_one_of_the_oldest_release_goes_first(stage: Stage) -> None:
    await stage.connection.execute(
        "UPDATE instances SET version = '0.10.0' WHERE address <> '10.0.0.2'"
    )
    assert (await stage.run()).address == "10.0.0.2:8000"


async def test_never_below_the_minimum(stage: Stage) -> None:
    stage.fleet = replace(stage.fleet, group=replace(stage.fleet.group, min=4))
    with pytest.raises(Refusal, match="has 4 members, and its minimum is 4"):
        await stage.run()
    assert stage.cloud.writes == []


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("UPDATE instances SET state = 'starting'", "starting in the registry"),
        ("UPDATE instances SET heartbeat_at = now() - interval '1 minute'", "heartbeat 60 s ago"),
        ("DELETE FROM instances", "unknown in the registry"),
    ],
)
async def test_not_while_another_is_not_ready(stage: Stage, spoil: str, why: str) -> None:
    await stage.connection.execute(f"{spoil} WHERE address = '10.0.0.1'")
    with pytest.raises(Refusal, match=rf"10\.0\.0\.1:8000 is {why}|{why}"):
        await stage.run()
    assert stage.cloud.writes == []
    # The one that is not ready may go.
    stage.silent.add("10.0.0.9")
    if "DELETE" not in spoil:
        assert (await stage.run(instance="10.0.0.1")).address == "10.0.0.1:8000"


async def test_not_while_somebody_has_a_member_down_or_octavia_finds_it_sick(stage: Stage) -> None:
    one = stage.cloud.machines[0]
    one.weight = 0
    with pytest.raises(Refusal, match="taken out of the pool by somebody's hand"):
        await stage.run()
    one.weight, one.operating = 1, "ERROR"
    with pytest.raises(Refusal, match="whose monitor finds it unhealthy"):
        await stage.run()
    one.operating, one.heat = "ONLINE", "UPDATE_FAILED"
    with pytest.raises(Refusal, match="is UPDATE_FAILED in Heat"):
        await stage.run()
    assert stage.cloud.writes == []


async def test_an_alarm_that_repeats_itself_waits_for_the_cooldown(stage: Stage) -> None:
    await stage.run()
    for _ in range(3):
        with pytest.raises(Refusal, match="the policy's cooldown is 300 s"):
            await stage.run()
    one_is_gone(stage)
    assert (await stage.run(now=True)).left == 2


async def test_two_at_once_remove_one_each_and_one_after_the_other(stage: Stage) -> None:
    leaving: list[int] = []
    stage.cloud.meddle = lambda *_: leaving.append(sum(not m.weight for m in stage.cloud.machines))
    both = await asyncio.gather(stage.run(now=True), stage.run(now=True))
    assert sorted(one.left for one in both) == [2, 3]
    assert "another scale-in is under way: waiting for its end" in stage.said
    assert stage.brutal == []
    assert max(leaving) == 1


async def test_nobody_is_removed_who_has_not_said_that_it_stopped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photo_fleet.group.openstack.scale_in.SILENT_FOR", 0.2)
    stage.silent.add("10.0.0.4")
    with pytest.raises(Unfinished, match="the registry says draining, Nova says SHUTOFF") as told:
        await stage.run()
    assert "photo-fleet group scale-in --resume" in str(told.value)
    assert stage.cloud.machines[3].weight == 0
    assert (stage.cloud.deleted, stage.cloud.machines[3].heat) == ([], "CREATE_COMPLETE")
    # An order that comes now is for the unfinished one.
    with pytest.raises(Unfinished):
        await stage.run(now=True)
    assert len([one for one in stage.cloud.machines if one.weight == 0]) == 1
    # The operator knows that nothing will be said any more.
    removed = await stage.run(resume=True, accept_lost=True)
    assert (removed.address, removed.resumed) == (NEWEST, True)
    assert stage.brutal == ["10.0.0.4 draining"]


async def test_a_row_of_a_former_server_with_the_address_is_no_word(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photo_fleet.group.openstack.scale_in.SILENT_FOR", 0.2)
    await stage.connection.execute(
        "UPDATE instances SET state = 'stopped', started_at = now() - interval '1 day'"
        " WHERE address = '10.0.0.4'"
    )
    with pytest.raises(Unfinished, match="the registry says nothing"):
        await stage.run(instance="10.0.0.4")
    assert stage.cloud.deleted == []


async def test_a_row_of_an_earlier_boot_of_this_server_is_no_word(stage: Stage) -> None:
    """As after a restore of the registry: the boot that serves has not written itself again yet."""
    await stage.connection.execute("UPDATE instances SET state='stopped' WHERE address='10.0.0.4'")
    deleted: list[tuple[int, str]] = []
    stage.cloud.on_delete = lambda one: deleted.append((one.stops, one.status))
    stage.cloud.on_stop = lambda _: time.sleep(0.5)
    assert (await stage.run(instance="10.0.0.4")).left == 3
    assert deleted == [(1, "SHUTOFF")]


@pytest.mark.parametrize("lacks", [range(1, 3), range(3, 6), range(7, 12), range(1, 1000)])
async def test_what_a_list_of_heat_lacks_is_not_gone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lacks: range
) -> None:
    """Some of its answers after the choice do not have the member."""
    for bound in ("OUT_WITHIN", "REMOVED_WITHIN"):
        monkeypatch.setattr(f"photo_fleet.group.openstack.scale_in.{bound}", 2.0)
    looks = 0
    look = StackGroup.look

    async def partial(group: StackGroup) -> Seen:
        nonlocal looks
        seen = await look(group)
        looks += bool(stage.said)
        left = [one for one in seen.members if looks not in lacks or one.address != NEWEST]
        return replace(seen, members=tuple(left))

    monkeypatch.setattr(StackGroup, "look", partial)
    if len(lacks) > 100:
        with pytest.raises(Unfinished):
            await stage.run()
        assert (stage.cloud.machines[3].stops, stage.cloud.deleted) == (0, [])
        return
    assert (await stage.run()).left == 3
    one_is_gone(stage)


async def test_an_instance_that_hangs_is_waited_for_within_a_bound(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photo_fleet.group.openstack.scale_in.MARGIN", -1.5)
    stage.fleet = SHORT

    def hang(_: Machine) -> None:
        stage.cloud.release.wait(20)

    stage.cloud.on_stop = hang
    with pytest.raises(Unfinished, match="Nova says ACTIVE powering-off"):
        await stage.run()
    assert stage.cloud.deleted == []


async def test_while_it_serves_it_is_put_back_when_another_is_lost(stage: Stage) -> None:
    machine = stage.cloud.machines[3]
    machine.weight, machine.tags = 0, ["own", TAG]
    await stage.connection.execute("UPDATE instances SET state='lost' WHERE address='10.0.0.1'")
    with pytest.raises(Refusal, match="is put back into the pool: not all others"):
        await stage.run()
    assert (machine.weight, machine.tags, machine.stops) == (1, ["own"], 0)
    with pytest.raises(Refusal, match="nothing is unfinished"):
        await stage.run(resume=True)


async def test_one_that_is_in_the_pool_again_is_not_stopped(stage: Stage) -> None:
    """The answer to putting it back is lost, and then nothing is lacking any more."""
    machine, other = stage.cloud.machines[3], stage.cloud.machines[0]
    machine.weight, machine.tags, other.operating = 0, [TAG], "ERROR"

    def meddle(_: int, method: str, __: str) -> str | None:
        if method == "PUT":
            other.operating = "ONLINE"
            return "lost"
        return None

    stage.cloud.meddle = meddle
    with pytest.raises(Refusal, match="is in the pool again, and its server was not stopped"):
        await stage.run()
    assert (machine.weight, machine.stops) == (1, 0)


async def test_octavia_and_heat_at_work_are_waited_for(stage: Stage) -> None:
    stage.cloud.pending = 0.3
    stage.cloud.pending_until = time.time() + 0.5
    stage.cloud.update()
    stage.cloud.parameters["initial_size"] = 0
    assert (await stage.run(now=True)).left == 3
    one_is_gone(stage)
    assert "the stack is UPDATE_IN_PROGRESS: waiting for its end" in stage.said


@pytest.mark.parametrize("fate", ["lost", "dropped", "503", "409"])
async def test_no_answer_says_nothing(stage: Stage, fate: str) -> None:
    """To the first of each request that writes, whether or not it was done, and to a fifth."""
    tried: set[tuple[str, str]] = set()
    chance = Random(5)

    def meddle(number: int, method: str, path: str) -> str | None:
        first = method != "GET" and (method, path) not in tried
        tried.add((method, path))
        return fate if first or chance.random() < 0.2 else None

    stage.cloud.meddle = meddle
    assert (await stage.run()).left == 3
    one_is_gone(stage)


async def test_what_is_not_found_for_the_moment_is_not_gone(stage: Stage) -> None:
    """404 to the first of each request that writes, and twice of the server before its stop."""
    tried: list[str] = []

    def meddle(number: int, method: str, path: str) -> str | None:
        tried.append(path)
        if "/servers/" in path and method == "GET":
            return "404" if tried.count(path) < 3 else None
        return "404" if method != "GET" and tried.count(path) == 1 else None

    stage.cloud.meddle = meddle
    stage.cloud.pending = 0.0
    assert (await stage.run()).left == 3
    one_is_gone(stage)


async def test_a_server_that_somebody_has_deleted_is_removed(stage: Stage) -> None:
    """Its instance says nothing any more."""
    await stage.connection.execute(
        "UPDATE instances SET heartbeat_at = now() - interval '1 minute' WHERE address = '10.0.0.4'"
    )
    await stage.connection.execute("UPDATE instances SET state='lost' WHERE address='10.0.0.4'")
    server = stage.cloud.machines[3].server
    stage.cloud.meddle = lambda _, __, path: "404" if server in path else None
    assert (await stage.run(instance="10.0.0.4")).left == 3
    assert [one.address for one in stage.cloud.deleted] == ["10.0.0.4"]


async def test_a_token_that_has_ended_is_renewed(stage: Stage) -> None:
    def meddle(number: int, *_: object) -> None:
        if number % 5 == 0:
            stage.cloud.tokens.clear()

    stage.cloud.meddle = meddle
    assert (await stage.run()).left == 3


async def test_members_that_heat_takes_for_failed_are_not_removed_along_with_it(
    stage: Stage,
) -> None:
    def meddle(number: int, method: str, path: str) -> None:
        if method == "PATCH" and "/resources/" in path:
            stage.cloud.machines[0].heat = "CHECK_FAILED"

    stage.cloud.meddle = meddle
    with pytest.raises(Unfinished, match="the update would remove them all: mend them first"):
        await stage.run()
    assert (stage.cloud.deleted, stage.cloud.updates) == ([], 0)
    stage.cloud.machines[0].heat = "CHECK_COMPLETE"
    assert (await stage.run(resume=True)).address == NEWEST


async def test_a_group_that_grows_meanwhile_loses_nobody_but_the_drained(stage: Stage) -> None:
    """An alarm adds one between mark and update: Heat then replaces what is marked."""

    def meddle(number: int, method: str, path: str) -> None:
        if method == "PATCH" and "/resources/" not in path and len(stage.cloud.machines) == 4:
            stage.cloud.add("10.0.0.5", 8000, age=0)

    stage.cloud.meddle = meddle
    assert (await stage.run()).left == 4
    assert stage.brutal == []
    assert [one.address for one in stage.cloud.deleted] == ["10.0.0.4"]


async def test_wrong_credentials_and_stacks_are_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.cloud.parameters.clear()
    with pytest.raises(Refusal, match="no parameter initial_size"):
        await stage.run()
    secret, stage.cloud.secret = stage.cloud.secret, "another"
    scale_in = stage.scale_in()
    stage.cloud.secret = secret
    with pytest.raises(Refusal, match=r"refuses the application credential \(401\)") as told:
        await scale_in.run(Order())
    assert "another" not in str(told.value)
    stage.role = "postgresql://nobody:hush@127.0.0.1:9/none"
    monkeypatch.setattr("photo_fleet.group.openstack.scale_in.LOOK_WITHIN", 0.0)
    with pytest.raises(Refusal, match="database does not"):
        await stage.run()
