"""What the numbers of a picture mean where no ICC profile says it.

ITU-T H.273's code points in HEIF (`nclx`) and PNG (`cICP`), and PNG's `gAMA` and `cHRM`. Where
browsers read a file differently from its standard, it is read as Chromium does.
"""

import struct
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from types import MappingProxyType
from typing import NamedTuple

from photo_api.renditions.heif_picture import Picture
from photo_api.renditions.png import chunks

Point = tuple[float, float]
Primaries = tuple[Point, Point, Point, Point]
"""Chromaticities x and y (CIE 1931) of red, green, blue and white."""
Matrix = tuple[tuple[float, ...], ...]


class Curve(Enum):
    """From a number to light, both 0 to 1; PQ's 1 is 10,000 cd/m², HLG's that of its display."""

    SRGB = auto()
    POWER = auto()
    SMPTE240 = auto()
    SMPTE428 = auto()
    PQ = auto()
    HLG = auto()


HDR = frozenset({Curve.PQ, Curve.HLG})

_D65, _C, _E = (0.3127, 0.3290), (0.310, 0.316), (1 / 3, 1 / 3)
_DCI = (0.314, 0.351)
SRGB: Primaries = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
BT2020: Primaries = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65)
_SMPTE170: Primaries = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
_PRIMARIES: Mapping[int, Primaries] = MappingProxyType(
    {
        4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
        5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
        6: _SMPTE170,
        7: _SMPTE170,
        8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
        9: BT2020,
        10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), _E),
        11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),
        12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
        22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
    }
)
"""H.273, table 2; of all others those of sRGB are taken."""

_CURVES: Mapping[int, tuple[Curve, float]] = MappingProxyType(
    {
        4: (Curve.POWER, 2.2),
        5: (Curve.POWER, 2.8),
        7: (Curve.SMPTE240, 1.0),
        8: (Curve.POWER, 1.0),
        16: (Curve.PQ, 1.0),
        17: (Curve.SMPTE428, 1.0),
        18: (Curve.HLG, 1.0),
    }
)
"""H.273, table 3, with a power's exponent; of all others sRGB's curve is taken."""
_VIDEO = (1, 6, 11, 14, 15)
"""Curves of BT.709 and its kin: in a PNG they mean the display's (BT.1886), in HEIF sRGB's."""
DEFAULT_BRIGHTEST = 1000.0


class Coding(NamedTuple):
    """`brightest` is what an HDR picture's lightest pixel has, in cd/m². A grey picture of limited
    range has black at 16 and white at 235 of 255, which libheif leaves so."""

    primaries: Primaries = SRGB
    curve: Curve = Curve.SRGB
    exponent: float = 1.0
    brightest: float = DEFAULT_BRIGHTEST
    limited_grey: bool = False
    over_profile: bool = False
    """Whether it stands although there is an ICC profile too."""


def coding_of(data: bytes, content_type: str, heif: Picture | None) -> Coding:
    """What the file says; sRGB where it says nothing. Raises nothing."""
    if content_type == "image/png":
        return _of_png(data)
    if heif is None or heif.nclx is None:
        return Coding()
    return _of_codes(heif.nclx.primaries, heif.nclx.transfer)._replace(
        brightest=heif.brightest or DEFAULT_BRIGHTEST,
        limited_grey=heif.grey and not heif.nclx.full_range,
    )


def coding_of_profile(codes: tuple[int, int] | None) -> Coding | None:
    """By the code points that an ICC profile has; None where the rest of it is to be read."""
    known = codes and codes[0] in (1, *_PRIMARIES) and codes[1] in (*_VIDEO, 13, *_CURVES)
    return _of_codes(*codes) if codes and known else None


def _of_codes(primaries: int, transfer: int) -> Coding:
    curve, exponent = _CURVES.get(transfer, (Curve.SRGB, 1.0))
    return Coding(_PRIMARIES.get(primaries, SRGB), curve, exponent)


_PNG_CHUNKS = frozenset({b"cICP", b"sRGB", b"gAMA", b"cHRM", b"cLLI", b"mDCV"})
_MAX_CHUNKS = 10_000


