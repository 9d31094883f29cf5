"""Small files of every type with metadata of every kind, and those that exiftool writes."""

import io
import struct
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pillow_heif
from PIL import Image

from tests.metadata_blocks import (
    ASCII,
    BYTE,
    LONG,
    SSHORT,
    UNDEFINED,
    Entries,
    chunk,
    iptc,
    photoshop,
    rationals,
    raw_profile,
    segment,
    short,
    text,
    tiff,
    xmp,
)

ORIGINAL, DIGITIZED, MODIFIED = 0x9003, 0x9004, 0x0132
OFFSET, OFFSET_ORIGINAL, OFFSET_DIGITIZED = 0x9010, 0x9011, 0x9012
MAKE, MODEL, ORIENTATION, RATING, LENS = 0x010F, 0x0110, 0x0112, 0x4746, 0xA434
EXPOSURE, F_NUMBER, FOCAL_LENGTH = 0x829A, 0x829D, 0x920A


class Kept(NamedTuple):
    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""


def place(latitude: str, longitude: str, altitude: int | None = None, below: int = 0) -> Entries:
    """Of texts such as "37 33 4.32 N"."""

    def angle(told: str) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
        *parts, letter = told.split()
        return text(letter), rationals(*((round(float(part) * 100), 100) for part in parts))

    tags = dict(zip((1, 2, 3, 4), (*angle(latitude), *angle(longitude)), strict=True))
    if altitude is not None:
        tags |= {5: (BYTE, bytes([below])), 6: rationals((altitude, 10))}
    return tags


def dated(date: str, **offsets: str) -> Kept:
    named = {"general": OFFSET, "original": OFFSET_ORIGINAL, "digitized": OFFSET_DIGITIZED}
    more = {named[name]: text(offset) for name, offset in offsets.items()}
    return Kept(tiff(exif={ORIGINAL: text(date), **more}))


def long(value: int) -> tuple[int, bytes]:
    return LONG, struct.pack(">I", value)


CAMERA = {MAKE: text("FUJIFILM"), MODEL: text("X-T5")}
SEOUL = place("37 33 4.32 N", "126 59 17.52 E", 2620)
DAY = "2024:05:17 14:03:22"

