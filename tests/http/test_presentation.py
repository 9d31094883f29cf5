"""Photos of lists: others have their turn while many are made, and what is looked at again and
again stays, whoever goes through everything else once."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from photo_api.delivery.s3 import S3UrlSigner
from photo_api.http.json import encode
from photo_api.http.pages import PAGE_BYTES
from photo_api.photos.kept_pages import KEPT_SECONDS, REMEMBERED, KeptPages
from photo_api.photos.presentation import AT_ONCE, PhotoPresenter
from photo_api.storage.credentials import StaticCredentials
from tests.delivery.test_s3 import Clock

NOW = datetime(2026, 11, 27, tzinfo=UTC)


class Counting(S3UrlSigner):
    """Tells how many photos it was asked for."""

    def __init__(self) -> None:
        super().__init__("http://s3", "b", "r", StaticCredentials("k", "s"), 3600, Clock())
        self.asked = 0

    def urls(self, files: Iterable[tuple[str | None, str]]) -> list[str | None]:
        made = super().urls(files)
        self.asked += len(made) // 2
        return made


def row(number: int, title: str = "") -> tuple[Any, ...]:
    described = number, 1, title, None, "a.jpg", "image/jpeg", 1, NOW, NOW, 4, 3, None, None
    return (*described, "ready", None, f"photos/1/{number}.jpg", f"{number}-t", f"{number}-p")


def rows(numbers: Iterable[int]) -> list[tuple[Any, ...]]:
    return [row(number) for number in numbers]


class Looked(list[Any]):
    """Tells how far somebody has come who goes through it."""

    at = 0

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            self.at = min(place.stop, len(self))
        return super().__getitem__(place)


async def longest_run(presenter: PhotoPresenter, page: list[Any], at_once: int) -> int:
    """The most rows that are looked at without a turn for others."""
    looked, runs = Looked(page), []
    made = asyncio.create_task(presenter.page(looked))
    while not made.done():
        before = looked.at
        await asyncio.sleep(0)
        runs.append(looked.at - before)
    assert len(await made) == len(page) >= 2 * at_once
    return max(runs)


@pytest.mark.parametrize("streamed", [False, True])
async def test_others_have_their_turn_while_a_long_page_is_made(streamed: bool) -> None:
    reader = None if streamed else Counting()
    at_once = reader.at_once // 2 if reader else AT_ONCE
    assert await longest_run(PhotoPresenter(reader), rows(range(1000)), at_once) == at_once


async def test_a_signer_that_takes_longer_gives_more_turns() -> None:
    reader = Counting()
    reader.at_once = 16
    assert await longest_run(PhotoPresenter(reader), rows(range(100)), 8) == 8


async def test_what_is_looked_at_again_and_again_survives_who_looks_at_everything_once() -> None:
    reader = Counting()
    presenter = PhotoPresenter(reader)
    favourites = rows(range(20))
    pages = [await presenter.page(favourites) for _ in range(3)]
    assert reader.asked == 40, "made at the first and at the second sight"
    for number in range(100, REMEMBERED + 1000, 100):
        await presenter.page(rows(range(number, number + 100)))
    reader.asked = 0
    assert encode((await presenter.page(favourites)).json) == encode(pages[0].json)
    assert reader.asked == 0


async def test_a_page_is_remembered_while_less_is_shown_than_can_be_kept() -> None:
    reader = Counting()
    presenter = PhotoPresenter(reader)

    async def made_thrice(first: int, others: int) -> int:
        await presenter.page(rows(range(first, first + 100)))
        for number in range(100_000 * first, 100_000 * first + others, 100):
            await presenter.page(rows(range(number, number + 100)))
        reader.asked = 0
        for _ in range(2):
            await presenter.page(rows(range(first, first + 100)))
        return reader.asked

    assert await made_thrice(1, REMEMBERED // 2) == 100, "kept at the second sight"
    assert await made_thrice(500, REMEMBERED) == 200, "seen for the first time again"


async def test_a_change_is_shown_at_once_and_all_is_presented_anew_after_a_while() -> None:
    reader, clock = Counting(), Clock()
    presenter = PhotoPresenter(reader, clock)
    for _ in range(3):
        await presenter.page(rows([1]))
    for title in ("one", "two", "two"):
        shown = await presenter.page([row(1, title)])
        assert f'"title":"{title}"'.encode() in encode(shown.json)
    assert reader.asked == 4, "of which the first was not kept"
    for numbers in ([2, 3, 5], [2, 3, 5], [2, 4, 5]):
        page = await presenter.page(rows(numbers))
    anew = await PhotoPresenter(Counting()).page(rows([2, 4, 5]))
    assert encode(page.json) == encode(anew.json)
    reader.asked = 4
    clock.now += KEPT_SECONDS + 1
    for _ in range(2):
        await presenter.page([row(1, "two")])
    assert reader.asked == 5


async def test_a_page_that_is_given_up_leaves_what_the_next_one_needs() -> None:
    presenter, page = PhotoPresenter(Counting()), rows(range(1000))
    for _ in range(3):
        given_up = asyncio.create_task(presenter.page(page))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
    unhindered = await PhotoPresenter(Counting()).page(page)
    assert encode((await presenter.page(page)).json) == encode(unhindered.json)


@pytest.mark.parametrize("at_once", [7, 50, 400])
async def test_a_page_ends_before_the_entry_that_does_not_fit(at_once: int) -> None:
    for sizes in ([10] * 120, [PAGE_BYTES // 60] * 120, [PAGE_BYTES + 9, 1], [PAGE_BYTES - 2, 1]):
        entries = ["x" * size for size in sizes]
        page = await KeptPages().page("key", entries, list, at_once)
        fitting, room = list[str](), PAGE_BYTES
        for entry in entries:
            room -= len(entry) + 2
            if room < 0 and fitting:
                break
            fitting.append(entry)
        assert len(page) == len(fitting)
        assert encode(page.json) == encode(fitting)
