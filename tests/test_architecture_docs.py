"""docs/architecture.md names files, functions and classes that are there, and answers what it
promises."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs/architecture.md"
NAMED = re.compile(r"`((?:photo_\w+)/[\w./]+\.(?:py|lua|sql))(?::([\w.]+))?`")
LUA_FUNCTION = re.compile(r"^(?:local )?function ([\w.]+)\(", re.M)
QUESTIONS = ("lame duck", "quarantine", "job enqueued", "local instance", "sweep")
LONGEST = 130


def names() -> list[tuple[str, str]]:
    """(file below `src`, dotted name in it or nothing), as the document has them."""
    return NAMED.findall(DOCUMENT.read_text())


@cache
def defined(file: str) -> set[str]:
    """Functions and classes of a file, those inside classes as `Class.method`."""
    text = (ROOT / "src" / file).read_text()
    if not file.endswith(".py"):
        return set(LUA_FUNCTION.findall(text))

    def walk(nodes: list[ast.stmt], prefix: str = "") -> set[str]:
        found = set()
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                found |= walk(node.body, f"{prefix}{node.name}.")
        return found

    return walk(ast.parse(text).body)


def test_every_named_file_is_there() -> None:
    assert len(names()) > 40
    assert [file for file, _ in names() if not (ROOT / "src" / file).is_file()] == []


def test_every_named_function_and_class_is_defined_in_its_file() -> None:
    there = [(file, name) for file, name in names() if (ROOT / "src" / file).is_file()]
    assert [f"{file}:{name}" for file, name in there if name and name not in defined(file)] == []


def test_every_path_in_backticks_is_one_that_is_checked() -> None:
    """A name that the pattern does not see would rot unseen."""
    told = re.findall(r"`(photo_[^`]+[./][^`]+)`", DOCUMENT.read_text())
    assert [one for one in told if not NAMED.fullmatch(f"`{one}`")] == []


def test_it_answers_at_a_glance_and_stays_short() -> None:
    text = DOCUMENT.read_text()
    _, _, below = text.partition("## At a glance\n")
    glance = below.partition("\n## ")[0]
    for question in QUESTIONS:
        rows = [row for row in glance.splitlines() if row.startswith("|") and question in row]
        assert any(NAMED.search(row) for row in rows), question
    assert text.count("\n") <= LONGEST
