"""The index of decisions leads to all of them."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "docs" / "decisions"


def test_the_index_names_every_decision_once() -> None:
    named = re.findall(r"\]\(([^)]+\.md)\)", (FOLDER / "README.md").read_text())
    assert named == sorted(path.name for path in FOLDER.glob("0*.md"))
