"""docs/doctor.md has every code, as the catalogue has it."""

import re
from pathlib import Path

from photo_fleet.doctor.catalogue import CODES, GUIDE

PAGE = Path(__file__).parent.parent.parent / "docs/doctor.md"
HEADING = re.compile(r"^### (\w+): \[.*\]\((operations\.md#[a-z-]+)\)$", re.M)
ROW = re.compile(r"^\| `([a-z-]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.M)


def test_the_page_has_every_code_in_its_section() -> None:
    parts = HEADING.split(PAGE.read_text())[1:]
    told = [
        (section, anchor, code, meaning)
        for section, anchor, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
        for code, _, meaning, _ in ROW.findall(text)
    ]
    assert told == [
        (kind.section, GUIDE[kind.section].removeprefix("docs/"), code, kind.meaning)
        for code, kind in CODES.items()
    ]
