"""docs/metadata.md has every field that is told of a photo, and every source of its date."""

import re
from pathlib import Path

from photo_api.renditions.exif import read_exif
from tests.metadata_blocks import rationals, short, text, tiff

DOCUMENT = Path(__file__).parent.parent / "docs/metadata.md"
ROW = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]*) \|", re.M)


def rows() -> dict[str, str]:
    """Sources by field."""
    return {
        field: sources
        for fields, sources in ROW.findall(DOCUMENT.read_text())
        for field in re.findall(r"\w+", fields)
    }


def test_every_field_has_its_row() -> None:
    one = rationals((1, 1))
    everything = tiff(
        {0x010F: text("Canon"), 0x0112: short(1), 0x0132: text("2024:05:17"), 0x4746: short(5)},
        {0x9003: text("2024:05:17"), 0xA434: text("RF 50mm"), 0x829A: one, 0x829D: one,
         0x8827: short(100), 0x920A: one},
        {1: text("N"), 2: one, 3: text("E"), 4: one, 6: one},
    )  # fmt: skip
    assert set(read_exif(everything)) == set(rows())


def test_the_sources_of_the_date_are_those_of_the_code_in_their_order() -> None:
    code = Path(read_exif.__code__.co_filename).read_text()
    named = re.findall(r'^ +\("((?:EXIF|XMP|IPTC|PNG) [\w: ]+)",', code, re.M)
    told = [source.partition(" and ")[0].strip() for source in rows()["taken_at"].split("·")]
    assert told == named
    assert len(told) == 11
