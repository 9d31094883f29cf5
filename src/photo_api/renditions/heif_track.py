"""A HEIF file's sequence of pictures, which an animated AVIF is (ISO 23008-12, 7)."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from photo_api.renditions.boxes import Box, Reader, boxes

_SEQUENCES = frozenset({b"avis", b"hevc", b"hevx", b"msf1"})


class Track(NamedTuple):
    """How many pictures there are, and their width and height as coded."""

    frames: int
    size: tuple[int, int]


def read_track(data: bytes) -> Track | None:
    """The first track of pictures, None if there is none. Raises nothing."""
    for track in _below(data, Box(b"", 0, len(data)), (b"moov", b"trak")):
        if not any(
            data[one.start + 8 : one.start + 12] == b"pict"
            for one in _below(data, track, (b"mdia", b"hdlr"))
        ):
            continue
        table = (b"mdia", b"minf", b"stbl")
        samples = next(_below(data, track, (*table, b"stsz")), None)
        entries = next(_below(data, track, (*table, b"stsd")), None)
        if samples and entries:
            # A sample entry's box begins 8 bytes further; its width is 24 bytes into it.
            size = Reader(data, entries.start + 8 + 8 + 24)
            frames = Reader(data, samples.start + 8).number(4)
            return Track(frames, (size.number(2), size.number(2)))
    return None


def count_frames(data: bytes) -> int:
    """1 unless the file says first of all that it is a sequence, as browsers take it."""
    track = read_track(data) if data[8:12] in _SEQUENCES else None
    return max(track.frames, 1) if track else 1


def _below(data: bytes, box: Box, path: Sequence[bytes]) -> Iterator[Box]:
    """All boxes at the end of this path of kinds."""
    for one in boxes(data, box.start, box.end):
        if one.kind == path[0]:
            yield from _below(data, one, path[1:]) if path[1:] else [one]
