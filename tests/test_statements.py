"""Every statement that reads or joins photos says which of them it means."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "src/photo_api"
EXEMPT = {
    "photos/upload_queries.py staged": "the upload's own view of a row in whatever state",
    "photos/adoption.py _insert": "an id is in use whatever its photo's state",
    "accounts/closing.py delete_photos": "an account's photos go in whatever state they are",
    "accounts/closing.py OF_PHOTOS": "the same ones, found by it",
    "accounts/closing.py DELETE_USER": "none is left in whatever state",
    "photos/remaking.py photos_without": "its WITHOUT filters by status",
}
"""Functions whose statements look at photos in any state, or say so elsewhere, and why."""

PHOTOS = re.compile(r"\b(?:from|join|update|using)\s+(?:\w+(?:\s+\w+)?\s*,\s*)*photos\b", re.I)
FILTER = re.compile(r"\bstatus\s*(?:=|<>|in\b)|\bp\.id = mine\.id\b", re.I)
"""A comparison of the status, or a join to `mine`, which is what such statements call the rows that
they have filtered and locked."""


def test_every_mention_of_photos_is_filtered_by_status() -> None:
    assert {place: text for place, text in unfiltered() if place not in EXEMPT} == {}


def test_every_exemption_is_needed_and_the_walk_sees_what_it_should() -> None:
    assert {place for place, _ in unfiltered()} == set(EXEMPT)
    assert {place for place, _ in statements()} >= {
        "photos/queries.py PHOTOS", "albums/orders.py photos_in", "jobs/statistics.py COUNT",
    }  # fmt: skip
    for text in ("delete from m using photos", "SELECT 1 FROM albums a, photos", "UPDATE photos"):
        assert len(PHOTOS.findall(text)) == 1
    assert not FILTER.findall("SELECT status FROM photos")


def unfiltered() -> list[tuple[str, str]]:
    return [
        (place, text)
        for place, text in statements()
        if len(FILTER.findall(text)) < len(PHOTOS.findall(text))
    ]


def statements() -> Iterator[tuple[str, str]]:
    """(file and top-level name, text) of every string that names the table."""
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            name = getattr(node, "name", None)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
            for text in strings(node):
                if PHOTOS.search(text):
                    yield f"{path.relative_to(SOURCES)} {name}", text


def strings(node: ast.AST) -> Iterator[str]:
    """Each string with what is put into it left out; neighbours in the source are one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "?" for part in node.values]
        yield "".join(map(str, parts))
    else:
        for child in ast.iter_child_nodes(node):
            yield from strings(child)
