"""Ways to photos that have something in common, the last one taken first: SQL put together from a
closed set of fragments, by which filters are given. Every value is a parameter.

Each filter has an index that gives its photos in the order of their dates, so that a page is read
and nothing else. Of several filters the one whose photos are the fewest, or else the farthest
apart, is followed, and the others are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from photo_api.http.fields import MAX_ID
from photo_api.photos.filters import Box, Filters

LOOKED_AT = 200
"""Photos of each filter by which it is told which has the fewest."""

LATEST = datetime(2100, 1, 1)
"""No photo is from later, and until then a distance in seconds tells microseconds apart."""

ORDER = "p.sort_at DESC, p.id DESC"
BEHIND = "(p.sort_at, p.id) < ($2, $3)"


class After(NamedTuple):
    """The last photo of the page before, as its place in the order."""

    sort_at: datetime = LATEST
    id: int = MAX_ID


@dataclass(frozen=True, slots=True)
class Way:
    """A filter as a condition on a photo `p`, and as queries whose photos are in order, and of all
    of which together are those that it lets pass."""

    condition: str
    streams: Sequence[str]


@dataclass(slots=True)
class Statement:
    """A statement that becomes, and its values so far: the owner, the place that the page is
    behind, and its length."""

    filters: Filters
    values: list[object] = field(default_factory=list)
    since: str | None = None
    """The time before which no photo is asked for, as a parameter; each way has to mention it."""

    def add(self, value: object, kind: str) -> str:
        """The value as a parameter of this type."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"

    def ways(self) -> list[Way]:
        """Of the filters but dates and text."""
        asked = self.filters
        found: list[Way] = []
        if asked.taken_from is not None:
            self.since = self.add(asked.taken_from, "timestamp")
        if asked.favourite:
            found.append(self._along("p.favourite"))
        if asked.archived is not None:
            found.append(self._along("p.archived" if asked.archived else "NOT p.archived"))
        if asked.without_renditions:
            found.append(self._along("p.thumbnail_key IS NULL"))
        if asked.camera is not None:
            found.append(self._along(f"p.camera = {self.add(asked.camera, 'text')}"))
        if asked.content_type is not None:
            found.append(self._along(f"p.content_type = {self.add(asked.content_type, 'text')}"))
        if asked.has_place is False:
            found.append(self._along("p.latitude IS NULL"))
        if asked.box is not None or asked.has_place:
            found.append(self._in_box(asked.box))
        if asked.album is not None:
            found.append(self._in_album(asked.album))
        if asked.in_no_album:
            found.append(self._in_no_album())
        return found

    def by_date(self) -> Way:
        """All photos."""
        return self._along("true")

    def in_time(self, name: str) -> str:
        """That a row of this name is none of before the time that is asked for."""
        return f"{name}.sort_at >= {self.since}" if self.since else "true"

    def _along(self, condition: str) -> Way:
        stream = (
            "SELECT p.* FROM photos p WHERE p.owner_id = $1 AND p.status = 'ready'"
            f" AND {BEHIND} AND {self.in_time('p')} AND {condition} ORDER BY {ORDER}"
        )
        return Way(condition, [stream])

    def _in_box(self, box: Box | None) -> Way:
        """By the distance of the dates from the last one: an index of points has the nearest first,
        and owners and dates are points too."""
        owner, moment = "point(p.owner_id::float8, 0)", "point(date_part('epoch', p.sort_at), 0)"
        latest = "point(date_part('epoch', $2::timestamp), 0)"
        earliest = f"date_part('epoch', {self.since})" if self.since else "'-1e12'::float8"
        conditions: list[str] = []
        streams: list[str] = []
        for part in _parts(box):
            west, south, east, north = (self.add(one, "float8") for one in part)
            condition = (
                "p.latitude IS NOT NULL AND point(p.longitude, p.latitude)"
                f" <@ box(point({west}, {south}), point({east}, {north}))"
            )
            conditions.append(f"({condition})")
            streams.append(
                "SELECT p.* FROM photos p WHERE p.owner_id = $1 AND p.status = 'ready'"
                f" AND {BEHIND} AND {condition}"
                f" AND {owner} <@ box(point($1::float8, 0), point($1::float8, 0))"
                f" AND {moment} <@ box(point({earliest}, 0), {latest})"
                f" ORDER BY {moment} <-> {latest}, p.id DESC"
            )
        return Way(f"({' OR '.join(conditions)})", streams)

    def _in_album(self, album_id: int) -> Way:
        album = self.add(album_id, "bigint")
        stream = (
            "SELECT p.* FROM album_photos m, LATERAL ("
            " SELECT p.* FROM photos p WHERE p.id = m.photo_id AND p.owner_id = $1"
            " AND p.status = 'ready' OFFSET 0) p"
            f" WHERE m.album_id = {album} AND (m.sort_at, m.photo_id) < ($2, $3)"
            f" AND {self.in_time('m')} ORDER BY m.sort_at DESC, m.photo_id DESC"
        )
        there = f"m.album_id = {album} AND m.photo_id = p.id"
        return Way(f"(SELECT true FROM album_photos m WHERE {there})", [stream])

    def _in_no_album(self) -> Way:
        condition = "(SELECT true FROM album_photos m WHERE m.photo_id = p.id LIMIT 1) IS NULL"
        stream = (
            "SELECT p.* FROM photos_in_no_album c, LATERAL ("
            " SELECT p.* FROM photos p WHERE p.id = c.photo_id AND p.owner_id = $1"
            f" AND p.status = 'ready' AND {condition} OFFSET 0) p"
            " WHERE c.owner_id = $1 AND (c.sort_at, c.photo_id) < ($2, $3)"
            f" AND {self.in_time('c')} ORDER BY c.sort_at DESC, c.photo_id DESC"
        )
        return Way(condition, [stream])


def _parts(box: Box | None) -> Sequence[Box]:
    if box is None:
        return [Box(-180.0, -90.0, 180.0, 90.0)]
    if box.west <= box.east:
        return [box]
    return [box._replace(east=180.0), box._replace(west=-180.0)]


def driver(ways: Sequence[Way]) -> str:
    """Which way to follow."""
    sizes = " UNION ALL ".join(
        f"SELECT {number} AS way, count(*) AS photos, min(p.sort_at) AS since FROM ({some}) p"
        for number, some in enumerate(first_of(way, LOOKED_AT) for way in ways)
    )
    return (
        "driver AS MATERIALIZED ("
        f"SELECT way FROM ({sizes}) size ORDER BY photos, since, way LIMIT 1)"
    )


def first_of(way: Way, most: int) -> str:
    """The first photos of each stream."""
    return " UNION ALL ".join(f"({stream} LIMIT {most})" for stream in way.streams)


def followed(ways: Sequence[Way], condition: str = "true", most: str = "") -> str:
    """As many photos of the chosen way as a page has, which all others let pass. Of each stream
    `most` are looked at."""
    parts = []
    for number, way in enumerate(ways):
        held = [other.condition for other in ways if other is not way]
        if held:
            held.append(f"(SELECT way FROM driver) = {number}")
        # What OFFSET keeps apart is not looked for by another index.
        parts += [
            f"(SELECT p.* FROM ({stream} {most or 'OFFSET 0'}) p"
            f" WHERE {' AND '.join([condition, *held])} LIMIT $4)"
            for stream in way.streams
        ]
    return " UNION ALL ".join(parts)
