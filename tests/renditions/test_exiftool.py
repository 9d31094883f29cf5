"""What is told of a photo is what exiftool tells of it, of every kind of metadata in every type of
file, ours and its own."""

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from photo_api.renditions.containers import find_blocks
from photo_api.renditions.exif import read_exif
from tests.metadata_corpus import make_corpus, written_by_exiftool

Record = Mapping[str, Any]
Fields = dict[str, object]

ON_PURPOSE: Mapping[str, tuple[Mapping[str, object], str]] = {
    "absurd offset": ({"taken_at": (2024, 5, 17, 14, 3, 22)}, "no place is 25 hours ahead of UTC"),
    "never set": ({"taken_at": None, "taken_at_source": None}, "there was no year 0"),
    "blank": ({"taken_at": None, "taken_at_source": None}, "no date"),
    "the year 9999": ({"taken_at": None, "taken_at_source": None}, "the future is unknown"),
    "x by 0": ({"exposure_time": None, "focal_length": None}, "no number"),
    "latitude 213": ({"latitude": None, "longitude": None}, "no such place"),
    "zero and zero": ({"latitude": None, "longitude": None}, "a receiver without satellites"),
    "altitude 429496728": ({"altitude": None}, "beyond the moon: -12 in a number without a sign"),
    "iso speed": ({"iso": 102_400}, "65535 says that the speed is in another tag"),
    "hangul of windows": ({"camera": "갤럭시 카메라"}, "exiftool asks for the encoding"),
    "xmp's creation": ({"rating": None}, "-1 is rejected, which is no rating of stars"),
}
"""By the kind of metadata: what is told instead of what exiftool tells, and why."""

Date = tuple[str, Callable[[Record], str], str]


def _joined(*names: str) -> Callable[[Record], str]:
    return lambda record: " ".join(str(record[name]) for name in names if name in record)


def _satellites(record: Record) -> str:
    day = _joined("GPS:GPSDateStamp", "GPS:GPSTimeStamp")(record)
    return f"{day}Z" if "GPS:GPSTimeStamp" in record else day


DATES: Sequence[Date] = (
    ("EXIF DateTimeOriginal", _joined("ExifIFD:DateTimeOriginal"), "ExifIFD:OffsetTimeOriginal"),
    ("XMP exif:DateTimeOriginal", _joined("XMP-exif:DateTimeOriginal"), ""),
    ("XMP photoshop:DateCreated", _joined("XMP-photoshop:DateCreated"), ""),
    ("IPTC DateCreated", _joined("IPTC:DateCreated", "IPTC:TimeCreated"), ""),
    ("EXIF DateTimeDigitized", _joined("ExifIFD:CreateDate"), "ExifIFD:OffsetTimeDigitized"),
    ("XMP exif:DateTimeDigitized", _joined("XMP-exif:DateTimeDigitized"), ""),
    ("XMP xmp:CreateDate", _joined("XMP-xmp:CreateDate"), ""),
    ("IPTC DigitalCreationDate",
     _joined("IPTC:DigitalCreationDate", "IPTC:DigitalCreationTime"), ""),
    ("EXIF GPSDateStamp", _satellites, ""),
    ("XMP exif:GPSTimeStamp", _joined("XMP-exif:GPSDateTime"), ""),
)  # fmt: skip


def moment(text: object, offset: object = "") -> tuple[object, ...] | None:
    """The numbers of a date, and minutes from UTC where they are told, however it is spelled."""
    found = re.fullmatch(
        r"([^ T]+)(?:[ T]([\d:]+)(?:\.\d+)?)?\s*(Z|[+-][\d:]+)?", str(text).strip()
    )
    if found is None or not found[1][0].isdecimal():
        return None
    date = [int(part) for part in re.findall(r"\d+", found[1])]
    clock = [int(part) for part in re.findall(r"\d+", found[2] or "")]
    date[0] += 2000 if date[0] < 70 else 0
    if clock:
        clock += [0] * (3 - len(clock))
    sign, *digits = re.findall(r"[Z+-]|\d\d?", str(found[3] or offset).strip()) or [""]
    if not clock or not sign or (sign != "Z" and not digits):
        return (*date, *clock)
    hours, minutes = (*map(int, digits), 0, 0)[:2]
    return (*date, *clock, (hours * 60 + minutes) * (-1 if sign == "-" else 1))


def first(record: Record, *names: str) -> Any:
    return next((record[name] for name in names if name in record), None)


