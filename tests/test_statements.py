"""Every statement that reads or joins photos says which of them it means."""

import ast
from itertools import pairwise
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "src/photo_api"
EXEMPT = {
    "staged": "the upload's own view of a row in whatever state",
    "_insert": "an id is in use whatever its photo's state",
    "_prune": "rows that are gone",
    "remake": "its WITHOUT filters by status",
    "photos_without": "its WITHOUT filters by status",
}
"""Functions whose statements look at photos in any state, and why."""


def statements() -> dict[str, list[str]]:
    """Texts of SQL that name the table `photos`, by the function or constant that holds them."""
    found: dict[str, list[str]] = {}
    for path in sorted(SOURCES.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = node.name
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
            else:
                continue
            texts = [
                ast.unparse(one)
                for one in ast.walk(node)
                if isinstance(one, ast.Constant | ast.JoinedStr)
            ]
            sql = [text for text in texts if _reads_photos(text)]
            if sql:
                found.setdefault(f"{path.stem}.{name}", []).extend(sql)
    return found


def _reads_photos(text: str) -> bool:
    words = [word.strip("()\"',") for word in text.replace("\\n", " ").split()]
    return any(
        first in ("FROM", "JOIN", "UPDATE") and second == "photos"
        for first, second in pairwise(words)
    )


def test_every_statement_on_photos_filters_by_status() -> None:
    unfiltered = {
        name: [text for text in texts if "status" not in text]
        for name, texts in statements().items()
        if name.partition(".")[2] not in EXEMPT
    }
    assert {name: texts for name, texts in unfiltered.items() if texts} == {}


def test_the_walk_finds_statements_and_exemptions_are_needed() -> None:
    found = statements()
    assert {"queries.photos", "queries.album_page", "queries._view", "statistics.COUNT"} <= set(
        found
    )
    assert {name.partition(".")[2] for name in found} >= set(EXEMPT)
