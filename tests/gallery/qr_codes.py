"""Reads QR codes of up to version 10 that are without faults (ISO/IEC 18004): what a camera would
read."""

from collections.abc import Callable, Iterator

Matrix = list[list[bool]]

# By level (L, M, Q, H, as codes have them) and version: the codewords for correction in each block,
# and how many blocks there are.
CORRECTION = {
    1: (7, 10, 15, 20, 26, 18, 20, 24, 30, 18),
    0: (10, 16, 26, 18, 24, 16, 18, 22, 22, 26),
    3: (13, 22, 18, 26, 18, 24, 18, 22, 20, 24),
    2: (17, 28, 22, 16, 22, 28, 26, 26, 24, 28),
}
BLOCKS = {
    1: (1, 1, 1, 1, 1, 2, 2, 2, 2, 4),
    0: (1, 1, 1, 2, 2, 4, 4, 4, 5, 5),
    3: (1, 1, 2, 2, 4, 4, 6, 6, 8, 8),
    2: (1, 1, 2, 4, 4, 4, 5, 6, 8, 8),
}
ALIGNED = (18, 22, 26, 30, 34, (22, 38), (24, 42), (26, 46), (28, 50))
"""Where alignment patterns are beside the row and column 6, from version 2 on."""

MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda x, y: (x + y) % 2 == 0,
    lambda x, y: y % 2 == 0,
    lambda x, y: x % 3 == 0,
    lambda x, y: (x + y) % 3 == 0,
    lambda x, y: (x // 3 + y // 2) % 2 == 0,
    lambda x, y: x * y % 2 + x * y % 3 == 0,
    lambda x, y: (x * y % 2 + x * y % 3) % 2 == 0,
    lambda x, y: ((x + y) % 2 + x * y % 3) % 2 == 0,
)


def read(code: Matrix) -> str:
    """The text in this code, without the border around it; dark is true."""
    size = len(code)
    version = (size - 17) // 4
    assert size in range(21, 58, 4)
    told = [code[8][x] for x in (0, 1, 2, 3, 4)]
    bits = int("".join("01"[bit] for bit in told), 2) ^ 0b10101
    level, mask = bits >> 3, MASKS[bits & 7]
    words = list(_words(code, version, mask))
    data = _joined(words, CORRECTION[level][version - 1], BLOCKS[level][version - 1])
    stream = "".join(f"{word:08b}" for word in data)
    assert stream[:4] == "0100", "not in bytes"
    width = 8 if version < 10 else 16
    count = int(stream[4 : 4 + width], 2)
    start = 4 + width
    text = bytes(int(stream[start + 8 * i : start + 8 * i + 8], 2) for i in range(count))
    return text.decode()


def _words(code: Matrix, version: int, mask: Callable[[int, int], bool]) -> Iterator[int]:
    """All codewords, in the way in which they wind up and down from the right."""
    size, word, bits = len(code), 0, 0
    columns = [x - (x <= 6) for x in range(size - 1, 0, -2)]
    for turn, right in enumerate(columns):
        rows = range(size) if turn % 2 else range(size - 1, -1, -1)
        for y in rows:
            for x in (right, right - 1):
                if _has_function(x, y, size, version):
                    continue
                word, bits = word << 1 | (code[y][x] ^ mask(x, y)), bits + 1
                if bits == 8:
                    yield word
                    word, bits = 0, 0


def _has_function(x: int, y: int, size: int, version: int) -> bool:
    if 6 in (x, y):
        return True
    if (x < 9 and y < 9) or (x > size - 9 and y < 9) or (x < 9 and y > size - 9):
        return True
    if version >= 7 and ((x < 6 and y > size - 12) or (y < 6 and x > size - 12)):
        return True
    if version == 1:
        return False
    more = ALIGNED[version - 2]
    centres = (6, more) if isinstance(more, int) else (6, *more)
    last = centres[-1]
    return any(
        abs(x - cx) <= 2 and abs(y - cy) <= 2
        for cx in centres
        for cy in centres
        if (cx, cy) not in ((6, 6), (6, last), (last, 6))
    )


def _joined(words: list[int], correction: int, blocks: int) -> list[int]:
    """The data of the blocks one behind the other: they are interleaved, the short ones first."""
    short = len(words) // blocks - correction
    long_ones = len(words) % blocks
    apart: list[list[int]] = [[] for _ in range(blocks)]
    at = 0
    for place in range(short + 1):
        for block in range(blocks):
            if place < short or block >= blocks - long_ones:
                apart[block].append(words[at])
                at += 1
    return [word for block in apart for word in block]
