"""Keyset pagination: cursors are exact, and pages stay right while rows come and go."""

from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photo_api.errors import ApiError, Code
from photo_api.http.cursors import (
    MAX_POSITION,
    decode_cursor,
    decode_moment,
    encode_cursor,
    encode_moment,
)
from tests.service import Service, User


@given(st.integers(0, MAX_POSITION))
def test_a_cursor_gives_its_position_back(position: int) -> None:
    assert decode_cursor(encode_cursor(position)) == position


@given(st.datetimes(), st.integers(0, MAX_POSITION))
def test_so_does_one_of_a_moment_and_an_id(moment: datetime, number: int) -> None:
    assert decode_moment(encode_moment(moment, number)) == (moment, number)


@given(st.text(max_size=64))
def test_nothing_else_is_a_cursor(text: str) -> None:
    """Either refused with the one error, or exactly what would have been given out."""
    with suppress(ApiError):
        assert encode_cursor(decode_cursor(text)) == text
        return
    with pytest.raises(ApiError) as refused:
        decode_cursor(text)
    assert refused.value.code is Code.BAD_REQUEST


@given(st.one_of(st.text(max_size=64), st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True)))
def test_nothing_else_is_one_of_a_moment(text: str) -> None:
    with suppress(ApiError):
        assert encode_moment(*decode_moment(text)) == text
        return
    with pytest.raises(ApiError) as refused:
        decode_moment(text)
    assert refused.value.code is Code.BAD_REQUEST


class Lists:
    """Walks a list page by page."""

    def __init__(self, user: User) -> None:
        self.user = user

    def page(self, query: str) -> tuple[list[int], str | None]:
        answer = self.user.api.get(query)
        ids = [album["id"] for album in answer.raise_for_status().json()]
        following = answer.links.get("next", {}).get("url")
        return ids, str(self.user.api.base_url.join(following)) if following else None


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    total=st.integers(0, 9),
    limit=st.integers(1, 4),
    changes=st.lists(st.sampled_from(["add", "delete shown", "delete ahead"]), max_size=4),
)
def test_pages_show_every_lasting_album_once(
    service: Service, total: int, limit: int, changes: list[str]
) -> None:
    with service.new_user() as user:
        ids = [user.album()["id"] for _ in range(total)][::-1]
        deleted: set[int] = set()
        seen: list[int] = []
        lists, pending = Lists(user), list(changes)
        following: str | None = f"/albums/?limit={limit}"
        while following:
            page, following = lists.page(following)
            seen += page
            if pending:
                deleted |= _change(user, pending.pop(), seen, ids)
    assert len(seen) == len(set(seen)), "nothing twice"
    assert seen == sorted(seen, reverse=True)
    assert set(ids) - deleted <= set(seen), "nothing left out"


def _change(user: User, change: str, seen: list[int], ids: list[int]) -> set[int]:
    if change == "add":
        user.album()
        return set()
    pool = seen if change == "delete shown" else [number for number in ids if number not in seen]
    if not pool:
        return set()
    user.api.delete(f"/albums/{pool[-1]}")
    return {pool[-1]}
