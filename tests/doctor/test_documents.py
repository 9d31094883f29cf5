"""docs/doctor.md has every code, as the catalogue has it."""

import re
from collections import Counter
from pathlib import Path

from photo_fleet.doctor.catalogue import CODES, GUIDE
from tests.doctor.rates import FAULTS
from tests.doctor.sound import SOUND

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


def test_the_page_says_how_bad_each_is_and_what_is_looked_at() -> None:
    rows = ROW.findall(PAGE.read_text())
    assert [code for code, level, _, _ in rows if not re.search("error|warning|own", level)] == []
    assert [code for code, _, _, looked_at in rows if len(looked_at) < 10] == []


def test_each_kind_of_fault_is_done_in_more_than_one_way() -> None:
    ways = Counter(one.code for one in FAULTS)
    assert set(ways) == set(CODES)
    assert [code for code, number in ways.items() if number < 2] == []
    assert len({one.name for one in FAULTS}) == len(FAULTS)
    assert len({one.fleet for one in SOUND}) == len(SOUND) >= 30


def test_the_page_tells_of_every_fault_and_every_sound_fleet() -> None:
    page = PAGE.read_text()
    assert [one.name for one in FAULTS if f"| `{one.code}` | {one.name} | " not in page] == []
    assert [one.name for one in SOUND if f"| {one.name} | " not in page] == []
