"""What the limit serves: for each path, the statements to send and the answer to give."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

ALIVE_PATH = "/health/live"
CONFIRM_PATH = "/confirm"
STATEMENT_PATH = "/statement"
PRESIGN_PATH = f"{STATEMENT_PATH}/presign"


@dataclass(frozen=True, slots=True)
class Answer:
    """One of our own answers, captured; `headers` without those that a server adds itself."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class OneStatement:
    """A path that sends one of our statements with fixed arguments and gives a fixed answer."""

    query: Callable[..., Awaitable[Any]]
    args: tuple[Any, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The path that finishes uploads: our statements, the store's copy and the read of its head."""

    owner_id: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Plan:
    """Pickled by the benchmark, read by the limit: both are this very program."""

    statements: dict[str, OneStatement]
    confirmation: Confirmation