def _of_png(data: bytes) -> Coding:
    """By the chunks before the picture (PNG, third edition, 4.3 and 11.3.2)."""
    found: dict[bytes, bytes] = {}
    for name, start, length in chunks(data, _MAX_CHUNKS):
        if name == b"IDAT":
            break
        if name in _PNG_CHUNKS and length <= 64:
            found.setdefault(name, data[start : start + length])
    codes = found.get(b"cICP", b"")
    # Full-range RGB; browsers leave any other aside.
    if len(codes) == 4 and codes[2:] == b"\x00\x01" and (codes[0] in (1, *_PRIMARIES)):
        return _of_cicp(codes[0], codes[1], found)
    return Coding() if b"sRGB" in found else _of_gamma(found)


def _of_cicp(primaries: int, transfer: int, chunks: Mapping[bytes, bytes]) -> Coding:
    coding = _of_codes(primaries, transfer)
    if transfer in _VIDEO:
        coding = coding._replace(curve=Curve.POWER, exponent=2.4)
    light = int.from_bytes(chunks.get(b"cLLI", b"")[:4], "big")
    light = light or int.from_bytes(chunks.get(b"mDCV", b"")[16:20], "big")
    return coding._replace(brightest=light / 10_000 or DEFAULT_BRIGHTEST, over_profile=True)


def _of_gamma(chunks: Mapping[bytes, bytes]) -> Coding:
    gamma = int.from_bytes(chunks.get(b"gAMA", b"")[:4], "big") / 100_000
    chromaticities = chunks.get(b"cHRM")
    primaries = _primaries(chromaticities) if chromaticities else SRGB
    if not gamma or primaries is None:
        return Coding()
    if not chromaticities and abs(gamma * 2.2 - 1) < 0.05:  # nothing but sRGB, said roughly
        return Coding()
    return Coding(primaries, Curve.POWER, 1 / gamma)


def _primaries(chunk: bytes) -> Primaries | None:
    if len(chunk) != 32:
        return None
    numbers = struct.unpack(">8I", chunk)
    white, red, green, blue = (
        (numbers[at] / 100_000, numbers[at + 1] / 100_000) for at in range(0, 8, 2)
    )
    primaries: Primaries = red, green, blue, white
    try:
        to_srgb(primaries)
    except ZeroDivisionError:
        return None
    return primaries


def to_srgb(primaries: Primaries, to: Primaries = SRGB) -> Matrix:
    """From linear light of these primaries to that of sRGB's, or of others, as white as before
    (Bradford). Raises ZeroDivisionError for what spans no colours."""
    out = product(_inverse(to_xyz(to)), _adapted(primaries[3], to[3]))
    return product(out, to_xyz(primaries))


def to_xyz(primaries: Primaries) -> Matrix:
    """From linear light to CIE XYZ, where white's Y is 1: the second row weighs luminance."""
    columns = [_xyz(point) for point in primaries[:3]]
    each: Matrix = tuple(zip(*columns, strict=True))
    weights = _applied(_inverse(each), _xyz(primaries[3]))
    return tuple(tuple(v * w for v, w in zip(row, weights, strict=True)) for row in each)


def _xyz(point: Point) -> tuple[float, ...]:
    x, y = point
    if point == (0.0, 0.0):  # the Z of XYZ as primaries
        return 0.0, 0.0, 1.0
    return (x, y, 1 - x - y) if y == 0 else (x / y, 1.0, (1 - x - y) / y)


_BRADFORD: Matrix = (
    (0.8951, 0.2664, -0.1614),
    (-0.7502, 1.7135, 0.0367),
    (0.0389, -0.0685, 1.0296),
)


def _adapted(source: Point, target: Point) -> Matrix:
    before, after = _applied(_BRADFORD, _xyz(source)), _applied(_BRADFORD, _xyz(target))
    scales = tuple(new / old for new, old in zip(after, before, strict=True))
    scaled = tuple(tuple(v * s for v in row) for row, s in zip(_BRADFORD, scales, strict=True))
    return product(_inverse(_BRADFORD), scaled)


def product(first: Matrix, second: Matrix) -> Matrix:
    """Of two matrices of three by three, by rows."""
    columns = [*zip(*second, strict=True)]
    return tuple(tuple(_dot(row, column) for column in columns) for row in first)


def _applied(matrix: Matrix, vector: Sequence[float]) -> tuple[float, ...]:
    return tuple(_dot(row, vector) for row in matrix)


def _dot(first: Sequence[float], second: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(first, second, strict=True))


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return tuple(tuple(v / determinant for v in row) for row in cofactors)
