"""When a photo was taken, by what its file tells: `date_of_file` and the triggers that call it."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.own_stage import own_database

Told = tuple[str, int | None, str, list[str]]
NEW_USER = "INSERT INTO users (email, username, password_hash) VALUES ($1, 'u', '') RETURNING id"
UPLOADED = datetime(2026, 7, 1, tzinfo=UTC)
NAMES = {
    "IMG_20240512_153000.jpg": "2024-05-12T15:30:00",
    "IMG_20240512_153000123.jpg": "2024-05-12T15:30:00",
    "IMG20240512153000.jpg": "2024-05-12T15:30:00",
    "20240512153000123.jpg": "2024-05-12T15:30:00",
    "20240512_153000.jpg": "2024-05-12T15:30:00",
    "20240512_153000(0).jpg": "2024-05-12T15:30:00",
    "VID_20240512_153000.jpg": "2024-05-12T15:30:00",
    "MVIMG_20240512_153000.jpg": "2024-05-12T15:30:00",
    "B612_20240512_153000_123.jpg": "2024-05-12T15:30:00",
    "KakaoTalk_20240512_153000123.jpg": "2024-05-12T15:30:00",
    "KakaoTalk_20240512_153000123_01.jpg": "2024-05-12T15:30:00",
    "KakaoTalk_Photo_2024-05-12-15-30-00 001.jpeg": "2024-05-12T15:30:00",
    "Screenshot_20240512-153000.png": "2024-05-12T15:30:00",
    "Screenshot_20240512-153000_Chrome.jpg": "2024-05-12T15:30:00",
    "Screenshot_2024-05-12-15-30-00-123_com.kakao.talk.jpg": "2024-05-12T15:30:00",
    "Screenshot 2024-05-12 at 15.30.00.png": "2024-05-12T15:30:00",
    "Screenshot 2024-05-12 at 3.30.00\u202fPM.png": "2024-05-12T15:30:00",
    "Screenshot 2024-05-12 at 12.30.00 AM.png": "2024-05-12T00:30:00",
    "스크린샷 2024-05-12 오후 3.30.00.png": "2024-05-12T15:30:00",
    "스크린샷 2024-05-12 오전 12.05.09.png": "2024-05-12T00:05:09",
    "스크린샷 2024-05-12 153000.png": "2024-05-12T15:30:00",
    "2024-05-12 15.30.00.jpg": "2024-05-12T15:30:00",
    "2024-05-12 15.30.00-1.jpg": "2024-05-12T15:30:00",
    "photo_2024-05-12_15-30-00.jpg": "2024-05-12T15:30:00",
    "signal-2024-05-12-15-30-00-123.jpg": "2024-05-12T15:30:00",
    "signal-2024-05-12-153000.jpg": "2024-05-12T15:30:00",
    "WhatsApp Image 2024-05-12 at 15.30.00.jpeg": "2024-05-12T15:30:00",
    "IMG-20240512-WA0001.jpg": "2024-05-12T00:00:00",
    "20240512_IMG_1234.jpg": "2024-05-12T00:00:00",
    "20240512.jpg": "2024-05-12T00:00:00",
    "1987-06-05.jpg": "1987-06-05T00:00:00",
    "2024.05.12.jpg": "2024-05-12T00:00:00",
    "IMG_20240512_993000.jpg": "2024-05-12T00:00:00",  # a day, and a number
    "20249912_20240512_153000.jpg": "2024-05-12T15:30:00",
    "IMG_20240229_120000.jpg": "2024-02-29T12:00:00",
}
NO_DATES = (
    "IMG_0042.jpg", "DSC02024.jpg", "photo.jpg", "", ".", "2024.jpg", "202405.jpg",
    "010-2024-0512.jpg", "01020240512.jpg", "+821020240512.jpg", "02-2024-0512.jpg",
    "010 1999 0101.jpg", "1588-2024.jpg", "202405123.jpg", "2024051212.jpg", "20241399.jpg",
    "20230229.jpg", "20240500.jpg", "FB_IMG_1715500000000.jpg", "1715500000.jpg",
    "3f20240512ab9c0d1e2f3a4b5c6d7e8f.jpg", "5b0c7d1e-9f3a-4c2d-2024-051220240512.jpg",
    "00000000_000000.jpg", "99991231.jpg", "2024-05/12.jpg", "2024-05.12.jpg",
)  # fmt: skip
ABSURD = ("IMG_18991231_235959.jpg", "IMG_21070512_153000.jpg", "IMG_20260704_000000.jpg")


@pytest.fixture(scope="module")
def database(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[str]:
    with own_database(stack, environ) as settings:
        yield settings["PHOTO_API_DATABASE_URL"]


@pytest.fixture
async def db(database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database)
    try:
        yield connection
    finally:
        await connection.close()


async def told(db: Any, **facts: Any) -> Told:
    """What `date_of_file` makes of these facts."""
    row = await db.fetchrow(
        "SELECT * FROM date_of_file($1, $2, $3, $4, $5, $6)",
        facts.get("taken_at"), facts.get("taken_from"), facts.get("name", "photo.jpg"),
        facts.get("modified"), facts.get("offset"), facts.get("uploaded", UPLOADED),
    )  # fmt: skip
    return row["sort_at"].isoformat(), row["utc_offset"], row["date_source"], row["passed_over"]


async def test_dates_in_names(db: Any) -> None:
    for name, moment in NAMES.items():
        assert await told(db, name=name) == (moment, None, "filename", []), name
    utc = await told(db, name="PXL_20240512_063000123.MP.jpg")
    assert utc == ("2024-05-12T06:30:00", 0, "filename", []), "Pixel phones write UTC"
    for name in NO_DATES:
        assert await told(db, name=name) == ("2026-07-01T00:00:00", 0, "upload", []), name
    for name in ABSURD:
        assert await told(db, name=name) == ("2026-07-01T00:00:00", 0, "upload", ["filename"]), name


async def test_the_best_source_counts_and_what_cannot_be_is_passed_over_and_told(db: Any) -> None:
    name, modified = "IMG_20240512_153000.jpg", datetime(2023, 1, 2, 3, 4, 5, tzinfo=UTC)
    facts: dict[str, Any] = {"name": name, "modified": modified, "offset": 540}
    exif = facts | {"taken_at": "2022-02-03T04:05:06+09:30", "taken_from": "EXIF DateTimeOriginal"}
    assert await told(db, **exif) == ("2022-02-03T04:05:06", 570, "exif", [])
    for word, source in (
        ("XMP xmp:CreateDate", "xmp"), ("IPTC DateCreated", "iptc"), ("PNG Creation Time", "png"),
        (None, "exif"), ("else", "exif"),
    ):  # fmt: skip
        assert (await told(db, **exif | {"taken_from": word}))[2] == source
    for text, moment, offset in (
        ("2022-02-03", "2022-02-03T00:00:00", None),
        ("2022-02-03T04:05:06", "2022-02-03T04:05:06", None),
        ("2022-02-03T04:05:06Z", "2022-02-03T04:05:06", 0),
        ("2022-02-03T04:05:06-03:30", "2022-02-03T04:05:06", -210),
    ):
        assert await told(db, **exif | {"taken_at": text}) == (moment, offset, "exif", [])
    for text in ("0000-01-01", "1899-12-30T00:00:00", "2107-01-01", "2022-02-30", "2026-07-04", ""):
        passed = ("2024-05-12T15:30:00", None, "filename", ["exif"])
        assert await told(db, **exif | {"taken_at": text}) == passed, text
    plain = facts | {"name": "photo.jpg"}
    assert await told(db, **plain) == ("2023-01-02T12:04:05", 540, "file_modified_at", [])
    assert await told(db, **plain | {"offset": None}) == (
        "2023-01-02T03:04:05", 0, "file_modified_at", [],
    )  # fmt: skip
    for year in (1, 1601, 1970, 1980, 2107, 9999):
        absurd = plain | {"modified": datetime(year, 1, 1, tzinfo=UTC)}
        upload = ("2026-07-01T00:00:00", 0, "upload", ["file_modified_at"])
        assert await told(db, **absurd) == upload, year


async def test_what_stands_in_a_row_is_what_triggers_make_of_its_facts(db: Any) -> None:
    owner = await db.fetchval(NEW_USER, "d@x.org")

    async def dates(change: str = "title = title") -> Told:
        row = await db.fetchrow(
            f"UPDATE photos SET {change} WHERE owner_id = $1 AND status = 'ready'"
            " RETURNING sort_at, utc_offset, date_source, dates_passed_over",
            owner,
        )
        return row[0].isoformat(), row[1], row[2], row[3]

    # As the release before does it, which knows none of the columns.
    await db.execute(
        "INSERT INTO photos (owner_id, album_id, status, original_filename, content_type,"
        " file_size, object_key, created_at)"
        " VALUES ($1, 1, 'ready', 'IMG_20240512_153000.jpg', 'image/jpeg', 1, 'k', $2)",
        owner, UPLOADED,
    )  # fmt: skip
    in_name: Told = ("2024-05-12T15:30:00", None, "filename", [])
    assert await dates() == in_name
    taken = """taken_at = '2020-01-02T03:04:05Z', exif = '{"taken_at_source": "XMP x"}'"""
    assert await dates(taken) == ("2020-01-02T03:04:05", 0, "xmp", [])
    mine = "sort_at = '2019-01-01 10:00', utc_offset = 60, date_source = 'user'"
    word: Told = ("2019-01-01T10:00:00", 60, "user", [])
    assert await dates(mine) == word
    assert await dates("taken_at = NULL, exif = NULL") == word, "the user's word stands"
    assert await dates("date_source = 'file'") == in_name
    assert await dates("original_filename = 'IMG_20990101_000000.jpg'") == (
        "2026-07-01T00:00:00", 0, "upload", ["filename"],
    )  # fmt: skip
    for absurd, first in (("0001-01-01 BC", "1826-01-01T00:00:00"), ("-infinity", "1826-01-01")):
        moved = await dates(f"sort_at = '{absurd}', date_source = 'user'")
        assert moved[0].startswith(first)
        assert moved[2:] == ("user", ["user"]), "moved, and told"
    latest = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=2)
    for absurd in ("2107-05-12", "infinity"):
        moved = await dates(f"sort_at = '{absurd}'")
        assert moved[2:] == ("user", ["user"])
        assert abs(datetime.fromisoformat(moved[0]) - latest) < timedelta(minutes=5)


async def test_photos_that_were_there_get_their_dates_in_batches(db: Any) -> None:
    owner = await db.fetchval(NEW_USER, "b@x.org")
    await db.execute("ALTER TABLE photos DISABLE TRIGGER photos_dated_in")
    await db.execute(
        "INSERT INTO photos (owner_id, album_id, status, original_filename, content_type,"
        " file_size, object_key, sort_at) SELECT $1, 1, CASE WHEN n % 3 = 0 THEN 'pending'"
        " ELSE 'ready' END, format('IMG_2024%s12_153000.jpg', lpad((n % 12 + 1)::text, 2, '0')),"
        " 'image/jpeg', 1, 'b' || n, '2025-01-01' FROM generate_series(1, 4500) n",
        owner,
    )
    await db.execute("ALTER TABLE photos ENABLE TRIGGER photos_dated_in")
    begun = await db.fetchval("SELECT pg_current_xact_id()::text::bigint")
    await db.execute("CALL date_photos()")
    ended = await db.fetchval("SELECT pg_current_xact_id()::text::bigint")
    assert ended - begun >= 3, "one transaction for each batch"
    found = await db.fetchrow(
        "SELECT count(*) AS n, count(DISTINCT sort_at) AS months, min(date_source) AS least,"
        " max(date_source) AS most FROM photos"
        " WHERE owner_id = $1 AND status <> 'gone' AND dates_passed_over = '{}'",
        owner,
    )
    assert tuple(found) == (4500, 12, "filename", "filename")
    before = await db.fetchval("SELECT max(xmin::text::bigint) FROM photos WHERE status <> 'gone'")
    await db.execute("CALL date_photos()")
    after = await db.fetchval("SELECT max(xmin::text::bigint) FROM photos WHERE status <> 'gone'")
    assert before == after, "begun anew it changes none again"


SEPARATED = st.sampled_from(["", "-", "_", ".", " "])


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2026, 7, 2)),
    st.sampled_from(["", "IMG_", "KakaoTalk_", "Screenshot_", "VID-", "스크린샷 ", "a "]),
    st.tuples(SEPARATED, st.sampled_from(["_", "-", " ", "T", " at "]), SEPARATED),
    st.text(st.characters(exclude_categories=["Nd", "Cs"], exclude_characters="\x00"), max_size=9),
)
async def test_whatever_moment_and_name(
    db: Any, moment: datetime, prefix: str, between: tuple[str, str, str], end: str
) -> None:
    day, middle, clock = between
    name = prefix + moment.strftime(f"%Y{day}%m{day}%d{middle}%H{clock}%M{clock}%S") + ";" + end
    found = await told(db, name=name)
    assert found == (moment.replace(microsecond=0).isoformat(), None, "filename", []), name


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.one_of(st.text(max_size=60), st.from_regex(r"[0-9_. -]{0,60}", fullmatch=True)),
    st.one_of(st.none(), st.text(max_size=40), st.from_regex(r"\d{4}-\d\d-\d\dT?.{0,15}")),
    st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))),
)
async def test_nothing_that_can_be_sent_raises_or_is_absurd(
    db: Any, name: str, taken: str | None, modified: datetime | None
) -> None:
    name, taken = name.replace("\x00", ""), taken and taken.replace("\x00", "")
    found = await told(db, name=name, taken_at=taken, modified=modified)
    assert "1900" <= found[0] <= "2026-07-04", "never beyond what can be"
    assert found[1] is None or abs(found[1]) <= 99 * 60 + 99
