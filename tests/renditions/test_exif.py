"""EXIF is read where it makes sense, and left out where it does not."""

import json
import struct
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from photo_api.renditions.exif import MAX_SECONDS, MAX_TEXT, read_exif
from photo_api_client.exif import Camera
from tests.fuzzing import fuzzed
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


@pytest.mark.parametrize("offset", ["+9", "Seoul", "+25:00", "   :  "])
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
        b"\0" * 1000,
    ],
)
def test_garbage_is_no_exif(garbage: bytes) -> None:
    assert read_exif(garbage) == {}


def test_a_block_made_to_cost_hours_is_given_up() -> None:
    count, size = 14_000, 18
    chain = b"".join(
        struct.pack("<HHHIII", 1, EXPOSURE, 5, 999, 8, 8 + size * (number + 1))
        for number in range(count)
    )
    began = time.process_time()
    assert read_exif(b"II*\0\x08\0\0\0" + chain) == {}
    assert time.process_time() - began < 5 * MAX_SECONDS


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
