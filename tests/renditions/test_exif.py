"""EXIF is read where it makes sense, and left out where it does not."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from photo_api.renditions.exif import MAX_TEXT, read_exif
from photo_api_client.exif import Camera
from tests import metadata_blocks as blocks
from tests.fuzzing import fuzzed
from tests.metadata_blocks import Entries, rationals, short, text, tiff, xmp
from tests.photographs import Shot, exif_block

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
MAKE, MODEL, ORIENTATION, LENS, EXPOSURE, TAKEN = 0x10F, 0x110, 0x112, 0xA434, 0x829A, 0x9003


def block(
    image: dict[int, Any] | None = None,
    exif: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
) -> bytes:
    made = Image.Exif()
    made.update(image or {})
    made.get_ifd(EXIF_IFD).update(exif or {})
    made.get_ifd(GPS_IFD).update(gps or {})
    return made.tobytes()


def gps(latitude: tuple[Any, ...], reference: str = "N") -> dict[int, Any]:
    return {1: reference, 2: latitude, 3: "E", 4: (12.0, 30.0, 0.0)}


def test_a_camera_s_block() -> None:
    shot = Shot("2024:05:17 14:03:22", "+09:00", (37.5512, 126.9882, 262.0), orientation=6)
    assert read_exif(exif_block(shot)) == {
        "taken_at": "2024-05-17T14:03:22+09:00",
        "taken_at_source": "EXIF DateTimeOriginal",
        "camera": "FUJIFILM X-T5",
        "lens": "XF33mmF1.4 R LM WR",
        "exposure_time": "1/250",
        "f_number": 2.8,
        "iso": 200,
        "focal_length": 33.0,
        "latitude": 37.5512,
        "longitude": 126.9882,
        "altitude": 262.0,
        "orientation": 6,
    }


def test_a_date_without_offset_stays_local() -> None:
    assert read_exif(exif_block(Shot("2024:05:17 14:03:22")))["taken_at"] == "2024-05-17T14:03:22"


@pytest.mark.parametrize("offset", ["Seoul", "+25:00", "   :  "])
def test_an_offset_that_is_none_is_left_out(offset: str) -> None:
    shot = Shot("2024:05:17 14:03:22", offset)
    assert read_exif(exif_block(shot))["taken_at"] == "2024-05-17T14:03:22"


def test_the_general_offset_serves_where_the_original_s_is_missing() -> None:
    found = read_exif(block(exif={TAKEN: "2024:01:02 03:04:05", 0x9010: "-05:30"}))
    assert found["taken_at"] == "2024-01-02T03:04:05-05:30"


@pytest.mark.parametrize("date", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"])
def test_a_date_that_is_none_is_left_out(date: str) -> None:
    assert "taken_at" not in read_exif(exif_block(Shot(date, "+09:00")))


def test_south_west_and_below_the_sea_are_negative() -> None:
    found = read_exif(exif_block(Shot(place=(-33.8568, -151.2153, -430.5))))
    assert (found["latitude"], found["longitude"]) == (-33.8568, -151.2153)
    assert found["altitude"] == -430.5


@pytest.mark.parametrize(
    "latitude",
    [
        (IFDRational(1, 0), IFDRational(0, 1), IFDRational(0, 1)),
        (IFDRational(0, 0), IFDRational(0, 0), IFDRational(0, 0)),
        (91.0, 0.0, 0.0),
        (90.0, 0.0, 1.0),
        (10.0, 75.0, 0.0),
    ],
)
def test_a_place_that_is_none_is_left_out(latitude: tuple[Any, ...]) -> None:
    assert "latitude" not in read_exif(block(gps=gps(latitude)))


def test_a_place_needs_to_know_its_hemisphere() -> None:
    assert "latitude" in read_exif(block(gps=gps((10.0, 20.0, 30.0))))
    assert "latitude" not in read_exif(block(gps=gps((10.0, 20.0, 30.0), reference="?")))


@pytest.mark.parametrize(
    ("exposure", "shown"),
    [
        ((1, 8000), "1/8000"),
        ((10, 2000), "1/200"),
        ((6, 10), "0.6"),
        ((1, 1), "1"),
        ((5, 2), "2.5"),
        ((1800, 1), "1800"),
    ],
)
def test_exposure_times_read_as_on_a_camera(exposure: tuple[int, int], shown: str) -> None:
    assert read_exif(exif_block(Shot(exposure=exposure)))["exposure_time"] == shown


@pytest.mark.parametrize("exposure", [(1, 0), (0, 1), (0, 0)])
def test_an_impossible_exposure_is_left_out(exposure: tuple[int, int]) -> None:
    rational = IFDRational(*exposure)
    assert "exposure_time" not in read_exif(block(exif={EXPOSURE: rational}))


@pytest.mark.parametrize(
    ("make", "model", "shown"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("NIKON CORPORATION", "NIKON D800", "NIKON D800"),
        ("Apple", "iPhone 15 Pro", "Apple iPhone 15 Pro"),
        ("  SONY  ", "ILCE-7M4\0\0junk", "SONY ILCE-7M4"),
        ("Evil\x1b[31m\nMaker", "X", "Evil [31m Maker X"),
    ],
)
def test_camera_names_are_tidied(make: str, model: str, shown: str) -> None:
    assert read_exif(exif_block(Shot(camera=Camera(make, model, "-"))))["camera"] == shown


def test_texts_are_bounded() -> None:
    assert read_exif(block(exif={LENS: "L" * 900}))["lens"] == "L" * MAX_TEXT


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_unknown_orientation_is_left_out(orientation: int) -> None:
    assert "orientation" not in read_exif(block({ORIENTATION: orientation}))


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"MM\0*" + b"\xff" * 200,
        b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + b"\x01" * 500,
        b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08\0\1\x87\x69\0\x0b\0\0\0\1\x7f\x80\0\0",  # a pointer to infinity
        b"\0" * 1000,
    ],
)
def test_garbage_is_no_exif(garbage: bytes) -> None:
    assert read_exif(garbage) == {}


def test_a_block_made_to_cost_hours_costs_none() -> None:
    """Directories that follow each other without end, and values of gigabytes."""
    count, size = 14_000, 18
    chain = b"".join(
        struct.pack("<HHHIII", 1, EXPOSURE, 5, 999, 8, 8 + size * (number + 1))
        for number in range(count)
    )
    assert set(read_exif(b"II*\0\x08\0\0\0" + chain)) <= {"exposure_time"}
    entries = b"".join(struct.pack(">HHII", MAKE, 2, 1 << 31, 8) for _ in range(60_000))
    assert set(read_exif(b"MM\0*\0\0\0\x08\xff\xff" + entries)) <= {"camera"}


PLACE = {"latitude": 37.5512, "longitude": 126.9882}


@pytest.mark.parametrize(
    "gps",
    [
        {2: text("37.5512"), 4: text("126.9882"), 1: text("N"), 3: text("E")},
        {2: text("37,33,4.32"), 4: text("126,59,17.52"), 1: text("N"), 3: text("E")},
        {2: text("37/1 33/1 432/100"), 4: text("126/1 59/1 1752/100"), 1: text("N"), 3: text("E")},
        {2: text("37 deg 33' 4.32\" N"), 4: text("126 deg 59' 17.52\" E")},
        {2: text("+37.5512"), 4: text("+126.9882")},
        {2: (blocks.BYTE, b"37.5512\0"), 4: (blocks.BYTE, b"126.9882\0"),
         1: (blocks.BYTE, b"N\0"), 3: (blocks.UNDEFINED, b"East")},
    ],
)  # fmt: skip
def test_a_place_in_text(gps: Entries) -> None:
    assert read_exif(tiff(gps=gps)) == PLACE


def test_a_place_in_bytes_that_are_numbers() -> None:
    gps = {1: text("S"), 2: (blocks.BYTE, bytes([37, 33, 4])),
           3: text("W"), 4: (blocks.BYTE, bytes([126, 59, 17]))}  # fmt: skip
    assert read_exif(tiff(gps=gps)) == {"latitude": -37.551111, "longitude": -126.988056}


def test_signs_say_south_and_west_where_no_letter_does() -> None:
    found = read_exif(tiff(gps={2: text("-33.8568"), 4: text("-151.2153")}))
    assert found == {"latitude": -33.8568, "longitude": -151.2153}


def place(latitude: int = 37, longitude: int = 126, **more: Any) -> Entries:
    numbers = {2: rationals((latitude, 1)), 4: rationals((longitude, 1))}
    return {1: text("N"), 3: text("E"), **numbers, **more.get("tags", {})}


@pytest.mark.parametrize("where", [(213, 126), (37, 213), (0, 0), (4294967284, 126)])
def test_an_absurd_place_is_left_out(where: tuple[int, int]) -> None:
    assert read_exif(tiff(gps=place(*where))) == {}


@pytest.mark.parametrize("altitude", [(4294967284, 1), (4294967284, 1000), (1, 0)])
def test_an_absurd_altitude_is_left_out(altitude: tuple[int, int]) -> None:
    found = read_exif(tiff(gps=place(tags={5: (blocks.BYTE, b"\0"), 6: rationals(altitude)})))
    assert found == {"latitude": 37.0, "longitude": 126.0}


@pytest.mark.parametrize("kind", [blocks.BYTE, blocks.UNDEFINED])
def test_camera_and_lens_in_bytes(kind: int) -> None:
    found = read_exif(tiff({MAKE: (kind, b"Canon\0"), MODEL: (kind, b"EOS R6\0")},
                           {LENS: (kind, b"RF 50mm\0")}))  # fmt: skip
    assert found == {"camera": "Canon EOS R6", "lens": "RF 50mm"}


@pytest.mark.parametrize("name", ["----", "0.0 mm f/0.0", "-- mm f/--"])
def test_a_lens_that_the_camera_does_not_know_is_left_out(name: str) -> None:
    assert read_exif(tiff(exif={LENS: text(name)})) == {}


@pytest.mark.parametrize(
    ("tags", "iso"),
    [
        ({0x8827: short(400), 0x8833: (blocks.LONG, struct.pack(">I", 102_400))}, 400),
        ({0x8827: short(65_535), 0x8833: (blocks.LONG, struct.pack(">I", 102_400))}, 102_400),
        ({0x8827: short(65_535), 0x8832: (blocks.LONG, struct.pack(">I", 204_800))}, 204_800),
        ({0x8831: (blocks.LONG, struct.pack(">I", 800))}, 800),
        ({0x8827: text("200")}, 200),
        ({0x8827: short(65_535)}, None),
        ({0x8827: short(0)}, None),
        ({0x8827: text("AUTO")}, None),
    ],
)
def test_iso_speeds(tags: Entries, iso: int | None) -> None:
    assert read_exif(tiff(exif=tags)).get("iso") == iso


def test_tags_of_the_exif_directory_are_found_in_the_first_one() -> None:
    assert read_exif(tiff({0x9003: text("2024:05:17 14:03:22")}))["taken_at"]


ORIGINAL, DIGITIZED, MODIFIED = 0x9003, 0x9004, 0x0132
LATER = "2025:01:01 00:00:00"
"""A date that would be wrong."""

DATES: list[tuple[str, Entries, Entries, str, dict[str, str]]] = [
    ("EXIF DateTimeOriginal", {ORIGINAL: text("2024:05:17 14:03:22")}, {},
     'exif:DateTimeOriginal="2025-01-01"', {}),
    ("XMP exif:DateTimeOriginal", {ORIGINAL: text("0000:00:00 00:00:00")}, {},
     'exif:DateTimeOriginal="2024-05-17T14:03:22" photoshop:DateCreated="2025-01-01"', {}),
    ("XMP photoshop:DateCreated", {DIGITIZED: text(LATER)}, {},
     'photoshop:DateCreated="2024-05-17T14:03:22" xmp:CreateDate="2025-01-01"', {}),
    ("IPTC DateCreated", {DIGITIZED: text(LATER)}, {}, "", {"_55": "20240517", "_60": "140322"}),
    ("EXIF DateTimeDigitized", {DIGITIZED: text("2024:05:17 14:03:22")}, {},
     'xmp:CreateDate="2025-01-01"', {}),
    ("XMP xmp:CreateDate", {}, {}, 'xmp:CreateDate="2024-05-17T14:03:22"', {"_62": "20250101"}),
    ("IPTC DigitalCreationDate", {}, {}, "", {"_62": "20240517", "_63": "140322"}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "exif", "gps", "attributes", "datasets"), DATES)
def test_dates_come_from_the_best_source(
    source: str, exif: Entries, gps: Entries, attributes: str, datasets: dict[str, str]
) -> None:
    edited = {MODIFIED: text(LATER)}
    found = read_exif(tiff(edited, exif, gps), xmp(attributes), blocks.iptc(**datasets))
    assert (found["taken_at_source"], found["taken_at"]) == (source, "2024-05-17T14:03:22")
    assert found["modified_at"] == "2025-01-01T00:00:00"


def test_the_date_of_an_edit_never_poses_as_that_of_the_capture() -> None:
    edits = 'xmp:ModifyDate="2025-01-01T00:00:00" xmp:MetadataDate="2025-01-01T00:00:00"'
    edited = tiff({MODIFIED: text(LATER)}, {0x9010: text("+09:00")})
    assert read_exif(edited, xmp(edits)) == {"modified_at": "2025-01-01T00:00:00+09:00"}
    assert read_exif(b"", xmp(edits)) == {"modified_at": "2025-01-01T00:00:00"}


def test_satellites_tell_the_date_where_nobody_else_does() -> None:
    clock = rationals((5, 1), (3, 1), (22, 1))
    day = {0x1D: text("2024:05:17")}
    found = read_exif(tiff(gps={**day, 7: clock}))
    assert found == {"taken_at": "2024-05-17T05:03:22Z", "taken_at_source": "EXIF GPSDateStamp"}
    assert read_exif(tiff(gps={**day, 7: text("05:03:22")}))["taken_at"] == "2024-05-17T05:03:22Z"
    assert read_exif(tiff(gps=day))["taken_at"] == "2024-05-17"


def test_the_offset_of_old_raw_formats() -> None:
    hours = {0x882A: (blocks.SSHORT, struct.pack(">h", -5))}
    found = read_exif(tiff(hours, {ORIGINAL: text("2024:05:17 14:03:22")}))
    assert found["taken_at"] == "2024-05-17T14:03:22-05:00"


def test_xmp_serves_where_exif_has_none() -> None:
    attributes = """tiff:Make="SONY" tiff:Model="ILCE-7M4" aux:Lens="FE 35mm F1.8" xmp:Rating="4"
     exif:ExposureTime="1/250" exif:FNumber="28/10" exif:FocalLength="35/1"
     exif:GPSLatitude="37,33.072N" exif:GPSLongitude="126,59.292E" exif:GPSAltitude="262/1"
     exif:GPSAltitudeRef="1" exif:Flash="ignored" """
    items = "<rdf:Seq><rdf:li>320</rdf:li><rdf:li>9</rdf:li></rdf:Seq>"
    speeds = f"<exif:ISOSpeedRatings>{items}</exif:ISOSpeedRatings>"
    assert read_exif(b"", xmp(attributes, speeds)) == {
        "camera": "SONY ILCE-7M4",
        "lens": "FE 35mm F1.8",
        "rating": 4,
        "exposure_time": "1/250",
        "f_number": 2.8,
        "iso": 320,
        "focal_length": 35.0,
        "altitude": -262.0,
        **PLACE,
    }
    first = tiff({MAKE: text("Canon"), 0x4746: short(2)}, {LENS: text("RF 50mm")})
    found = read_exif(first, xmp(attributes))
    assert (found["camera"], found["lens"], found["rating"]) == ("Canon", "RF 50mm", 2)


def test_xmp_in_elements_is_read_and_what_is_nested_is_not() -> None:
    history = (
        "<xmp:History><rdf:Seq><rdf:li rdf:parseType='Resource'><xmp:Rating>1</xmp:Rating>"
        "</rdf:li></rdf:Seq></xmp:History><exif:Other rdf:parseType='Resource'>"
        "<xmp:Rating>2</xmp:Rating></exif:Other>"
    )
    elements = f"{history}<xmp:Rating>\n 5 </xmp:Rating><xmp:Rating>3</xmp:Rating>"
    assert read_exif(b"", xmp(elements=elements)) == {"rating": 5}


@pytest.mark.parametrize("rating", ["-1", "0", "6", "five", ""])
def test_a_rating_is_from_one_to_five(rating: str) -> None:
    assert read_exif(b"", xmp(f'xmp:Rating="{rating}"')) == {}


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"<",
        b"\xff\xfe<\0x\0",
        b"<!DOCTYPE x [<!ENTITY a '5'>]>" + xmp('xmp:Rating="5"').partition(b"?>")[2],
        b"<a>" * 200_000,
        xmp(elements="<xmp:Rating>5")[:-200],
        b"<?xml version='1.0' encoding='cp949'?>",
    ],
)
def test_garbage_is_no_xmp(packet: bytes) -> None:
    assert read_exif(b"", packet) == {}


def test_a_packet_that_is_cut_short_gives_what_stands_before() -> None:
    assert read_exif(b"", xmp('xmp:Rating="5"', "<exif:Flash>")[:-30]) == {"rating": 5}


@fuzzed(100)
@given(st.data())
def test_a_damaged_block_gives_only_what_json_can_hold(data: st.DataObject) -> None:
    damaged = bytearray(exif_block(Shot("2024:05:17 14:03:22", "+09:00", (1.0, 2.0, 3.0))))
    for _ in range(data.draw(st.integers(1, 20))):
        at = data.draw(st.integers(14, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    found = read_exif(bytes(damaged))
    json.dumps(found, allow_nan=False).encode()
    assert -90 <= float(str(found.get("latitude", 0))) <= 90
