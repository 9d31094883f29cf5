"""Lists of photos by what they have in common, and by text, over HTTP."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import pytest

from tests.own_stage import ask, own_database
from tests.service import User, jpeg

MADE = """
INSERT INTO photos (owner_id, status, title, description, original_filename, content_type,
    file_size, object_key, renditions, thumbnail_key, taken_at, favourite, archived, exif)
SELECT $1, 'ready', title, description, name, 'image/' || type, 1, gen_random_uuid(), 'ready',
    thumbnail, taken_at, favourite, archived, exif
FROM jsonb_to_recordset($2::jsonb) AS one (title text, description text, name text, type text,
    thumbnail text, taken_at text, favourite boolean, archived boolean, exif jsonb) RETURNING id
"""
PLAIN = {
    "name": "x.jpg", "type": "jpeg", "thumbnail": "t", "favourite": False, "archived": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


def photos(settings: dict[str, str], user: User, *made: dict[str, Any]) -> list[int]:
    """Photos of these, as the release before would write them, the first one taken last."""
    rows = [
        PLAIN | {"taken_at": f"2020-01-{28 - number:02}T12:00:00"} | one
        for number, one in enumerate(made)
    ]
    return [row["id"] for row in ask(settings, MADE, user.account["id"], json.dumps(rows))]


def found(user: User, **asked: Any) -> list[int]:
    """Ids over all pages of two, as each leads to the next."""
    ids: list[int] = []
    page = user.api.get("/photos/", params={"limit": 2, **asked})
    while True:
        ids += [photo["id"] for photo in page.raise_for_status().json()]
        if "next" not in page.links:
            return ids
        page = user.api.get(page.links["next"]["url"].removeprefix("/api"))


def at(latitude: float, longitude: float, camera: str | None = None) -> dict[str, Any]:
    return {"exif": {"latitude": latitude, "longitude": longitude, "camera": camera}}


def test_each_filter_gives_what_it_says_in_the_order_of_dates(
    settings: dict[str, str], user: User
) -> None:
    album = user.album()["id"]
    ids = photos(
        settings,
        user,
        at(37.55, 127.0, "Canon EOS R6") | {"favourite": True},
        at(-17.8, 177.9, "Canon EOS R6"),  # Fiji
        at(-13.8, -171.8) | {"archived": True},  # Samoa, beyond the date line
        {"exif": {"camera": "Pixel 8", "latitude": 91, "longitude": 0}, "type": "heic"},
        {"exif": {"camera": "\u0000"[:0], "latitude": "37", "longitude": "127"}, "thumbnail": None},
        {"type": "png"},
    )
    user.api.post(f"/albums/{album}/photos", json={"photo_ids": ids[1:4]}).raise_for_status()

    def these(*numbers: int, **asked: Any) -> None:
        assert found(user, **asked) == [ids[number] for number in numbers], asked

    these(0, 1, 2, 3, 4, 5, order="taken")
    these(1, 2, 3, taken_from="2020-01-25", taken_before="2020-01-27T12:00:01")
    these(2, 3, taken_from="2020-01-25T12:00:00", taken_before="2020-01-27T12:00")
    these(0, 1, camera="Canon EOS R6")
    these(camera="Canon")
    these(0, favourite="true")
    these(2, archived="true")
    these(0, 1, 3, 4, 5, archived="false")
    these(0, 1, 2, has_place="true")
    these(3, 4, 5, has_place="false")
    these(0, bbox="126,37,128,38")
    these(1, 2, bbox="170,-20,-170,-10")
    these(1, bbox="170,-20,180,-10")
    these(0, 1, 2, bbox="-180,-90,180,90")
    these(1, 2, 3, album=album)
    these(2, 3, album=album, taken_before="2020-01-27")
    these(0, 4, 5, album="none")
    these(3, type="heic")
    these(5, type="png")
    these(4, missing="renditions")
    these(0, camera="Canon EOS R6", favourite="true")
    these(1, camera="Canon EOS R6", album=album, bbox="170,-20,-170,-10")
    these(5, album="none", has_place="false", type="png", archived="false")
    these(1, q="eos r6", album=album)
    these(favourite="true", archived="true")
    these(taken_from="2030-01-01", camera="Canon EOS R6")
    asked = {
        "taken_from": "2020-01-25", "taken_before": "2020-01-28", "q": "r6", "type": "jpeg",
        "camera": "Canon EOS R6", "favourite": "true", "archived": "false", "has_place": "true",
        "bbox": "170,-20,-170,-10", "album": str(album), "missing": "renditions",
    }  # fmt: skip
    alone = {one: found(user, **{one: value}) for one, value in asked.items()}
    for one, other in combinations(asked, 2):
        both = found(user, limit=100, **{name: asked[name] for name in (one, other)})
        assert both == [id_ for id_ in alone[one] if id_ in alone[other]], (one, other)
    assert user.api.get("/photos/facets").json() == {
        "cameras": ["Canon EOS R6", "Pixel 8"],
        "types": ["jpeg", "png", "heic"],
    }
    detail = user.photo(ids[0])
    assert (detail["camera"], detail["latitude"], detail["longitude"]) == (
        "Canon EOS R6", 37.55, 127.0,
    )  # fmt: skip


KOREAN = "서울에서"


def test_text_is_found_wherever_it_is_written(settings: dict[str, str], user: User) -> None:
    ids = photos(
        settings,
        user,
        {"title": KOREAN},
        {
            "title": unicodedata.normalize("NFD", "서울대공원소풍"),
            "name": "KakaoTalk_20240512_1.jpg",
        },
        {"description": "Été à GENÈVE, 100 % Straße_x", "exif": {"camera": "ＣＡＮＯＮ R6"}},
        {"title": "K3 🏔️", "name": "IMG_20240512_1.JPG"},
        {"title": "k35 東京タワー", "description": "a" * 2000 + " zebra"},
        {"title": None, "description": "Привет ΟΔΟΣ"},
    )

    def these(q: str, *numbers: int) -> None:
        assert found(user, q=q) == [ids[number] for number in numbers], q
        decomposed = unicodedata.normalize("NFD", q)
        assert found(user, q=decomposed) == [ids[number] for number in numbers], q

    these("서울", 0, 1)
    these("서", 0, 1)
    these("대공원", 1)
    these("소풍 서울", 1)
    these("원서")
    these("20240512", 1, 3)
    these("img_2024", 3)
    these("_20240512_1.jpg", 1, 3)
    these("genève", 2)
    these("ÉTÉ", 2)
    these("canon r6", 2)
    these("100 %", 2)
    these("STRASSE_", 2)
    these("straße\\")
    these("k3", 3)  # and not K35: a short word is a whole one
    these("🏔", 3)
    these("東京", 4)
    these("タワ", 4)
    these("zebra")
    these("οδοσ привет", 5)
    changed = user.api.patch(f"/photos/{ids[5]}", json={"title": "한라산", "description": ""})
    changed.raise_for_status()
    these("한라산", 5)
    these("привет")
    ask(settings, "UPDATE photos SET title = '봉화' WHERE id = $1", ids[0])  # the release before
    these("봉화", 0)
    user.api.delete(f"/photos/{ids[0]}").raise_for_status()
    these("봉화")
    assert ask(settings, "SELECT FROM photo_search WHERE photo_id = $1", ids[0]) == []


def test_what_belongs_to_others_is_not_found(
    settings: dict[str, str], user: User, own_service: Any
) -> None:
    with own_service.new_user() as other:
        foreign = other.album()["id"]
        ids = photos(settings, other, at(37.5, 127, "Leica M11") | {"title": KOREAN})
        other.api.post(f"/albums/{foreign}/photos", json={"photo_ids": ids}).raise_for_status()
        for asked in ({"q": "서울"}, {"camera": "Leica M11"}, {"bbox": "-180,-90,180,90"}):
            assert found(other, **asked) == ids
            assert found(user, **asked) == []
        assert user.api.get("/photos/", params={"album": foreign}).status_code == 404
        assert user.api.get("/photos/facets").json() == {"cameras": [], "types": []}
        page = other.api.get("/photos/", params={"order": "taken", "limit": 1})
        target = page.links["next"]["url"].removeprefix("/api")
        assert user.api.get(target).json() == [], "a cursor is a place, and no right"


WRONG: Sequence[dict[str, str]] = (
    {"order": "upload"},
    {"taken_from": "2020-02-30"},
    {"taken_before": "2020-01-01T00:00:00Z"},
    {"taken_before": "yesterday"},
    {"bbox": "1,2,3"},
    {"bbox": "0,10,1,5"},
    {"bbox": "0,0,181,1"},
    {"bbox": "nan,0,1,1"},
    {"album": "0"},
    {"album": "mine"},
    {"type": "raw"},
    {"favourite": "false"},
    {"missing": "exif"},
    {"q": "-- %"},
    {"q": ""},
    {"q": "x" * 201},
    {"q": "a\x00b"},
    {"camera": "a\x00b"},
    {"order": "taken", "skip": "1"},
)


def test_what_makes_no_sense_is_refused(user: User) -> None:
    for asked in WRONG:
        answer = user.api.get("/photos/", params=asked)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error"), asked


def test_a_cursor_belongs_to_its_order(user: User) -> None:
    album = user.album()["id"]
    for _ in range(2):
        user.upload(jpeg(), album)
    plain = user.api.get("/photos/", params={"limit": 1}).links["next"]["url"]
    taken = user.api.get("/photos/", params={"limit": 1, "order": "taken"}).links["next"]["url"]
    for target in (
        f"{plain}&order=taken",
        taken.replace("order=taken", "x=y"),
        f"{taken}&cursor=A",
    ):
        assert user.api.get(target.removeprefix("/api")).status_code == 400
    assert user.api.get("/photos/", params={"limit": 0, "order": "taken"}).json() == []
