"""Who in the service sends statements: by its sources, and by what comes through a connection."""

import ast
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import photo_api

SOURCES = Path(photo_api.__file__).parent
WAYS = {"fetch", "fetchrow", "fetchval", "execute", "executemany", "cursor", "prepare"}


@dataclass
class Seen:
    """Stands for a connection: has each statement looked at by `look`, then carried out."""

    connection: Any
    look: Callable[[str, tuple[object, ...]], Awaitable[None]]
    senders: set[str] = field(default_factory=set)
    """Functions of the service that have sent one, as `senders_in_sources` names them."""

    async def _do(self, way: str, query: str, *args: object, **_: Any) -> Any:
        self.senders |= _named_above(sys._getframe(1))
        await self.look(query, args)
        return await getattr(self.connection, way)(query, *args)

    async def fetch(self, query: str, *args: object, **more: Any) -> Any:
        return await self._do("fetch", query, *args, **more)

    async def fetchrow(self, query: str, *args: object, **more: Any) -> Any:
        return await self._do("fetchrow", query, *args, **more)

    async def fetchval(self, query: str, *args: object, **more: Any) -> Any:
        return await self._do("fetchval", query, *args, **more)

    async def execute(self, query: str, *args: object, **more: Any) -> Any:
        return await self._do("execute", query, *args, **more)


def _named_above(frame: FrameType | None) -> set[str]:
    """The service's functions on the stack."""
    found = set()
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(SOURCES):
            found.add(f"{path.relative_to(SOURCES)} {frame.f_code.co_qualname}")
        frame = frame.f_back
    return found


def senders_in_sources() -> set[str]:
    """Each function of the service that has a method of a connection called."""
    found = set()
    for path in SOURCES.rglob("*.py"):
        found |= {
            f"{path.relative_to(SOURCES)} {'.'.join(name)}"
            for name in _senders(ast.parse(path.read_text()), ())
        }
    return found


def _senders(node: ast.AST, name: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _senders(child, (*name, child.name))
            continue
        if isinstance(child, ast.Attribute) and child.attr in WAYS:
            yield name
        yield from _senders(child, name)
