"""Metadata made to break or to stall its reader cost little, and give only what JSON and the
database can hold."""

import asyncio
import json
import random
import signal
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest

from photo_api.renditions import wire
from photo_api.renditions.containers import MAX_BLOCK, find_blocks
from photo_api.renditions.exif import MAX_TEXT, read_exif
from tests.fuzzing import TIMES
from tests.metadata_blocks import (
    ASCII,
    chunk,
    heif_of_items,
    iptc,
    png_with,
    segment,
    text,
    tiff,
    xmp,
)
from tests.metadata_corpus import METADATA, TYPES, Kept

FIELDS = {
    "taken_at", "taken_at_source", "modified_at", "camera", "lens", "exposure_time", "f_number",
    "iso", "focal_length", "latitude", "longitude", "altitude", "rating", "orientation",
}  # fmt: skip
MOST = 2 * 4 * MAX_TEXT + 600
"""Bytes that all fields together may take."""
CPU = 60
"""Seconds in which a reader that is not stalled is done, however busy the machine is."""
MEMORY = 16 * MAX_BLOCK


def checked(data: bytes, content_type: str) -> dict[str, object]:
    return fit(read_exif(*find_blocks(data, content_type)))


def fit(fields: dict[str, object]) -> dict[str, object]:
    """The fields, if JSON and PostgreSQL can hold them."""
    told = json.dumps(fields, ensure_ascii=False, allow_nan=False)
    assert len(told.encode()) <= MOST
    assert told.isprintable()
    assert set(fields) <= FIELDS
    return fields


