"""HEIC files of every depth, made with pillow-heif, which encodes what `pi_heif` only reads."""

import array
import io
from unittest.mock import patch

import pillow_heif

WIDTH, HEIGHT = 96, 64
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I;16": 1, "LA;16": 2, "RGB;16": 3, "RGBA;16": 4}


def ramp(mode: str, bits: int = 8) -> bytes:
    """A HEIC without loss that goes from black on the left to white on the right; where it has an
    alpha channel that goes the other way. `mode` is pillow-heif's; those of 16 bits are coded in
    `bits`, 10 or 12."""
    bands = _CHANNELS[mode]
    alpha = mode.split(";")[0].endswith("A")
    row = array.array("H" if mode.endswith("16") else "B")
    most = 65535 if mode.endswith("16") else 255
    for x in range(WIDTH):
        value = most * x // (WIDTH - 1)
        row.extend([value] * (bands - alpha) + [most - value] * alpha)
    out = io.BytesIO()
    with patch.object(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12):
        picture = pillow_heif.from_bytes(mode, (WIDTH, HEIGHT), row.tobytes() * HEIGHT)
        picture.save(out, quality=-1)
    return out.getvalue()