METADATA: Mapping[str, Kept] = {
    "nothing": Kept(),  # as KakaoTalk and WhatsApp send them
    "a camera": Kept(
        tiff(
            {**CAMERA, ORIENTATION: short(6), RATING: short(4),
             MODIFIED: text("2025:01:01 00:00:00")},
            {ORIGINAL: text(DAY), DIGITIZED: text("2024:05:17 14:03:23"), 0x9291: text("87"),
             OFFSET_ORIGINAL: text("+09:00"), OFFSET: text("+01:00"), LENS: text("XF33mmF1.4"),
             EXPOSURE: rationals((1, 250)), F_NUMBER: rationals((28, 10)), 0x8827: short(400),
             FOCAL_LENGTH: rationals((33, 1))},
            SEOUL,
        ),
        xmp('xmp:Rating="2" exif:FNumber="56/10" photoshop:DateCreated="2020-01-01"'),
    ),
    "an iphone": Kept(
        tiff(
            {MAKE: text("Apple"), MODEL: text("iPhone 15 Pro"), MODIFIED: text(DAY)},
            {ORIGINAL: text(DAY), DIGITIZED: text(DAY), OFFSET: text("-07:00"),
             OFFSET_ORIGINAL: text("-07:00"), OFFSET_DIGITIZED: text("-07:00"),
             LENS: text("iPhone 15 Pro back triple camera 6.765mm f/1.78"),
             EXPOSURE: rationals((1, 121)), F_NUMBER: rationals((16, 9)), 0x8827: short(80),
             FOCAL_LENGTH: rationals((6765, 1000))},
            place("37 46 29.64 N", "122 25 9.83 W", 157),
        )
    ),
    "a galaxy": Kept(
        tiff(
            {MAKE: text("samsung" + "\0" * 9), MODEL: text("Galaxy S24 Ultra" + " " * 8),
             MODIFIED: text(DAY)},
            {ORIGINAL: text(DAY), DIGITIZED: text(DAY), OFFSET: text("+09:00"),
             EXPOSURE: rationals((1, 60)), F_NUMBER: rationals((170, 100)), 0x8827: short(250)},
        )
    ),
    "a pixel": Kept(
        tiff({MAKE: text("Google"), MODEL: text("Pixel 8")}, {ORIGINAL: text(DAY)}),
        xmp('xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"'
            ' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="0A1B"'),
    ),
    "a screenshot": Kept(
        xmp=xmp(elements="<exif:UserComment><rdf:Alt><rdf:li xml:lang='x-default'>Screenshot"
                "</rdf:li></rdf:Alt></exif:UserComment>"
                "<photoshop:DateCreated>2024-05-17T14:03:22+09:00</photoshop:DateCreated>")
    ),
    "south, west, below the sea": Kept(
        tiff(gps=place("33 51 24.5 S", "151 12 55.1 W", 4305, 1))
    ),
    "a place of degrees with fractions": Kept(tiff(gps=place("37.55 0 0 N", "126.98 0 0 E"))),
    "a place in texts": Kept(
        tiff(gps={1: text("N"), 2: text("37,33,4.32"), 3: text("E"), 4: text("126,59,17.52")})
    ),
    "a place in texts of degrees": Kept(
        tiff(gps={1: text("S"), 2: text("37.5512"), 3: text("W"), 4: text("126.9882")})
    ),
    "a place in bytes": Kept(
        tiff(gps={1: text("N"), 2: (BYTE, bytes([37, 33, 4])), 3: text("E"),
                  4: (BYTE, bytes([126, 59, 17]))})
    ),
    "references in bytes": Kept(
        tiff(gps={**SEOUL, 1: (BYTE, b"N\0"), 3: (UNDEFINED, b"E\0")})
    ),
    "digitized": Kept(tiff(exif={DIGITIZED: text(DAY), OFFSET_DIGITIZED: text("+02:00")})),
    "edited": Kept(tiff({MODIFIED: text(DAY)})),
    "satellites' date": Kept(
        tiff(gps={0x1D: text("2024:05:17"), 7: rationals((5, 1), (3, 1), (225, 10))})
    ),
    "satellites' day": Kept(tiff(gps={0x1D: text("2024:05:17")})),
    "dashes": dated("2024-08-19 10:11:12"),
    "slashes": dated("2024/08/19 10:11:12"),
    "iso": dated("2024-08-19T10:11:12+09:00"),
    "a zone in the date": dated("2024:08:19 10:11:12+0900"),
    "a fraction": dated("2024:08:19 10:11:12.345"),
    "a short year": dated("24:08:19 10:11:12"),
    "a day": dated("2024:08:19"),
    "general offset": dated(DAY, general="-05:30"),
    "offset without a colon": dated(DAY, original="+0900"),
    "absurd offset": dated(DAY, original="+25:00"),
    "no offset": dated(DAY, original="   :  "),
    "never set": dated("0000:00:00 00:00:00"),
    "blank": dated("    :  :     :  :  "),
    "the year 9999": dated("9999:12:31 23:59:59"),
    "hours of old raw formats": Kept(
        tiff({0x882A: (SSHORT, struct.pack(">h", 9))}, {ORIGINAL: text(DAY)})
    ),
    "iso speed": Kept(tiff(exif={0x8827: short(65_535), 0x8833: long(102_400)})),
    "standard output sensitivity": Kept(tiff(exif={0x8831: long(800)})),
    "recommended exposure index": Kept(tiff(exif={0x8832: long(1600)})),
    "a long exposure": Kept(tiff(exif={EXPOSURE: rationals((30, 1)), F_NUMBER: rationals((8, 1))})),
    "x/0": Kept(tiff(exif={EXPOSURE: rationals((1, 0)), FOCAL_LENGTH: rationals((0, 0))})),
    "latitude 213": Kept(tiff(gps=place("213 0 0 N", "126 0 0 E"))),
    "altitude 429496728": Kept(tiff(gps=place("37 0 0 N", "126 0 0 E", 4294967284))),
    "zero and zero": Kept(tiff(gps=place("0 0 0 N", "0 0 0 E"))),
    "hangul": Kept(tiff({MAKE: text("삼성"), MODEL: text("갤럭시")}, {LENS: text("망원 3×")})),
    "hangul of windows": Kept(tiff({MODEL: (ASCII, "갤럭시 카메라".encode("cp949") + b"\0")})),
    "xmp": Kept(
        xmp=xmp('tiff:Make="SONY" tiff:Model="ILCE-7M4" aux:Lens="FE 35mm F1.8" xmp:Rating="5"'
                ' exif:ExposureTime="1/250" exif:FNumber="28/10" exif:FocalLength="35/1"'
                ' exif:GPSLatitude="37,33.072N" exif:GPSLongitude="126,59.292W"'
                ' exif:GPSAltitude="262/1" exif:GPSAltitudeRef="1" xmp:ModifyDate="2025-01-01"'
                ' exif:DateTimeOriginal="2024-05-17T14:03:22.5+09:00" tiff:Orientation="6"',
                "<exif:ISOSpeedRatings><rdf:Seq><rdf:li>320</rdf:li></rdf:Seq>"
                "</exif:ISOSpeedRatings>")
    ),
    "xmp's digitized": Kept(xmp=xmp('exif:DateTimeDigitized="2024-05-17T14:03:22Z"')),
    "xmp's creation": Kept(xmp=xmp('xmp:CreateDate="2024-05-17T14:03" xmp:Rating="-1"')),
    "xmp's satellites": Kept(xmp=xmp('exif:GPSTimeStamp="2024-05-17T05:03:22Z"')),
    "xmp's lens": Kept(xmp=xmp('exifEX:LensModel="RF 50mm" exifEX:PhotographicSensitivity="64"')),
    "iptc": Kept(iptc=iptc(_5="a title", _55="20240517", _60="140322+0900")),
    "iptc's day": Kept(iptc=iptc(_55="20240517")),
    "iptc's digitized": Kept(iptc=iptc(_62="20240517", _63="140322+0000")),
}  # fmt: skip


