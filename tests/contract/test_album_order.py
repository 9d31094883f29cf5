"""How albums are arranged and shown: moves by hand, orders, covers, and what holds a photo."""

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from photo_api.albums import arranging
from photo_api.albums.arranging import Where
from photo_api.albums.queries import add_photos, remove_photos
from photo_api.db.pool import Database
from photo_api.shares.queries import enqueue_displays
from tests.own_stage import ask, own_database
from tests.service import User, jpeg

PHOTOS = """INSERT INTO photos (owner_id, status, album_id, original_filename, content_type,
    file_size, object_key, renditions, thumbnail_key, display_key, date_source, sort_at)
SELECT $1, 'ready', $2, 'a.jpg', 'image/jpeg', 1, 'k/' || gen_random_uuid() || '.jpg', 'ready', 't',
    'd', 'user', timestamp '2020-01-01' + make_interval(days => 7 * n % 10)
FROM generate_series(1, $3) AS n RETURNING id"""


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


class Arranged:
    """An album of somebody's with so many photos, in the order of their ids."""

    def __init__(self, settings: dict[str, str], user: User, count: int) -> None:
        self.settings, self.user = settings, user
        self.id = user.album()["id"]
        made = ask(settings, PHOTOS, user.account["id"], self.id, count)
        self.photos = sorted(row["id"] for row in made)
        if count:
            self.add(self.photos)

    def add(self, photo_ids: list[int]) -> None:
        body = {"photo_ids": photo_ids}
        self.user.api.post(f"/albums/{self.id}/photos", json=body).raise_for_status()

    def move(self, photo_ids: list[int], **where: Any) -> httpx.Response:
        body = {"photo_ids": photo_ids, **where}
        return self.user.api.post(f"/albums/{self.id}/photos/move", json=body)

    def sort(self, order: str) -> httpx.Response:
        return self.user.api.patch(f"/albums/{self.id}", json={"sort": order})

    def shown(self, path: str | None = None, **query: Any) -> list[int]:
        """All pages."""
        path, ids, following = path or f"/albums/{self.id}", list[int](), None
        while True:
            asked = {**query, **({"cursor": following} if following else {})}
            page = self.user.api.get(path, params=asked).raise_for_status().json()
            ids += [photo["id"] for photo in page["photos"]]
            following = page["next"]
            if following is None:
                return ids

    def positions(self) -> dict[int, int]:
        query = "SELECT photo_id, position FROM album_photos WHERE album_id = $1"
        return dict(map(tuple, ask(self.settings, query, self.id)))


def expected(ids: list[int], moved: list[int], where: Where) -> list[int]:
    """The same by hand."""
    moved = [one for one in dict.fromkeys(moved) if one in ids]
    rest = [one for one in ids if one not in moved]
    at = {"start": 0, "end": len(rest)}.get(where.side, -1)
    if where.photo_id is not None:
        at = rest.index(where.photo_id) + (where.side == "after")
    return rest[:at] + moved + rest[at:]


def a_move(chance: random.Random, ids: list[int]) -> tuple[list[int], Where]:
    moved = chance.sample(ids, chance.randrange(1, 5))
    side: arranging.Side = chance.choice(["before", "after", "start", "end"])
    others = [one for one in ids if one not in moved]
    return moved, Where(side, chance.choice(others) if side in ("before", "after") else None)


def test_moves(settings: dict[str, str], user: User) -> None:
    album = Arranged(settings, user, 6)
    a, b, c, d, e, f = album.photos
    before = album.positions()
    assert album.move([e], before=b).json() == {"message": "Moved 1 photos", "count": 1}
    assert album.shown() == [a, e, b, c, d, f]
    after = album.positions()
    assert [one for one in before if before[one] != after[one]] == [e], "one row is written"
    assert album.move([d, a, 2**70, d, 10**15], after=f).json()["count"] == 2
    assert album.shown() == [e, b, c, f, d, a]
    album.move([c, a], to="start")
    assert album.shown() == [c, a, e, b, f, d]
    album.move([a], to="end")
    [new] = [row["id"] for row in ask(settings, PHOTOS, user.account["id"], album.id, 1)]
    album.add([new])
    assert album.shown(limit=2) == [c, e, b, f, d, a, new], "additions come last"
    assert album.shown(skip=2) == [b, f, d, a, new]
    for wrong, status in (
        ({"to": "middle"}, 422), ({}, 422), ({"to": "end", "before": a}, 422), ({"before": b}, 422),
        ({"before": 10**15}, 404), ({"after": 2**70}, 404), ({"after": "1"}, 422),
        ({"before": Arranged(settings, user, 1).photos[0]}, 404),
    ):  # fmt: skip
        assert album.move([b], **wrong).status_code == status, wrong
    for ids in ([], ["7"], [True], [1] * 1001, None):
        assert album.move(ids, to="end").status_code == 422  # type: ignore[arg-type]
    assert album.move([10**15], to="end").json()["count"] == 0
    assert album.shown() == [c, e, b, f, d, a, new]


