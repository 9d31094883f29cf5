"""A page of a list ends at 4 MB, whatever its entries hold, and the rest follows by the cursor."""

import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from photo_api.delivery.s3 import S3UrlSigner
from photo_api.photos.presentation import WIDTH, PhotoPresenter
from photo_api.storage.credentials import StaticCredentials
from tests.own_stage import ask
from tests.service import Service, User

MOST = 4 * 1024 * 1024
MB = 1024 * 1024
# Six bytes of JSON for each character, and four in PostgreSQL.
ESCAPED, WIDE = "\x01" * 10_000, "\N{CAMERA}" * 10_000
PHOTOS = 200

ADD = """
WITH new AS (
    INSERT INTO photos (owner_id, status, album_id, description, original_filename, content_type,
                        file_size, object_key, renditions)
    SELECT $1, 'ready', $2, (ARRAY[$3, $4])[1 + n % 2], 'a.jpg', 'image/jpeg', 1,
           'tests/' || gen_random_uuid() || '.jpg', 'failed'
    FROM generate_series(1, $5) AS n RETURNING id
)
INSERT INTO album_photos (album_id, photo_id) SELECT $2, id FROM new ORDER BY id
"""


class Hostile:
    """Somebody whose album holds the longest descriptions there can be."""

    def __init__(self, user: User, database: str) -> None:
        self.user = user
        self.api = user.api
        self.album = user.album()["id"]
        owner = user.account["id"]
        self.settings = {"PHOTO_API_DATABASE_URL": database}
        ask(self.settings, ADD, owner, self.album, ESCAPED, WIDE, PHOTOS)

    def linked(self, first: str) -> Iterator[list[Any]]:
        """The pages that Link headers lead to."""
        following: str | None = first
        while following is not None:
            answer = self._small(following)
            yield answer.json()
            following = answer.links["next"]["url"] if "next" in answer.links else None
            following = following and following.removeprefix("/api")

    def followed(self, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The pages that `next` leads to."""
        while True:
            page = self._small(path, **parameters).json()
            yield page
            if page["next"] is None:
                return
            parameters["cursor"] = page["next"]

    def _small(self, path: str, **parameters: Any) -> httpx.Response:
        answer = self.api.get(path, params=parameters or None)
        assert answer.status_code == 200, answer.text[:300]
        assert len(answer.content) <= MOST
        return answer


@pytest.fixture(scope="module")
def hostile(service: Service, environ: dict[str, str]) -> Iterator[Hostile]:
    with service.new_user() as user:
        yield Hostile(user, environ["PHOTO_API_DATABASE_URL"])


def test_photos(hostile: Hostile) -> None:
    pages = list(hostile.linked("/photos/?limit=100"))
    ids = [photo["id"] for page in pages for photo in page]
    assert (len(ids), ids) == (PHOTOS, sorted(set(ids), reverse=True))
    assert len(pages) > 2


@pytest.mark.parametrize("shared", [False, True])
def test_an_albums_photos(hostile: Hostile, shared: bool) -> None:
    path = f"/albums/{hostile.album}"
    if shared:
        path = "/share/" + hostile.api.post(f"{path}/share").raise_for_status().json()["token"]
    pages = list(hostile.followed(path))
    ids = [photo["id"] for page in pages for photo in page["photos"]]
    assert (len(ids), ids) == (PHOTOS, sorted(set(ids)))
    assert len(pages) < 5, "a page is filled"
    [page] = [hostile.api.get(path, params={"skip": PHOTOS - 2}).json()["photos"]]
    assert [photo["id"] for photo in page] == ids[-2:], "what is skipped does not count"
    assert page[0]["description"] in (ESCAPED, WIDE)


def test_albums(hostile: Hostile) -> None:
    made = ask(
        hostile.settings,
        "INSERT INTO albums (owner_id, name, description)"
        " SELECT $1, $2, $3 FROM generate_series(1, 75) RETURNING id",
        hostile.user.account["id"], "\x01" * 254 + "a", ESCAPED,
    )  # fmt: skip
    pages = list(hostile.linked("/albums/?limit=100"))
    ids = [album["id"] for page in pages for album in page]
    assert ids == [*sorted((row["id"] for row in made), reverse=True), hostile.album]
    assert len(pages) == 2


async def test_what_was_presented_is_kept_within_a_bound() -> None:
    signer = S3UrlSigner("http://s3", "b", "r", StaticCredentials("k", "s"), 60)
    presenter = PhotoPresenter(signer)
    before = resident()
    for number in range(2000):
        now = datetime.now(UTC)
        row: list[Any] = [None] * WIDTH
        row[0], row[2:5] = number, [uuid4().hex, WIDE + str(number), "\N{CAMERA}" * 255]
        row[7:9] = now, now
        row[15:18] = "a/b.jpg", f"{number}-t", f"{number}-p"
        for _ in range(2):
            await presenter.page([row])
    assert resident() - before < 80 * MB, "they have 240 MB"


def resident() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