@cache
def plain(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 120, 30)).save(out, kind)
    return out.getvalue()


def _jpeg(kept: Kept) -> bytes:
    parts = [
        segment(0xE1, b"Exif\0\0" + kept.exif) if kept.exif else b"",
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + kept.xmp) if kept.xmp else b"",
        segment(0xED, b"Photoshop 3.0\0" + photoshop(kept.iptc)) if kept.iptc else b"",
    ]
    return plain("JPEG")[:2] + b"".join(parts) + plain("JPEG")[2:]


def _png(kept: Kept, at: int = 33) -> bytes:
    parts = [
        chunk(b"eXIf", kept.exif) if kept.exif else b"",
        chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + kept.xmp) if kept.xmp else b"",
        raw_profile(b"iptc", photoshop(kept.iptc)) if kept.iptc else b"",
    ]
    return plain("PNG")[:at] + b"".join(parts) + plain("PNG")[at:]


def _raw_profiles(kept: Kept) -> bytes:
    parts = [
        raw_profile(b"exif", b"Exif\0\0" + kept.exif) if kept.exif else b"",
        raw_profile(b"xmp", kept.xmp) if kept.xmp else b"",
        raw_profile(b"iptc", kept.iptc) if kept.iptc else b"",
    ]
    return plain("PNG")[:33] + b"".join(parts) + plain("PNG")[33:]


def _gif(kept: Kept) -> bytes:
    end = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    extension = b"\x21\xff\x0bXMP DataXMP" + kept.xmp + end if kept.xmp else b""
    at = plain("GIF").index(b"\x2c", 13)
    return b"GIF89a" + plain("GIF")[6:at] + extension + plain("GIF")[at:]


def _saved(kind: str, **more: Any) -> Callable[[Kept], bytes]:
    def save(kept: Kept) -> bytes:
        out = io.BytesIO()
        given = {name: block for name, block in kept._asdict().items() if block and name != "iptc"}
        Image.new("RGB", (16, 16)).save(out, kind, **given, **more)
        return out.getvalue()

    return save


def _heic(kept: Kept) -> bytes:
    out = io.BytesIO()
    image = pillow_heif.from_pillow(Image.new("RGB", (64, 64)))
    given = {name: block for name, block in kept._asdict().items() if block and name != "iptc"}
    image.save(out, quality=50, **given)
    return out.getvalue()


TYPES: Mapping[str, tuple[str, Callable[[Kept], bytes]]] = {
    "jpg": ("image/jpeg", _jpeg),
    "png": ("image/png", _png),
    "after.png": ("image/png", lambda kept: _png(kept, len(plain("PNG")) - 12)),
    "profiles.png": ("image/png", _raw_profiles),
    "gif": ("image/gif", _gif),
    "webp": ("image/webp", _saved("WEBP")),
    "avif": ("image/avif", _saved("AVIF", speed=10)),
    "heic": ("image/heic", _heic),
}
"""By what the file's name ends with: the type, and the file with this metadata."""

