"""ICC profiles made tag by tag (ICC.1:2010, 7 and 10)."""

import itertools
import struct
from collections.abc import Sequence

Colorants = Sequence[tuple[float, float, float]]
"""XYZ of red, green and blue, white being D50."""

ADOBE: Colorants = (
    (0.6097, 0.3111, 0.0195),
    (0.2053, 0.6257, 0.0609),
    (0.1492, 0.0632, 0.7446),
)
P3: Colorants = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
PROPHOTO: Colorants = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))
D50 = (0.9642, 1.0, 0.8249)


def profile(
    tags: dict[bytes, bytes],
    space: bytes = b"RGB ",
    pcs: bytes = b"XYZ ",
    kind: bytes = b"mntr",
    version: int = 0x02400000,
) -> bytes:
    """The file; `tags` are those that decide, a white point is put beside them."""
    tags = {b"wtpt": xyz(*D50), **tags}
    at, table, contents = 132 + 12 * len(tags), b"", b""
    for signature, content in tags.items():
        table += struct.pack(">4sII", signature, at + len(contents), len(content))
        contents += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(contents), bytes(4), version, kind, space, pcs)
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(_fixed, D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + contents


def matrix(colorants: Colorants, curve: bytes) -> dict[bytes, bytes]:
    """The tags of a profile by colorants and one curve for all three channels."""
    names = (b"r", b"g", b"b")
    tags = {name + b"XYZ": xyz(*each) for name, each in zip(names, colorants, strict=True)}
    return tags | {name + b"TRC": curve for name in names}


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))


def curve(points: Sequence[float]) -> bytes:
    numbers = [round(65535 * point) for point in points]
    return b"curv\0\0\0\0" + struct.pack(f">I{len(numbers)}H", len(numbers), *numbers)


def parametric(kind: int, *values: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(map(_fixed, values))


def code_points(primaries: int, transfer: int) -> bytes:
    """The tag cicp, RGB of full range (ICC.1:2022, 9.2.17)."""
    return b"cicp\0\0\0\0" + bytes([primaries, transfer, 0, 1])


def table(colorants: Colorants, exponent: float, black: float = 0.0) -> bytes:
    """A table from RGB to Lab (lut16Type) whose black has this luminance."""
    edge = 17
    out = b"mft2\0\0\0\0" + bytes([3, 3, edge, 0])
    out += b"".join(map(_fixed, (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    out += struct.pack(">HH", 2, 2) + struct.pack(">HH", 0, 65535) * 3
    for grid in itertools.product(range(edge), repeat=3):
        light = [(value / (edge - 1)) ** exponent for value in grid]
        sums = [sum(c[i] * v for c, v in zip(colorants, light, strict=True)) for i in range(3)]
        lab = _lab(*(s * (1 - black) + black * w for s, w in zip(sums, D50, strict=True)))
        numbers = (lab[0] * 652.8, (lab[1] + 128) * 256, (lab[2] + 128) * 256)
        out += struct.pack(">HHH", *(max(0, min(65535, round(n))) for n in numbers))
    return out + struct.pack(">HH", 0, 65535) * 3


def _lab(*values: float) -> tuple[float, float, float]:
    x, y, z = (_root(value / white) for value, white in zip(values, D50, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _root(value: float) -> float:
    return value ** (1 / 3) if value > 0.008856 else value * 7.787 + 4 / 29


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))
