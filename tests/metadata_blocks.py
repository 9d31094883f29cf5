"""Metadata blocks with types and places as some cameras and programs choose them, and files that
hold them."""

import struct
import zlib
from collections.abc import Mapping

from photo_api_client.photographs import encode, heic, picture

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SSHORT = 1, 2, 3, 4, 5, 7, 8
EXIF_POINTER, GPS_POINTER = 0x8769, 0x8825

Entries = Mapping[int, tuple[int, bytes]]
"""A type and the value's bytes, big-endian, by tag."""

_SIZES = {SHORT: 2, LONG: 4, RATIONAL: 8, SSHORT: 2}
_TIFF = b"MM\0*\0\0\0\x08"


def text(value: str) -> tuple[int, bytes]:
    return ASCII, value.encode() + b"\0"


def short(value: int) -> tuple[int, bytes]:
    return SHORT, struct.pack(">H", value)


def rationals(*values: tuple[int, int]) -> tuple[int, bytes]:
    return RATIONAL, b"".join(struct.pack(">II", *value) for value in values)


def tiff(
    image: Entries | None = None, exif: Entries | None = None, gps: Entries | None = None
) -> bytes:
    """An EXIF block of these tags, as TIFF has it."""
    first = dict(image or {})
    below = {EXIF_POINTER: exif, GPS_POINTER: gps}
    wanted = {pointer: entries for pointer, entries in below.items() if entries}
    first |= {pointer: (LONG, bytes(4)) for pointer in wanted}
    at = len(_TIFF) + len(_directory(first, 0))
    rest = b""
    for pointer, entries in wanted.items():
        first[pointer] = LONG, struct.pack(">I", at + len(rest))
        rest += _directory(entries, at + len(rest))
    return _TIFF + _directory(first, len(_TIFF)) + rest


def _directory(entries: Entries, at: int) -> bytes:
    head, values = struct.pack(">H", len(entries)), b""
    start = at + 2 + 12 * len(entries) + 4
    for tag, (kind, value) in sorted(entries.items()):
        head += struct.pack(">HHI", tag, kind, len(value) // _SIZES.get(kind, 1))
        if len(value) <= 4:
            head += value.ljust(4, b"\0")
        else:
            head += struct.pack(">I", start + len(values))
            values += value + bytes(len(value) % 2)
    return head + bytes(4) + values


def xmp(attributes: str = "", elements: str = "") -> bytes:
    """A packet with these properties, in either of the two ways that RDF has."""
    return f"""<?xpacket begin="\N{ZERO WIDTH NO-BREAK SPACE}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"
 xmlns:exifEX="http://cipa.jp/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" {attributes}>{elements}</rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()


def iptc(**datasets: str) -> bytes:
    """Datasets of the application record, by names such as `_55`."""
    return b"".join(
        struct.pack(">BBBH", 0x1C, 2, int(name[1:]), len(value)) + value.encode()
        for name, value in datasets.items()
    )


def photoshop(block: bytes) -> bytes:
    """Image resources, of which the second is IPTC's."""
    first = b"8BIM\x03\xed\x03odd" + struct.pack(">I", 3) + b"abc\0"
    return first + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block


def segment(code: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(content) + 2) + content


def jpeg_with(*segments: bytes) -> bytes:
    plain = encode(picture("chelsea.png"), "JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def png_with(*chunks: bytes, last: bool = False) -> bytes:
    """The chunks after IHDR, or after the picture."""
    plain = encode(picture("chelsea.png"), "PNG")
    at = len(plain) - 12 if last else 33
    return plain[:at] + b"".join(chunks) + plain[at:]


def raw_profile(kind: bytes, block: bytes) -> bytes:
    """A text chunk as ImageMagick writes it."""
    digits = block.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    content = b"\n%s\n%8d\n%s\n" % (kind, len(block), lines)
    return chunk(b"zTXt", b"Raw profile type " + kind + b"\0\0" + zlib.compress(content))


def heic_with(block: bytes) -> bytes:
    """The HEIC with this EXIF block, as an item at the end of the file."""
    plain = bytearray(heic())
    item = struct.pack(">I", 6) + b"Exif\0\0" + block
    at = plain.index(b"iloc") + 12
    while int.from_bytes(plain[at : at + 2]) != 3:  # its Exif item
        at += 12 + 8 * int.from_bytes(plain[at + 10 : at + 12])
    struct.pack_into(">HHIHII", plain, at + 2, 0, 0, 0, 1, len(plain) + 8, len(item))
    return bytes(plain) + struct.pack(">I", len(item) + 8) + b"mdat" + item


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def heif_of_items(items: Mapping[int, tuple[bytes, bytes]], own: int = 0) -> bytes:
    """A HEIF without a picture whose items, kind and content by number, lie in `idat`, each in two
    extents; number `own` describes the primary one."""
    infos = places = data = b""
    for number, (kind, content) in items.items():
        kind += b"\0" + (b"application/rdf+xml\0" if kind == b"mime" else b"")
        infos += _box(b"infe", struct.pack(">IHH", 2 << 24, number, 0) + kind)
        half = len(content) // 2
        extents = (len(data), half, len(data) + half, len(content) - half)
        places += struct.pack(">HHHHIIII", number, 1, 0, 2, *extents)
        data += content
    return _box(b"ftyp", b"heic\0\0\0\0mif1heic") + _box(
        b"meta",
        bytes(4)
        + _box(b"pitm", struct.pack(">IH", 0, 1))
        + _box(b"iinf", struct.pack(">IH", 0, len(items)) + infos)
        + _box(b"iloc", struct.pack(">IBBH", 1 << 24, 0x44, 0, len(items)) + places)
        + _box(b"iref", bytes(4) + _box(b"cdsc", struct.pack(">HHH", own, 1, 1)))
        + _box(b"idat", data),
    )
