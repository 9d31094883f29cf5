"""IPTC's datasets (IIM 4.2, chapter 1.5) that the service has a use for: dates, as text."""

from photo_api.renditions.tiff import MAX_VALUE

_APPLICATION = 2
"""The record of editors' datasets."""
MAX_DATASETS = 10_000


def read_iptc(block: bytes) -> dict[int, str]:
    """The application record's datasets by number, of each the first. Raises nothing."""
    found: dict[int, str] = {}
    at = 0
    for _ in range(MAX_DATASETS):
        if block[at : at + 1] != b"\x1c" or at + 5 > len(block):
            break
        record, number, length = block[at + 1], block[at + 2], block[at + 3] << 8 | block[at + 4]
        if length > 0x7FFF:  # the length of a length: no date is that long
            break
        at += 5
        if record == _APPLICATION:
            found.setdefault(number, block[at : at + min(length, MAX_VALUE)].decode("latin-1"))
        at += length
    return found
