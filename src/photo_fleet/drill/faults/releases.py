"""From one release to another under load: what began under the one ends under the other."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from photo_api.contract import RELEASE
from photo_fleet.drill.clients import behaviour, uploading
from photo_fleet.drill.clients.person import Person
from photo_fleet.drill.clients.transport import Call
from photo_fleet.drill.clients.uploading import Grant
from photo_fleet.drill.faults.scene import Scene
from photo_fleet.drill.records import Fault

PEOPLE = 3
"""Who begin something under the one release and end it under the other, besides the load."""

LONGEST_JOBS = 60.0
HELD = """
CREATE FUNCTION held_by_the_drill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM photos WHERE id = NEW.subject_id AND owner_id IN ({owners})) THEN
        NEW.available_at := now() + interval '1 hour';
    END IF;
    RETURN NEW;
END $$
"""
HOLDS = (
    "CREATE TRIGGER held_by_the_drill BEFORE INSERT ON jobs"
    " FOR EACH ROW EXECUTE FUNCTION held_by_the_drill()"
)
LETS_GO = "DROP FUNCTION IF EXISTS held_by_the_drill CASCADE"
THEIRS = "SELECT id FROM photos WHERE owner_id = ANY($1::bigint[])"
WAITING = f"SELECT count(*) FROM jobs WHERE kind = 'renditions' AND subject_id IN ({THEIRS})"
FREE = (
    "WITH free AS (UPDATE jobs SET available_at = now()"
    f" WHERE state = 'queued' AND subject_id IN ({THEIRS}) RETURNING 1)"
    " SELECT pg_notify('photo_api_jobs', '') FROM (SELECT count(*) FROM free) counted"
)


Begun = tuple[Person, list[Grant], Call]


async def upgrade(scene: Scene) -> Fault:
    """From the release that the stage began with to this one. Raises `LookupError` when that is
    this one too."""
    if RELEASE in _versions(scene):
        raise LookupError(f"the fleet began with {RELEASE}: --from names no release before it")
    return await _deploy(scene, "upgrade", None)


async def go_back(scene: Scene) -> Fault:
    """From this release to the one that the stage began with."""
    return await _deploy(scene, "go-back", scene.stage.demands.release)


async def _deploy(scene: Scene, name: str, folder: Path | None) -> Fault:
    began, stage = scene.now(), scene.stage
    former, chance = _versions(scene), random.Random(scene.chance.random())
    people = [await scene.load.join() for _ in range(PEOPLE)]
    owners = [person.id for person in people]
    async with _jobs_held(scene, owners):
        begun = [await _begin(person, chance) for person in people]
        if await _waiting(scene, owners) < PEOPLE:
            raise LookupError("no jobs wait for the other release")
        told = {} if folder is None else {"release": str(folder)}
        await stage.order(do="deploy", start_limit=90, **told)
    unkept = [f"an instance of {one} serves still" for one in sorted(former & _versions(scene))]
    for person, grants, album in begun:
        await _end(person, grants, album, chance)
    try:
        await scene.until(lambda: _none_waits(scene, owners), LONGEST_JOBS)
    except TimeoutError:
        unkept.append(f"jobs that the other release began are not done in {LONGEST_JOBS:g} s")
    return scene.span(name, began, unkept=tuple(unkept))


async def _begin(person: Person, chance: random.Random) -> Begun:
    """A photo whose thumbnail is still to be made, a link, a direct upload that was let in, one
    that needs only to be confirmed, an album under a key, and the session itself. Raises
    `LookupError` when the release that is to be left does not even take these."""
    await uploading.upload(person, chance, None)
    await behaviour.create_share(person, chance, None)
    grants = [await uploading.granted_upload(person, chance, None) for _ in range(2)]
    album = await behaviour.album_under_key(person, chance, None)
    given = [grant for grant in grants if grant is not None]
    if len(given) < len(grants) or album is None:
        raise LookupError("the release that is to be left does not serve")
    await uploading.put(person, chance, given[1])
    return person, given, album[1]


async def _end(person: Person, grants: list[Grant], album: Call, chance: random.Random) -> None:
    """The other release is asked for the rest; what it refuses stands in the ledger."""
    now = person.ledger.now
    await behaviour.list_photos(person, chance, now())  # with the token from before
    await person.refresh()
    await person.act(album, chance)
    await uploading.put(person, chance, grants[0])
    for grant in grants:
        await uploading.confirm(person, chance, grant)
    for token in person.links.values():
        await behaviour.view_link(person, token, chance, now())


@asynccontextmanager
async def _jobs_held(scene: Scene, owners: list[int]) -> AsyncIterator[None]:
    """While this is open, jobs for the photos of these people wait; then they may be done."""
    await scene.stage.query(HELD.format(owners=", ".join(map(str, owners))))
    try:
        await scene.stage.query(HOLDS)
        yield
    finally:
        await scene.stage.query(LETS_GO)
        await scene.stage.query(FREE, owners)


async def _waiting(scene: Scene, owners: list[int]) -> int:
    [row] = await scene.stage.query(WAITING, owners)
    return int(row[0])


async def _none_waits(scene: Scene, owners: list[int]) -> bool:
    return await _waiting(scene, owners) == 0


def _versions(scene: Scene) -> set[str]:
    return {str(item["version"]) for item in scene.stage.instances()}