async def test_moves_are_those_of_a_list_also_where_there_is_no_room(
    settings: dict[str, str], user: User, db: Database
) -> None:
    """Positions as the release before has given them: one beside the other, from the first on."""
    album, chance = await asyncio.to_thread(Arranged, settings, user, 9), random.Random(7)
    other = await asyncio.to_thread(Arranged, settings, user, 3)
    await db.execute(
        "UPDATE album_photos m SET position = o.n FROM (SELECT photo_id, row_number() OVER"
        " (ORDER BY position) - 1 AS n FROM album_photos WHERE album_id = $1) o"
        " WHERE m.album_id = $1 AND m.photo_id = o.photo_id",
        album.id,
    )
    beside, ids = await asyncio.to_thread(other.positions), album.photos
    for _ in range(120):
        moved, where = a_move(chance, ids)
        async with db.transaction() as connection:
            await arranging.move(connection, user.account["id"], album.id, moved, where)
        ids = expected(ids, moved, where)
        rows = await db.fetch(
            "SELECT photo_id, position FROM album_photos WHERE album_id = $1 ORDER BY position",
            album.id,
        )
        assert [row["photo_id"] for row in rows] == ids, (moved, where)
        assert rows[0]["position"] >= 0
    assert await asyncio.to_thread(other.positions) == beside, "that album alone"


def test_a_photo_in_the_trash_keeps_its_place_beside_moves(
    settings: dict[str, str], user: User
) -> None:
    album = Arranged(settings, user, 6)
    a, b, c, d, e, f = album.photos
    user.api.delete(f"/photos/{c}").raise_for_status()
    before = album.positions()
    for turn in range(30):
        album.move([(e, f)[turn % 2]], after=d)
    assert all(album.positions()[one] != before[one] for one in before), "all were spread"
    assert album.shown() == [a, b, d, f, e]
    back = {"operation": "restore", "photo_ids": [c]}
    user.api.post("/photos/bulk", json=back).raise_for_status()
    assert album.shown() == [a, b, c, d, f, e]


