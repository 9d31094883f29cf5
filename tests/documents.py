"""Tables of documents that tests hold to what they count."""

from itertools import takewhile
from pathlib import Path


def rows_under(page: Path, head: str) -> list[list[str]]:
    """The cells of each row of the table that has this head."""
    lines = iter(page.read_text().splitlines())
    assert head in lines, f"{page.name} has no table {head}"
    rows = takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows][1:]