@contextmanager
def bounded() -> Iterator[None]:
    """In processor time and in memory, which is counted from here."""

    def stalled(*_: Any) -> None:
        raise AssertionError("the reader does not come to an end")

    before = signal.signal(signal.SIGPROF, stalled)
    signal.setitimer(signal.ITIMER_PROF, CPU)
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    assert peak < MEMORY


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, left out, repeated or cut off, most of them before the picture."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(2, max(len(changed), 4))
        kind = chance.random()
        if kind < 0.5:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif kind < 0.7:
            number = chance.choice([0, 1, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(changed)])
            changed[at : at + 4] = number.to_bytes(4, chance.choice(["big", "little"]))
        elif kind < 0.8:
            del changed[at : at + chance.randint(1, 40)]
        elif kind < 0.9:
            changed[at:at] = changed[at - 40 : at + 40]
        elif kind < 0.95:
            changed[at:at] = chance.randbytes(chance.randint(1, 40))
        else:
            del changed[chance.randrange(len(changed) // 2, len(changed) + 1) :]
    return bytes(changed)


@pytest.mark.fuzz
@pytest.mark.parametrize("ending", TYPES)
def test_damaged_files(ending: str) -> None:
    chance = random.Random(f"metadata in {ending}")
    content_type, make = TYPES[ending]
    files = [make(METADATA[name]) for name in ("a camera", "xmp", "iptc")]
    read = [0, 0]
    for _ in range(400 * max(TIMES, 1)):
        fields = checked(mutated(chance.choice(files), chance), content_type)
        read[bool(fields)] += 1
    assert min(read) > 0, "some are still read, some are not any more"


@pytest.mark.fuzz
def test_damaged_blocks() -> None:
    chance = random.Random("blocks")
    kept = [*METADATA.values()]
    for _ in range(1500 * max(TIMES, 1)):
        fit(read_exif(*(mutated(block, chance) if block else b"" for block in chance.choice(kept))))


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack(">HHII", tag, kind, count, value)


def directory(*entries: bytes) -> bytes:
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", min(len(entries), 65535)) + b"".join(entries)


LEGACY = (ASCII, ("\u00c4" * 5000).encode("latin-1"))
BLOCKS: dict[str, Callable[[], tuple[bytes, bytes, bytes]]] = {
    "directories that are each other": lambda: (
        directory(entry(0x8769, 4, 1, 8), entry(0x8825, 4, 1, 8), entry(0x14A, 4, 1, 8)), b"", b"",
    ),
    "values of gigabytes": lambda: (
        directory(*(entry(tag, 12, 0xFFFFFFFF, 8) for tag in range(65535))), b"", b"",
    ),
    "texts of no encoding": lambda: (tiff(dict.fromkeys(range(0x100, 0x600), LEGACY)), b"", b""),
    "combining marks": lambda: (
        tiff({0x110: (ASCII, ("a" + "\u0315\u0300" * 2000).encode())}), b"", b"",
    ),
    "numbers without end": lambda: (tiff(exif={0x829A: text("1" * 3000)}), b"", b""),
    "dates without end": lambda: (tiff(exif={0x9003: text("Fri, " + " \t" * 2000)}), b"", b""),
    "lines without end": lambda: (b"", xmp(elements="<xmp:Rating>" + "\n" * MAX_BLOCK), b""),
    "remarks without end": lambda: (b"", xmp(elements="<xmp:Rating>" + "1<!---->" * 500_000), b""),
    "references to characters": lambda: (b"", xmp("aux:Lens='" + "&#9;" * 800_000), b""),
    "elements without end": lambda: (b"", xmp(elements="<xmp:Label/>" * 400_000), b""),
    "attributes without end": lambda: (
        b"", xmp(" ".join(f'xmp:a{number}="1"' for number in range(250_000))), b"",
    ),
    "a billion laughs": lambda: (
        b"",
        b"<!DOCTYPE x [<!ENTITY a 'ha'>" + b"".join(
            b"<!ENTITY %c '%s'>" % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(20)
        ) + b"]>" + xmp(elements="<xmp:Label>&u;</xmp:Label>").partition(b"?>")[2],
        b"",
    ),
    "datasets without end": lambda: (b"", b"", b"\x1c\x02\x05\0\0" * 800_000),
    "a dataset longer than its block": lambda: (b"", b"", b"\x1c\x02\x37\x7f\xff2024"),
    "a length of a length": lambda: (b"", b"", b"\x1c\x02\x37\xff\xff" + b"\xff" * 70_000),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_made_to_cost_much(name: str) -> None:
    blocks = BLOCKS[name]()
    with bounded():
        fit(read_exif(*blocks))


LARGE = 12 << 20


def inflating(keyword: bytes, unit: bytes) -> bytes:
    packed = zlib.compress(unit * (LARGE // len(unit)), 1)
    return chunk(b"zTXt", keyword + b"\0\0" + packed) * 40


def references() -> bytes:
    one = b"\xff\xff" + b"\0\1" * 65_535
    box = struct.pack(">I4sH", len(one) + 10, b"cdsc", 7) + one
    plain = heif_of_items({7: (b"Exif", b"")}, own=7)
    at = plain.index(b"iref") + 8
    return _grown(plain, b"iref", at, box * 100)


def names() -> bytes:
    plain = heif_of_items({7: (b"mime", b"")}, own=7)
    return _grown(plain, b"infe", plain.index(b"application"), bytes(LARGE))


def _grown(data: bytes, kind: bytes, at: int, more: bytes) -> bytes:
    """With `more` put in at this place of a box and of those around it."""
    grown = bytearray(data)
    around = {b"infe": (b"infe", b"iinf", b"meta"), b"iref": (b"iref", b"meta")}[kind]
    for box in around:
        place = data.index(box) - 4
        size = int.from_bytes(data[place : place + 4], "big")
        grown[place : place + 4] = struct.pack(">I", size + len(more))
    return bytes(grown[:at]) + more + bytes(grown[at:])


def extents() -> bytes:
    """An item of a thousand pieces, the first of which is nearly all that may be read."""
    data = heif_of_items({7: (b"Exif", bytes(8))}, own=7)
    place = data.index(b"iloc") + 12 + 6
    pieces = [(0, MAX_BLOCK - 1000), *[(0, 1)] * 999]
    more = b"".join(struct.pack(">II", *piece) for piece in pieces[2:])
    grown = bytearray(_patched(data, b"iloc", place + 18, more))
    struct.pack_into(">HIIII", grown, place, len(pieces), *pieces[0], *pieces[1])
    return bytes(grown) + bytes(LARGE)


def _patched(data: bytes, kind: bytes, at: int, more: bytes) -> bytes:
    grown = bytearray(data)
    for box in (kind, b"meta"):
        place = data.index(box) - 4
        size = int.from_bytes(data[place : place + 4], "big")
        grown[place : place + 4] = struct.pack(">I", size + len(more))
    return bytes(grown[:at]) + more + bytes(grown[at:])


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "fill bytes": ("image/jpeg", lambda: b"\xff\xd8" + b"\xff" * LARGE),
    "resources without end": (
        "image/jpeg",
        lambda: b"\xff\xd8" + segment(
            0xED, b"Photoshop 3.0\0" + b"8BIM\0\0\0\0\0\0\0\0" * 5000
        ) * 150,
    ),
    "texts that inflate": (
        "image/png",
        lambda: png_with(
            inflating(b"Raw profile type exif", b"a 1 "),
            inflating(b"Raw profile type xmp", b"<a/>"),
        ),
    ),
    "words without end": (
        "image/png",
        lambda: png_with(chunk(b"tEXt", b"Raw profile type exif\0x 9 " + b"a " * LARGE)),
    ),
    "digits without end": (
        "image/png",
        lambda: png_with(chunk(b"tEXt", b"Raw profile type exif\0\nx 9\n" + b"4d" * LARGE)),
    ),
    "a profile that inflates": (
        "image/png",
        lambda: png_with(
            chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(LARGE))), chunk(b"Creation Time", b"")
        ),
    ),
    "references without end": ("image/heic", references),
    "names without end": ("image/heic", names),
    "pieces without end": ("image/heic", extents),
    "a packet without end": (
        "image/gif", lambda: TYPES["gif"][1](Kept(xmp=b"<" * LARGE)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_made_to_cost_much(name: str) -> None:
    content_type, make = FILES[name]
    data = make()
    with bounded():
        checked(data, content_type)


NASTY = ("\0", "\x01", "\x1b[2J", "\x7f", "\x85", "\u202e", "\ufeff", "\u2028", '"\\', "\ud800")


async def test_the_database_holds_whatever_is_told(stack: dict[str, Any]) -> None:
    """Control characters, lone surrogates and NUL, which jsonb refuses, in each place for text."""
    told = []
    for nasty in NASTY:
        raw = f"Ca{nasty}non".encode("utf-8", "surrogatepass")
        tags = tiff({0x10F: (ASCII, raw), 0x9C9B: (1, raw)}, {0xA434: (7, raw), 0x9003: (2, raw)})
        wide = tiff({0x110: (ASCII, f"Ca{nasty}non".encode("utf-16-le", "surrogatepass"))})
        escaped = "".join(f"&#{ord(letter)};" for letter in nasty)
        packet = xmp(f'aux:Lens="Ca{escaped}non" tiff:Make="&#x43;anon"')
        for blocks in (
            (tags,),
            (wide,),
            (b"", packet),
            (tags, packet, iptc(_55=f"2024{ord(nasty[0])}")),
        ):
            told.append(json.dumps(fit(read_exif(*blocks))))
    assert sum("Ca" in one for one in told) > len(NASTY)
    connection = await asyncpg.connect(stack["superuser_url"])
    try:
        kept = await connection.fetchval("SELECT count(t::jsonb) FROM unnest($1::text[]) t", told)
    finally:
        await connection.close()
    assert kept == len(told)


async def test_a_child_that_claims_more_is_not_believed() -> None:
    """Its answer's head has a few hundred bytes; one of megabytes is none of ours."""
    reader = asyncio.StreamReader()
    reader.feed_data(wire.ANSWER.pack(wire.MAX_HEAD + 1, 0, 0) + bytes(wire.MAX_HEAD + 1))
    with pytest.raises(wire.ProtocolError):
        await wire.receive_answer(reader, 50 << 20)
    assert MOST * 2 < wire.MAX_HEAD
