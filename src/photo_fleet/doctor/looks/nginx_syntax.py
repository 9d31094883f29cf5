"""nginx's configuration language: a text becomes a tree of directives.

As `ngx_conf_read_token` of nginx reads it, and Lua blocks as the Lua module does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

DEEPEST = 20
"""Blocks within blocks."""

_TOKEN = re.compile(
    r"""\s+ | (?P<comment>\#[^\n]*) | (?P<mark>[;{}])
    | "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)'
    | (?P<word>(?!["'])(?:\$\{|\\.|[^\s;{\\])+)""",
    re.VERBOSE | re.DOTALL,
)
_LUA = re.compile(
    r"""--\[(?P<comment>=*)\[.*?\](?P=comment)\] | (?P<endless>--\[=*\[) | --[^\n]*
    | \[(?P<text>=*)\[.*?\](?P=text)\]
    | "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | (?P<open>\[=*\[|["']) | (?P<brace>[{}])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"""\\(["'\\])""")


class SyntaxProblem(Exception):
    """nginx would not read this; the text says where it stops."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive, where it stands, and what is in its block; `block` is None without one. What
    an `include` names stands in its place. The only argument of a Lua block is its code."""

    name: str
    args: tuple[str, ...]
    file: str
    line: int
    block: "tuple[Directive, ...] | None" = None

    @property
    def place(self) -> str:
        """File and line, for people."""
        return f"{self.file}:{self.line}"

    @property
    def first(self) -> str:
        """Its first argument; "" without any."""
        return self.args[0] if self.args else ""

    def inner(self, name: str) -> "Iterator[Directive]":
        """Those of this name directly in its block."""
        return (one for one in self.block or () if one.name == name)


def parsed(text: str, file: str) -> tuple[Directive, ...]:
    """The directives of a file. Raises `SyntaxProblem`."""
    tokens = _Tokens(text, file)
    found = _block(tokens, 0)
    if not tokens.at_end:
        raise tokens.problem('"}" without a block')
    return found


class _Tokens:
    """Words and marks, one after the other."""

    def __init__(self, text: str, file: str) -> None:
        self._text, self.file = text, file
        self._position, self._counted, self._line = 0, 0, 1
        self.at_end = False

    @property
    def line(self) -> int:
        """Of what was taken last."""
        return self._line

    def take(self) -> tuple[str, bool] | None:
        """The next one, and whether it is a mark; None at the end."""
        while self._position < len(self._text):
            found = _TOKEN.match(self._text, self._position)
            if not found:
                raise self.problem("a quote without its end")
            start, self._position = self._position, found.end()
            kind = found.lastgroup
            if kind in (None, "comment"):
                continue
            self._count(start)
            token = found[kind or 0]
            return (token if kind == "mark" else _ESCAPED.sub(r"\1", token)), kind == "mark"
        self.at_end = True
        return None

    def lua(self) -> str:
        """The code up to the brace that ends the block; the one that opens it was taken."""
        start, depth = self._position, 1
        for found in _LUA.finditer(self._text, start):
            if found["endless"] or found["open"]:
                break  # and not once more for each of them, to the end of the file
            depth += {"{": 1, "}": -1}.get(found["brace"] or "", 0)
            if depth == 0:
                self._position = found.end()
                return self._text[start : found.start()]
        raise self.problem("a Lua block without its end")

    def _count(self, position: int) -> None:
        self._line += self._text.count("\n", self._counted, position)
        self._counted = position

    def problem(self, what: str) -> SyntaxProblem:
        self._count(min(self._position, len(self._text)))
        return SyntaxProblem(f"{self.file}:{self._line}: {what}")


def _block(tokens: _Tokens, depth: int) -> tuple[Directive, ...]:
    """Until the brace that ends it, or the end of the file."""
    if depth > DEEPEST:
        raise tokens.problem(f"more than {DEEPEST} blocks within each other")
    found: list[Directive] = []
    while (token := tokens.take()) is not None:
        if token == ("}", True):
            return tuple(found)
        found.append(_directive(tokens, token, depth))
    if depth:
        raise tokens.problem("a block without its end")
    return tuple(found)


def _directive(tokens: _Tokens, first: tuple[str, bool], depth: int) -> Directive:
    if first[1]:
        raise tokens.problem(f'"{first[0]}" where a directive begins')
    name, line, args = first[0], tokens.line, []
    while (token := tokens.take()) is not None:
        if not token[1]:
            args.append(token[0])
        elif token[0] == ";":
            return Directive(name, tuple(args), tokens.file, line)
        elif token[0] == "{" and name.endswith("_by_lua_block"):
            return Directive(name, (*args, tokens.lua()), tokens.file, line)
        elif token[0] == "{":
            return Directive(name, tuple(args), tokens.file, line, _block(tokens, depth + 1))
        else:
            break
    raise tokens.problem(f'"{name}" without its ";"')
