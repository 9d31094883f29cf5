"""The group's look at the registry outlives a database that goes away at any moment."""

from typing import Any

import asyncpg
import pytest

from photo_fleet.group.registry_view import Registry


class Interrupted:
    """A connection that ends between two messages of a statement: the real one does so once in
    some restarts of the database."""

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self.terminated = False

    def is_closed(self) -> bool:
        return False

    def terminate(self) -> None:
        self.terminated = True

    async def fetch(self, *_: object) -> Any:
        raise self._error

    fetchval = fetch


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 11; another operation is in progress"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed"),
        ConnectionResetError(),
    ],
)
async def test_a_lost_connection_is_a_database_that_does_not_answer(error: BaseException) -> None:
    registry = Registry(lambda: "postgresql://nobody@127.0.0.1:1/nothing")
    connection = Interrupted(error)
    registry._connection._kept = connection  # type: ignore[assignment]
    assert await registry.look() is None
    assert connection.terminated