async def test_moves_beside_moves_and_additions(
    settings: dict[str, str], user: User, db: Database
) -> None:
    """Everything is there once, in one order, and nobody ends in a deadlock."""
    album = await asyncio.to_thread(Arranged, settings, user, 12)
    owner = user.account["id"]
    await db.execute("UPDATE album_photos SET position = (position - (SELECT min(position) FROM"
        " album_photos WHERE album_id = $1)) / 262144 WHERE album_id = $1", album.id)  # fmt: skip
    rows = await db.fetch(PHOTOS, owner, album.id, 40)
    new = [row["id"] for row in rows]

    async def moves(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(25):
            moved, where = a_move(chance, album.photos)
            async with db.transaction() as connection:
                await arranging.move(connection, owner, album.id, moved, where)

    async def adds(ids: list[int]) -> None:
        for one in ids:
            await add_photos(db, owner, album.id, [one])
            if one % 4 == 0:
                await remove_photos(db, owner, album.id, [one])

    async def dates() -> None:
        for day in range(15):
            await db.execute(
                "UPDATE photos SET sort_at = timestamp '2021-01-01' + make_interval(days => $2)"
                " WHERE owner_id = $1 AND status = 'ready'",
                owner, day,
            )  # fmt: skip

    halves = new[:20], new[20:]
    await asyncio.gather(moves(1), moves(2), moves(3), adds(halves[0]), adds(halves[1]), dates())
    there = {*album.photos, *(one for one in new if one % 4)}
    shown = await asyncio.to_thread(album.shown, limit=7)
    assert (len(shown), set(shown)) == (len(there), there)
    assert len(set((await asyncio.to_thread(album.positions)).values())) == len(there)
    of_album = "FROM album_photos m JOIN photos p ON p.id = m.photo_id WHERE m.album_id = $1"
    undated = f"SELECT count(*) {of_album} AND m.sort_at IS DISTINCT FROM p.sort_at"
    assert await db.fetchval(undated, album.id) == 0
    last = [one for one in shown if one in halves[0]]
    assert last == sorted(last), "what one client added after the other is in that order"


async def test_a_job_that_has_passed_sees_what_was_moved(
    settings: dict[str, str], user: User, db: Database
) -> None:
    album = await asyncio.to_thread(Arranged, settings, user, 6)
    user.api.post(f"/albums/{album.id}/share").raise_for_status()
    await db.execute("UPDATE photos SET display_key = NULL WHERE id = ANY ($1)", album.photos)
    seen = await enqueue_displays(db, album.id, 0, 3)
    of_album = "WHERE kind = 'shared_album' AND subject_id = $1"
    await db.execute(f"UPDATE jobs SET progress = $2 {of_album}", album.id, seen)
    last = album.photos[-1]
    await asyncio.to_thread(album.move, [last], to="start")
    progress = f"SELECT progress FROM jobs {of_album}"
    rows = await db.fetch(progress, album.id)
    for row in rows:
        await enqueue_displays(db, album.id, row["progress"], 100)
    displays = "SELECT subject_id FROM jobs WHERE kind = 'display' AND subject_id = ANY ($1)"
    assert {row["subject_id"] for row in await db.fetch(displays, album.photos)} == {*album.photos}
    await db.execute(f"DELETE FROM jobs {of_album}", album.id)
    await asyncio.to_thread(album.move, [last], to="end")
    assert await db.fetch(progress, album.id) == [], "all were looked at: nothing to do"


def test_orders(settings: dict[str, str], user: User) -> None:
    album = Arranged(settings, user, 9)
    query = "SELECT id, sort_at FROM photos WHERE id = ANY ($1)"
    dates = {row["id"]: (row["sort_at"], row["id"]) for row in ask(settings, query, album.photos)}
    taken = sorted(album.photos, key=dates.__getitem__)
    share = user.api.post(f"/albums/{album.id}/share").json()["token"]
    cursors = {}
    for order, ids in {
        "position": album.photos,
        "-position": album.photos[::-1],
        "taken": taken,
        "-taken": taken[::-1],
    }.items():
        assert album.sort(order).json()["sort"] == order
        for path in (f"/albums/{album.id}", f"/share/{share}"):
            assert album.shown(path) == ids
            assert album.shown(path, limit=2) == ids
            assert album.shown(path, skip=4, limit=3)[:3] == ids[4:7]
            assert album.shown(path, skip=10**17) == []
        cursors[order] = user.api.get(f"/albums/{album.id}?limit=2").json()["next"]
    views = user.api.get(f"/albums/{album.id}/share").json()[0]["view_count"]
    user.api.get(f"/share/{share}")
    assert user.api.get(f"/albums/{album.id}/share").json()[0]["view_count"] == views + 1
    for order, cursor in cursors.items():
        for path in (f"/albums/{album.id}", f"/share/{share}"):
            answer = user.api.get(path, params={"cursor": cursor})
            assert answer.status_code == (200 if order == "-taken" else 400), order
    for wrong in (
        "t" + "_" * 22,
        "u" * 23,
        "t" * 22,
        cursors["position"] * 2,
        "p",
        "uf__________8" * 2,
    ):
        assert user.api.get(f"/albums/{album.id}", params={"cursor": wrong}).status_code == 400
    for bad in ("", "taken,", "name", 3, ["taken"]):
        assert user.api.patch(f"/albums/{album.id}", json={"sort": bad}).status_code == 422
    assert user.api.patch(f"/albums/{album.id}", json={"name": "x"}).json()["sort"] == "-taken"


def test_pages_by_date_stay_right_while_photos_come_and_go(
    settings: dict[str, str], user: User
) -> None:
    album = Arranged(settings, user, 12)
    album.sort("-taken")
    seen, following = list[int](), None
    lasting = set(album.photos)
    for turn in range(20):
        query = {"limit": 3, **({"cursor": following} if following else {})}
        page = user.api.get(f"/albums/{album.id}", params=query).json()
        seen += [photo["id"] for photo in page["photos"]]
        following = page["next"]
        if following is None:
            break
        gone = seen[-1] if turn % 2 else (lasting - {*seen}).pop()
        body = {"photo_ids": [gone]}
        user.api.request("DELETE", f"/albums/{album.id}/photos", json=body).raise_for_status()
        lasting.discard(gone)
        made = ask(settings, PHOTOS, user.account["id"], album.id, 2)
        album.add([row["id"] for row in made])
    assert len(seen) == len(set(seen)), "nothing twice"
    assert lasting <= set(seen), "nothing left out"


def test_covers(settings: dict[str, str], user: User) -> None:
    empty, album = Arranged(settings, user, 0), Arranged(settings, user, 4)
    a, b, c, d = album.photos
    assert "cover" not in user.api.get("/albums/").json()[0]

    def cover() -> Any:
        listed = user.api.get("/albums/?covers=true").json()
        assert [one["id"] for one in listed] == [album.id, empty.id]
        assert listed[1]["cover"] is None
        page = user.api.get(f"/albums/{album.id}?covers=true&limit=1").json()
        assert page["cover"]["photo_id"] == listed[0]["cover"]["photo_id"]
        assert page["cover_photo_id"] == listed[0]["cover_photo_id"]
        return listed[0]["cover"]["photo_id"], listed[0]["cover_photo_id"]

    assert cover() == (a, None), "null as ever in the contract's field"
    album.move([c], to="start")
    assert cover() == (c, None)
    album.sort("taken")
    assert cover() == (album.shown()[0], None)
    user.api.patch(f"/albums/{album.id}", json={"cover_photo_id": d}).raise_for_status()
    assert cover() == (d, d)
    url = user.api.get("/albums/?covers=true").json()[0]["cover"]["thumbnail_url"]
    assert url
    assert "/t?" in url
    following = user.api.get("/albums/?covers=true&limit=1").links["next"]["url"]
    assert "cover" in user.api.get(str(user.api.base_url.join(following))).json()[0]
    assert b in album.shown()


def test_albums_of_a_photo(settings: dict[str, str], user: User) -> None:
    first, second, other = (Arranged(settings, user, 1) for _ in range(3))
    [photo] = first.photos
    second.add([photo])
    listed = user.api.get(f"/photos/{photo}/albums").json()
    assert [album["id"] for album in listed] == [second.id, first.id]
    assert listed[0] == user.api.get("/albums/").json()[1]
    page = user.api.get(f"/photos/{photo}/albums?limit=1")
    assert [album["id"] for album in page.json()] == [second.id]
    rest = user.api.get(str(user.api.base_url.join(page.links["next"]["url"])))
    assert [album["id"] for album in rest.json()] == [first.id]
    none = user.api.post("/photos/", files={"file": ("a.jpg", jpeg(), "image/jpeg")}).json()["id"]
    assert user.api.get(f"/photos/{none}/albums").json() == []
    assert user.api.get(f"/photos/{10**15}/albums").status_code == 404
    assert user.api.get(f"/photos/{photo}/albums?limit=0").json() == []
    assert user.api.get(f"/photos/{photo}/albums?cursor=x").status_code == 400
    assert other.photos


OLD_ADD = "INSERT INTO album_photos (album_id, photo_id) VALUES ($1, $2)"
OLD_PAGE = """SELECT m.photo_id FROM album_photos m JOIN photos p ON p.id = m.photo_id
WHERE m.album_id = $1 AND m.position > -1 AND p.status = 'ready' ORDER BY m.position"""


def test_the_release_before_beside_it(settings: dict[str, str], user: User) -> None:
    """It adds at the end and shows what was moved; what it adds has its date."""
    album = Arranged(settings, user, 3)
    a, b, c = album.photos
    album.move([c], to="start")
    made = ask(settings, PHOTOS, user.account["id"], album.id, 1)
    ask(settings, OLD_ADD, album.id, made[0]["id"])
    old = [row["photo_id"] for row in ask(settings, OLD_PAGE, album.id)]
    assert old == [c, a, b, made[0]["id"]] == album.shown()
    album.sort("taken")
    assert set(album.shown()) == set(old)
    ask(settings, "UPDATE photos SET date_source = 'user', sort_at = '1950-01-01' WHERE id = $1", b)
    assert album.shown()[0] == b


def test_moves_at_once_over_http(settings: dict[str, str], user: User) -> None:
    album = Arranged(settings, user, 8)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: album.move([one], to="start"), album.photos))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert sorted(album.shown()) == album.photos
