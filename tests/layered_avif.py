"""An AVIF of two layers (AV1 Image File Format, 2.3.2).

Pillow writes none, so the first frames of two animations become those of one picture: the sequence
header is told of two spatial layers, and each frame to which it belongs (AV1 specification, 5.3 and
5.5).
"""

import struct

from PIL import Image

from photo_api.renditions.boxes import boxes
from photo_api_client.photographs import encode
from tests.heif_boxes import Item, box, heif, ispe, pixi
from tests.quadrants import BRANDS

DELIMITER, SEQUENCE, FRAME = 2, 1, 6
CONFIGURATION = box(b"av1C", b"\x81\0\x0c\0")
"""Main profile, 8 bits, 4:2:0."""


def layered(first: Image.Image, second: Image.Image, *properties: bytes) -> bytes:
    """Pictures of the same size; `properties` say which of them is shown, otherwise the second."""
    base, enhanced = _units(first), _units(second)
    sequence = _of_two_layers(base[SEQUENCE])
    start = _unit(DELIMITER, b"") + _unit(SEQUENCE, sequence) + _unit(FRAME, base[FRAME], 0)
    sizes = box(b"a1lx", struct.pack(">B3H", 0, len(start), 0, 0))
    own = [ispe(*first.size), pixi(8, 8, 8), CONFIGURATION, sizes, *properties]
    content = start + _unit(FRAME, enhanced[FRAME], 1)
    return heif({1: Item(b"av01", content, own)}, brands=BRANDS[b"av01"])


def lsel(layer: int) -> bytes:
    """This layer is shown; 0xFFFF: the last."""
    return box(b"lsel", struct.pack(">H", layer))


def a1op(point: int) -> bytes:
    """Of this operating point the last layer is shown: point 0 has both, 1 the first."""
    return box(b"a1op", bytes([point]))


def _units(image: Image.Image) -> dict[int, bytes]:
    """The contents by type of what codes the first frame (OBUs)."""
    movie = [image, image.rotate(90)]
    data = encode(movie[0], "AVIF", save_all=True, append_images=movie[1:], speed=9, quality=90)
    at = next(one for one in boxes(data, 0, len(data)) if one.kind == b"mdat").start
    at = data.index(b"\x12\0", at)  # the delimiter before the first frame
    found: dict[int, bytes] = {}
    while FRAME not in found:
        kind, size, shift = data[at] >> 3 & 15, 0, 0
        at += 1
        while True:
            size |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                break
        found[kind] = data[at : at + size]
        at += size
    return found


def _unit(kind: int, content: bytes, layer: int | None = None) -> bytes:
    head = bytes([kind << 3 | 2]) if layer is None else bytes([kind << 3 | 6, layer << 3])
    size, rest = b"", len(content)
    while rest > 0x7F:
        size, rest = size + bytes([rest & 0x7F | 0x80]), rest >> 7
    return head + size + bytes([rest]) + content


def _of_two_layers(sequence: bytes) -> bytes:
    """A sequence header with two operating points instead of one."""
    bits = "".join(f"{byte:08b}" for byte in sequence)
    assert bits[3:24] == 21 * "0", "neither still, nor reduced, nor timed, and one point of all"
    level = bits[24:29]
    points = f"00001 {0x301:012b} {level} {0x101:012b} {level}".replace(" ", "")
    changed = bits[:7] + points + bits[29:]
    changed += "0" * (-len(changed) % 8)
    return int(changed, 2).to_bytes(len(changed) // 8, "big")
