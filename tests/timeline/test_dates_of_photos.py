"""Dates over HTTP: told at the upload, shown, set and given back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.service import User, jpeg, put

Date = tuple[Any, ...]
DATE = ("sort_at", "utc_offset", "date_source", "dates_passed_over")


def date_of(photo: dict[str, Any]) -> Date:
    return tuple(photo[name] for name in DATE)


def test_a_date_is_told_at_the_upload_and_changed_by_the_user(alice: User, bob: User) -> None:
    album, data = alice.album()["id"], jpeg()
    modified = "2023-01-02T03:04:05.678+09:00"
    through = alice.upload(album_id=album, file_modified_at=modified)["id"]
    presigned = alice.presign(album, data, file_modified_at=modified)
    put(presigned, data).raise_for_status()
    direct = alice.confirm(presigned["photo_id"]).raise_for_status().json()["photo_id"]
    for photo_id in (through, direct):
        photo = alice.photo(photo_id)
        told: Date = ("2023-01-02T03:04:05.678000", 540, "file_modified_at", [])
        assert date_of(photo) == told
        assert photo["file_modified_at"] == "2023-01-01T18:04:05.678000Z"
    absurd = alice.upload(album_id=album, file_modified_at="2107-01-01T00:00:00Z")["id"]
    assert date_of(alice.photo(absurd))[2:] == ("upload", ["file_modified_at"])

    def patched(**change: Any) -> Date:
        answer = alice.api.patch(f"/photos/{direct}", json=change).raise_for_status().json()
        assert date_of(answer) == date_of(alice.photo(direct))
        return date_of(answer)

    assert patched(title="x") == told, "nothing said, nothing changed"
    word: Date = ("2020-05-06T07:08:09", 540, "user", [])
    assert patched(sort_at="2020-05-06T07:08:09") == word
    assert patched(utc_offset=-210) == ("2020-05-06T07:08:09", -210, "user", [])
    with_offset: Date = ("2020-05-06T07:08:09", 60, "user", [])
    assert patched(sort_at="2020-05-06T07:08:09+01:00") == with_offset
    assert patched(title=None, sort_at=None, utc_offset=None, date_source=None) == with_offset
    assert patched(sort_at="1799-01-01T00:00:00") == (
        "1826-01-01T00:00:00", 60, "user", ["user"],
    )  # fmt: skip
    moved, *rest = patched(sort_at="2107-01-01T00:00:00")
    assert rest == [60, "user", ["user"]]
    ahead = datetime.fromisoformat(moved) - datetime.now(UTC).replace(tzinfo=None)
    assert timedelta(days=1) < ahead < timedelta(days=3)
    assert patched(date_source="file") == told
    assert bob.api.patch(f"/photos/{direct}", json={"utc_offset": 0}).status_code == 404


def test_dates_of_many_are_set_shifted_and_given_back(alice: User, bob: User) -> None:
    album = alice.album()["id"]
    names = ("IMG_20240512_153000.jpg", "IMG_20240229_235959.jpg", "IMG_18270101_000000.jpg")
    ids = [alice.upload(album_id=album, filename=name)["id"] for name in names]
    foreign, pending = bob.upload()["id"], alice.presign(album, b"x")["photo_id"]

    def changed(photo_ids: list[int], **change: Any) -> list[str]:
        body = {"operation": "date", "photo_ids": photo_ids, **change}
        answer = alice.api.post("/photos/bulk", json=body).raise_for_status().json()
        assert [one["id"] for one in answer["results"]] == photo_ids
        statuses = [one["status"] for one in answer["results"]]
        assert answer["changed"] == sum(status in ("done", "clamped") for status in statuses)
        return statuses

    def dates() -> list[Date]:
        return [date_of(alice.photo(photo_id)) for photo_id in ids]

    before = dates()
    assert changed([ids[1], foreign, ids[0], pending, 2**70], shift_seconds=3600) == [
        "done", "not_found", "done", "not_found", "not_found",
    ]  # fmt: skip
    assert dates()[:2] == [
        ("2024-05-12T16:30:00", None, "user", []), ("2024-03-01T00:59:59", None, "user", []),
    ]  # fmt: skip
    assert changed(ids[:2], shift_seconds=-28_800, utc_offset=60) == ["done", "done"]
    assert dates()[0] == ("2024-05-12T08:30:00", 60, "user", [])
    assert changed(ids[:1], utc_offset=60) == ["unchanged"]
    assert changed(ids, sort_at="2020-01-01T00:00:00-03:30") == ["done"] * 3
    assert dates() == [("2020-01-01T00:00:00", -210, "user", [])] * 3
    assert changed(ids[:1], shift_seconds=-300 * 366 * 86_400) == ["clamped"]
    assert dates()[0] == ("1826-01-01T00:00:00", -210, "user", ["user"])
    assert changed(ids, date_source="file") == ["done"] * 3
    assert dates() == before
    for wrong in (
        {}, {"shift_seconds": 10**12}, {"shift_seconds": 1.5}, {"sort_at": "x"},
        {"shift_seconds": 1, "sort_at": "2020-01-01T00:00:00"},
        {"shift_seconds": 1, "date_source": "file"}, {"utc_offset": 1, "date_source": "file"},
    ):  # fmt: skip
        body = {"operation": "date", "photo_ids": ids, **wrong}
        assert alice.api.post("/photos/bulk", json=body).status_code == 422, wrong
    assert dates() == before


@pytest.mark.parametrize(
    "change",
    [
        {"sort_at": "2020-05-06"},
        {"sort_at": "0000-05-06T07:08:09"},
        {"sort_at": "0001-01-01T00:00:00+14:00"},
        {"sort_at": "1588748889"},
        {"sort_at": 1588748889},
        {"sort_at": "2020-02-30T07:08:09"},
        {"utc_offset": 841},
        {"utc_offset": "60"},
        {"date_source": "user"},
        {"date_source": "file", "utc_offset": 0},
        {"date_source": "file", "sort_at": "2020-05-06T07:08:09"},
    ],
)
def test_what_is_no_date_is_refused(alice: User, change: dict[str, Any]) -> None:
    assert alice.api.patch("/photos/1", json=change).status_code == 422


def test_a_file_that_was_changed_at_no_moment_is_refused(alice: User) -> None:
    album = alice.album()["id"]
    for wrong in ("2023-01-02T03:04:05", "yesterday", "9999-12-31T23:59:59-14:00"):
        assert alice.post_photo(album_id=album, file_modified_at=wrong).status_code == 422
        body = {"album_id": album, "filename": "x.jpg", "content_type": "image/jpeg"}
        body |= {"file_size": 1, "file_modified_at": wrong}
        assert alice.api.post("/photos/presigned-url", json=body).status_code == 422
