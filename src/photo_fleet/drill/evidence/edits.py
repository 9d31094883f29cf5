"""Whether albums are as they were last acknowledged to be: their names, what is in them and in
which order. Pure.

An edit is replaced by one that began after its answer. One without an answer, or that was tried
more than once, may be carried out at any later time, so it is never known to be replaced. What
stands in the end is one of those that were not.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from photo_fleet.drill.evidence.tables import Tables
from photo_fleet.drill.ledger import Creation, Edit
from photo_fleet.drill.records import Request

EVER = -math.inf


def edits_lost(
    edits: Iterable[Edit],
    creations: Iterable[Creation],
    requests: Iterable[Request],
    tables: Tables,
) -> Iterator[str]:
    """What acknowledged edits of albums promised and the tables do not keep."""
    edits = tuple(edits)
    again = {item.id for item in requests if item.repeats is not None or item.tries > 1}
    late = [replace(item, ended=math.inf) if item.request in again else item for item in edits]
    yield from _names_lost(late, creations, tables)
    yield from _members_lost(late, tables)
    yield from _orders_lost(edits, late, tables)


def _standing(edits: Sequence[Edit]) -> list[Edit]:
    """Those that none has surely replaced."""
    newest = max((item.began for item in edits if item.request is not None), default=EVER)
    return [item for item in edits if item.ended >= newest]


def _names_lost(
    edits: Iterable[Edit], creations: Iterable[Creation], tables: Tables
) -> Iterator[str]:
    named: dict[int, list[Edit]] = defaultdict(list)
    for item in creations:
        if item.what == "album" and item.id is not None:
            first = Edit(item.client, item.id, "name", EVER, item.mark, (), EVER, item.key)
            named[item.id].append(first)
    for edit in edits:
        if edit.what == "name":
            named[edit.album].append(edit)
    for row in tables.albums:
        wanted = {item.text for item in _standing(named[row["id"]])}
        if wanted and row["name"] not in wanted:
            told = " or ".join(sorted(wanted))
            yield f"album {row['id']} was named {told}, and is named {row['name']}"


def _members_lost(edits: Iterable[Edit], tables: Tables) -> Iterator[str]:
    """Photos that are gone have left all albums."""
    ready = {row["id"] for row in tables.photos if row["status"] == "ready"}
    inside = _photos_by_album(tables)
    for (album, photo), items in _by_photo(edits).items():
        if photo in ready:
            outside = Edit("", album, "remove", EVER, "", (photo,), EVER)
            wanted = {item.what for item in _standing([outside, *items])}
            is_inside = photo in inside.get(album, ())
            if ("add" if is_inside else "remove") not in wanted:
                last, now = ("removed", "in it") if is_inside else ("added", "not in it")
                yield f"album {album}: photo {photo} was {last} last, and is {now}"


def _orders_lost(edits: Iterable[Edit], late: Iterable[Edit], tables: Tables) -> Iterator[str]:
    """Photos are put at an album's end, those of one request in its order."""
    known = _by_photo(edits)
    maybe = _by_photo(late)
    for album, photos in _photos_by_album(tables).items():
        placed = {
            photo: edit
            for photo in photos
            if (edit := _came_by(known[album, photo], maybe[album, photo])) is not None
        }
        pairs = combinations([photo for photo in photos if photo in placed], 2)
        for first, second in pairs:
            if _is_before(second, placed[second], first, placed[first]):
                yield f"album {album}: photo {second} was added before {first}, and is behind it"
                break


def _came_by(edits: Sequence[Edit], late: Sequence[Edit]) -> Edit | None:
    """The edit by which a photo came to its place; None when that is not certain."""
    if len(edits) == 1 and edits[0].request is not None and edits[0].what == "add":
        return edits[0]
    came: Edit | None = None
    before = EVER
    for edit in sorted(late, key=lambda item: item.began):
        if math.isinf(edit.ended) or edit.began <= before:
            return None
        before = edit.ended
        if edit.what == "remove":
            came = None
        elif came is None:
            came = edit
    return came


def _is_before(photo: int, edit: Edit, other_photo: int, other: Edit) -> bool:
    if edit is other:
        return edit.photos.index(photo) < edit.photos.index(other_photo)
    return edit.ended < other.began


def _by_photo(edits: Iterable[Edit]) -> dict[tuple[int, int], list[Edit]]:
    found: dict[tuple[int, int], list[Edit]] = defaultdict(list)
    for edit in edits:
        if edit.what != "name":
            for photo in edit.photos:
                found[edit.album, photo].append(edit)
    return found


def _photos_by_album(tables: Tables) -> Mapping[int, Collection[int]]:
    return {row["album_id"]: row["photos"] for row in tables.members}
