"""The statements that the serving plane sends, read from its sources: whole where they are put
together of constants, with a question mark for what only a call knows."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SOURCES = Path(__file__).parent.parent / "src"
TEXT_IS = {"fetch": 0, "fetchrow": 0, "fetchval": 0, "execute": 0, "executemany": 0}
"""Which argument is the text, of methods of connections and pools."""
OURS = {"leases.execute": 2, "_change": 2, "count_anew": 3}
"""The same of our functions that add to a text and send it."""


class Statement(NamedTuple):
    """`place` is the file below `photo_api` and the function or class in it that sends it."""

    place: str
    text: str


def sent_statements() -> Iterator[Statement]:
    """Those of every file of the serving plane."""
    for path in sorted((SOURCES / "photo_api").rglob("*.py")):
        name = path.relative_to(SOURCES)
        for node in ast.parse(path.read_text()).body:
            sent = list(filter(None, map(_argument, ast.walk(node))))
            if not sent or not isinstance(node, NAMED):
                continue
            known = dict(vars(importlib.import_module(".".join(name.with_suffix("").parts))))
            known |= _locals(node, known)
            for argument in sent:
                text = " ".join(_text(argument, known).split())
                yield Statement(f"{Path(*name.parts[1:])} {node.name}", text)


NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _argument(node: ast.AST) -> ast.expr | None:
    """What a call sends, if it does."""
    place = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        place = OURS.get(node.func.id)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        of = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        place = OURS.get(f"{of}.{node.func.attr}", TEXT_IS.get(node.func.attr))
    if not isinstance(node, ast.Call) or place is None or len(node.args) <= place:
        return None
    return node.args[place]


def _locals(within: ast.AST, known: dict[str, Any]) -> dict[str, Any]:
    """Texts that have names in a function."""
    found: dict[str, Any] = {}
    for node in ast.walk(within):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr):
            for name in node.targets:
                if isinstance(name, ast.Name):
                    found[name.id] = _text(node.value, known | found)
    return found


def _text(node: ast.expr, known: dict[str, Any]) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, known) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, known)
    if isinstance(node, ast.IfExp):
        return f"{_text(node.body, known)} {_text(node.orelse, known)}"
    try:
        value = eval(compile(ast.Expression(node), "a statement", "eval"), known)
    except (SyntaxError, NameError, AttributeError, TypeError):
        return "?"
    return value if isinstance(value, str) else "?"