def _dates(record: Record) -> Fields:
    general = (
        first(record, "ExifIFD:OffsetTime") or f"{first(record, 'IFD0:TimeZoneOffset') or 0:+}"
    )
    general = "" if general == "+0" else general
    told = [(name, read(record), offset) for name, read, offset in DATES if read(record)]
    source, text, offset = told[0] if told else (None, None, "")
    if str(source).startswith("EXIF DateTime"):
        offset = record.get(offset) or general
    modified = first(record, "IFD0:ModifyDate")
    return {
        "taken_at": moment(text, offset) if text else None,
        "taken_at_source": source,
        "modified_at": moment(modified, general)
        if modified
        else moment(first(record, "XMP-xmp:ModifyDate")),
    }


def _place(record: Record) -> Fields:
    latitude, longitude = (first(record, f"GPS:GPS{name}") for name in ("Latitude", "Longitude"))
    if latitude is not None:
        north, east = (record[f"GPS:GPS{name}Ref"] for name in ("Latitude", "Longitude"))
        latitude *= -1 if north == "S" else 1
        longitude *= -1 if east == "W" else 1
    else:
        latitude, longitude = (first(record, f"XMP-exif:GPS{n}") for n in ("Latitude", "Longitude"))
    return {
        "latitude": latitude,
        "longitude": longitude,
        "altitude": first(record, "Composite:GPSAltitude"),
    }


def of_exiftool(record: Record) -> Fields:
    """The fields as exiftool's tags have them, each from its sources in docs/metadata.md."""
    make, model = (first(record, f"IFD0:{n}", f"XMP-tiff:{n}") for n in ("Make", "Model"))
    repeats = make and model and str(model).startswith(str(make))
    camera = model if repeats else " ".join(filter(None, (make, model)))
    isos = [
        *("ExifIFD:" + name for name in ("ISO", "ISOSpeed", "StandardOutputSensitivity")),
        *("ExifIFD:RecommendedExposureIndex", "XMP-exifEX:PhotographicSensitivity", "XMP-exif:ISO"),
    ]
    return {
        **_dates(record),
        **_place(record),
        "camera": camera or None,
        "lens": first(record, "ExifIFD:LensModel", "XMP-exifEX:LensModel", "XMP-aux:Lens"),
        "exposure_time": first(record, "ExifIFD:ExposureTime", "XMP-exif:ExposureTime"),
        "f_number": first(record, "ExifIFD:FNumber", "XMP-exif:FNumber"),
        "iso": first(record, *isos),
        "focal_length": first(record, "ExifIFD:FocalLength", "XMP-exif:FocalLength"),
        "rating": first(record, "IFD0:Rating", "XMP-xmp:Rating"),
        "orientation": first(record, "IFD0:Orientation"),
    }


def ours(fields: Fields) -> Fields:
    """The fields in the same form."""
    parts = [float(part) for part in str(fields.get("exposure_time", "")).split("/") if part]
    dates = {name: moment(fields[name]) for name in ("taken_at", "modified_at") if name in fields}
    exposure = {"exposure_time": parts[0] / parts[-1] if len(parts) > 1 else sum(parts)}
    return fields | dates | (exposure if parts else {})


def same(one: object, other: object) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == pytest.approx(other, rel=0.005, abs=1e-6)
    return one == other


def asked(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """One process for all files."""
    done = subprocess.run(
        ["exiftool", "-j", "-n", "-G1", *map(str, paths)],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    records: list[dict[str, Any]] = json.loads(done.stdout)
    return records


@pytest.mark.needs("exiftool")
def test_fields_are_those_of_exiftool(tmp_path: Path) -> None:
    files = make_corpus(tmp_path) | written_by_exiftool(tmp_path)
    differ, expected = [], set()
    for (path, content_type), record in zip(files.items(), asked([*files]), strict=True):
        name = re.sub(r"^(\d+|written) |\.(after\.|profiles\.)?\w+$", "", path.name)
        theirs = of_exiftool(record)
        if set(theirs.values()) - {None} and name in ON_PURPOSE:
            expected.add(name)
            theirs |= ON_PURPOSE[name][0]
        mine = ours(read_exif(*find_blocks(path.read_bytes(), content_type)))
        differ += [
            (path.name, field, mine.get(field), wanted)
            for field, wanted in theirs.items()
            if not same(mine.get(field), wanted)
        ]
        assert set(mine) <= set(theirs)
    assert differ == []
    assert expected == set(ON_PURPOSE), "each of them is needed"
    assert len(files) > 400
