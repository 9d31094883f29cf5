"""docs/metadata.md has every field that is told of a photo, and for each its sources in order."""

import re
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from photo_api.renditions.exif import read_exif
from tests.metadata_blocks import iptc, rationals, short, text, tiff, xmp

DOCUMENT = Path(__file__).parent.parent / "docs/metadata.md"
ROW = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]*) \|", re.M)

Parts = dict[str, Any]
"""Tags of `image`, `exif` and `gps`, attributes for `xmp`, datasets for `iptc`, and `created`."""


def rows() -> dict[str, list[str]]:
    """Sources by field, without what is said of their units."""
    return {
        field: [source.partition(",")[0].strip() for source in sources.split("·")]
        for fields, sources in ROW.findall(DOCUMENT.read_text())
        for field in re.findall(r"\w+", fields)
        if field != "taken_at_source"
    }


def day(number: int) -> str:
    return f"2024:05:1{number}"


def exif(tag: int, value: Callable[[int], tuple[int, bytes]]) -> Callable[[int], Parts]:
    return lambda number: {"exif": {tag: value(number)}}


def image(tag: int, value: Callable[[int], tuple[int, bytes]]) -> Callable[[int], Parts]:
    return lambda number: {"image": {tag: value(number)}}


def told(*names: str, value: Callable[[int], object] = str) -> Callable[[int], Parts]:
    return lambda number: {"xmp": {name: value(number) for name in names}}


def datasets(dataset: str) -> Callable[[int], Parts]:
    return lambda number: {"iptc": {dataset: day(number).replace(":", "")}}


def place(number: int) -> Parts:
    degrees = rationals((number, 1))
    return {"gps": {1: text("N"), 2: degrees, 3: text("E"), 4: degrees, 6: degrees}}


def place_in_xmp(number: int) -> Parts:
    return {"xmp": {"exif:GPSLatitude": f"{number},0N", "exif:GPSLongitude": f"{number},0E",
                    "exif:GPSAltitude": number}}  # fmt: skip


def dated(number: int) -> tuple[int, bytes]:
    return text(day(number))


def named(number: int) -> tuple[int, bytes]:
    return text(f"Lens {number}")


def whole(number: int) -> tuple[int, bytes]:
    return rationals((number, 1))


SOURCES: Mapping[str, Callable[[int], Parts]] = {
    "EXIF DateTimeOriginal": exif(0x9003, dated),
    "XMP exif:DateTimeOriginal": told("exif:DateTimeOriginal", value=day),
    "XMP photoshop:DateCreated": told("photoshop:DateCreated", value=day),
    "IPTC DateCreated and TimeCreated": datasets("_55"),
    "EXIF DateTimeDigitized": exif(0x9004, dated),
    "XMP exif:DateTimeDigitized": told("exif:DateTimeDigitized", value=day),
    "XMP xmp:CreateDate": told("xmp:CreateDate", value=day),
    "IPTC DigitalCreationDate and DigitalCreationTime": datasets("_62"),
    "EXIF GPSDateStamp and GPSTimeStamp": lambda number: {"gps": {0x1D: dated(number)}},
    "XMP exif:GPSTimeStamp": told("exif:GPSTimeStamp", value=day),
    "PNG Creation Time": lambda number: {"created": {"created": day(number)}},
    "EXIF DateTime": image(0x0132, dated),
    "XMP xmp:ModifyDate": told("xmp:ModifyDate", value=day),
    "EXIF Make and Model": lambda number: {"image": {0x010F: named(number), 0x0110: text("X")}},
    "XMP tiff:Make and tiff:Model": told("tiff:Make", "tiff:Model", value="Maker {}".format),
    "EXIF LensModel": exif(0xA434, named),
    "XMP exifEX:LensModel": told("exifEX:LensModel", value="Lens {}".format),
    "XMP aux:Lens": told("aux:Lens", value="Lens {}".format),
    "EXIF ExposureTime": exif(0x829A, whole),
    "XMP exif:ExposureTime": told("exif:ExposureTime"),
    "EXIF FNumber": exif(0x829D, whole),
    "XMP exif:FNumber": told("exif:FNumber"),
    "EXIF PhotographicSensitivity (ISOSpeedRatings)": exif(0x8827, short),
    "EXIF ISOSpeed": exif(0x8833, short),
    "EXIF StandardOutputSensitivity": exif(0x8831, short),
    "EXIF RecommendedExposureIndex": exif(0x8832, short),
    "XMP exifEX:PhotographicSensitivity": told("exifEX:PhotographicSensitivity"),
    "XMP exif:ISOSpeedRatings": told("exif:ISOSpeedRatings"),
    "EXIF FocalLength": exif(0x920A, whole),
    "XMP exif:FocalLength": told("exif:FocalLength"),
    "EXIF GPSLatitude and GPSLongitude with their references": place,
    "XMP exif:GPSLatitude and exif:GPSLongitude": place_in_xmp,
    "EXIF GPSAltitude with its reference": place,
    "XMP exif:GPSAltitude": place_in_xmp,
    "EXIF Rating": image(0x4746, short),
    "XMP xmp:Rating": told("xmp:Rating"),
    "EXIF Orientation": image(0x0112, short),
}
"""What a source says, by a number from 1 to 5."""


def read(*sources: Parts) -> dict[str, object]:
    kept = {
        part: {name: value for source in sources for name, value in source.get(part, {}).items()}
        for part in ("image", "exif", "gps", "xmp", "iptc", "created")
    }
    attributes = " ".join(f'{name}="{value}"' for name, value in kept["xmp"].items())
    return read_exif(
        tiff(kept["image"], kept["exif"], kept["gps"]),
        xmp(attributes),
        iptc(**kept["iptc"]),
        kept["created"].get("created", "").encode(),
    )


def test_every_field_has_its_row_and_every_row_its_sources() -> None:
    everything = read(*(make(1) for make in SOURCES.values()))
    assert set(everything) - {"taken_at_source"} == set(rows())
    assert {source for sources in rows().values() for source in sources} == set(SOURCES)


@pytest.mark.parametrize("field", rows())
def test_each_source_tells_the_field_and_the_first_of_them_counts(field: str) -> None:
    sources = rows()[field]
    for source in sources:
        found = read(SOURCES[source](1))
        assert found[field] != read(SOURCES[source](2))[field]
        if field == "taken_at":
            assert found["taken_at_source"] == source.partition(" and ")[0]
    for before, behind in combinations(sources, 2):
        both = read(SOURCES[behind](2), SOURCES[before](1))
        assert both[field] == read(SOURCES[before](1))[field]