WRITTEN: Mapping[str, list[str]] = {
    "everything": [
        "-EXIF:DateTimeOriginal=2024:05:17 14:03:22", "-EXIF:OffsetTimeOriginal=+09:00",
        "-EXIF:SubSecTimeOriginal=123", "-EXIF:Make=Canon", "-EXIF:Model=Canon EOS R5",
        "-EXIF:LensModel=RF24-105mm F4 L IS USM", "-EXIF:ExposureTime=1/320", "-EXIF:FNumber=4",
        "-EXIF:ISO=200", "-EXIF:FocalLength=105", "-EXIF:GPSLatitude=33.8568",
        "-EXIF:GPSLatitudeRef=S", "-EXIF:GPSLongitude=151.2153", "-EXIF:GPSLongitudeRef=E",
        "-EXIF:GPSAltitude=12.5", "-EXIF:GPSAltitudeRef=below", "-EXIF:Orientation#=8",
        "-EXIF:Rating=3",
    ],
    "xmp alone": [
        "-XMP:DateTimeOriginal=2024:05:17 14:03:22.25+09:00", "-XMP-aux:Lens=EF 50mm f/1.8",
        "-XMP-tiff:Make=Canon", "-XMP-tiff:Model=EOS 5D", "-XMP:Rating=3",
        "-XMP-exif:GPSLatitude=37.5512", "-XMP-exif:GPSLongitude=-126.9882",
        "-XMP-exif:GPSAltitude=33", "-XMP-exif:GPSAltitudeRef=below", "-XMP-exif:ISO=640",
        "-XMP-exif:ExposureTime=0.004", "-XMP-exif:FNumber=1.8", "-XMP-exif:FocalLength=50",
        "-XMP:ModifyDate=2025:01:01 00:00:00",
    ],
    "xmp in attributes": [
        "-api", "Compact=Shorthand", "-XMP-photoshop:DateCreated=2024:05:17", "-XMP:Rating=1",
        "-XMP-exifEX:LensModel=망원", "-XMP-exifEX:PhotographicSensitivity=50",
    ],
    "satellites in xmp": ["-XMP-exif:GPSDateTime=2024:05:17 05:03:22Z"],
    "satellites in exif": [
        "-EXIF:GPSDateStamp=2024:05:17", "-EXIF:GPSTimeStamp=05:03:22.5", "-EXIF:Rating=5"
    ],
    "a scan": ["-EXIF:CreateDate=2024:05:17 14:03:22", "-EXIF:ModifyDate=2025:01:01 00:00:00"],
    "little-endian": [
        "-ExifByteOrder=II", "-EXIF:DateTimeOriginal=2024:05:17 14:03:22", "-EXIF:Make=Nikon",
        "-EXIF:RecommendedExposureIndex=3200", "-EXIF:OffsetTime=Z",
    ],
}  # fmt: skip
ONLY_JPEG: Mapping[str, list[str]] = {
    "iptc in utf-8": [
        "-CodedCharacterSet=UTF8", "-IPTC:Keywords=서울", "-IPTC:By-line=이산",
        "-IPTC:DateCreated=2024:05:17", "-IPTC:TimeCreated=14:03:22+09:00",
    ],
    "iptc in latin": [
        "-CodedCharacterSet=", "-IPTC:Keywords=Zürich",
        "-IPTC:DigitalCreationDate=2024:05:17", "-IPTC:DigitalCreationTime=14:03:22-03:30",
    ],
}  # fmt: skip


def make_corpus(folder: Path) -> dict[Path, str]:
    """The content type by file. A type that cannot hold a kind of metadata goes without."""
    made = {}
    for number, (name, kept) in enumerate(METADATA.items()):
        for ending, (content_type, make) in TYPES.items():
            path = folder / f"{number:02} {name.replace('/', ' by ')}.{ending}"
            path.write_bytes(make(kept))
            made[path] = content_type
    return made


def written_by_exiftool(folder: Path) -> dict[Path, str]:
    """As `make_corpus`. WebP it does not write before version 12.63."""
    made, arguments = {}, []
    for ending in ("jpg", "png", "heic", "avif"):
        source = folder / f"plain.{ending}"
        content_type, make = TYPES[ending]
        source.write_bytes(make(Kept()))
        for name, options in {**WRITTEN, **(ONLY_JPEG if ending == "jpg" else {})}.items():
            path = folder / f"written {name}.{ending}"
            made[path] = content_type
            arguments += [*options, "-q", "-o", str(path), str(source), "-execute"]
    listed = folder / "arguments"
    listed.write_text("\n".join(arguments))
    done = subprocess.run(
        ["exiftool", "-@", str(listed)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return made
