"""ICC profiles as browsers read them, which is not as a printer's software does.

Chromium (skcms) takes a table from the device where there is one, the perceptual before any other,
asks nothing of a profile's class or wishes, and leaves aside what it cannot read. vips (Little CMS)
is brought to the same by telling it less.
"""

import struct

SPACES = {1: (b"GRAY", b"RGB "), 3: (b"RGB ",), 4: (b"CMYK",)}
MAX_TAGS = 100
_HEADER = 128


def as_browsers_read_it(profile: bytes, channels: int) -> bytes | None:
    """The profile with what decides, and nothing that Little CMS would prefer to it; None if it is
    broken or not for a picture of so many channels."""
    size = int.from_bytes(profile[:4], "big")
    if not _HEADER + 4 <= size <= len(profile) or profile[36:40] != b"acsp" or profile[8] > 4:
        return None
    if profile[16:20] not in SPACES.get(channels, ()) or profile[20:24] not in (b"XYZ ", b"Lab "):
        return None
    tags = _tags(profile[:size])
    kept = _deciding(tags, profile[16:20])
    codes = {name: tags[name] for name in (b"cicp",) if name in tags}
    return _rebuilt(profile, kept | codes) if kept else None


def code_points(profile: bytes) -> tuple[int, int] | None:
    """Primaries and transfer in H.273's code points where a profile says them (ICC.1:2022, 9.2.17),
    which browsers take before anything else in it."""
    codes = _tags(profile).get(b"cicp", b"")
    return (codes[8], codes[9]) if len(codes) == 12 and codes[10:] == b"\0\1" else None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """The first of each signature that lies within the profile."""
    count = int.from_bytes(profile[_HEADER : _HEADER + 4], "big")
    found: dict[bytes, bytes] = {}
    for number in range(min(count, MAX_TAGS)):
        at = _HEADER + 4 + 12 * number
        if at + 12 > len(profile):
            break
        signature, start, length = struct.unpack_from(">4sII", profile, at)
        if start + length <= len(profile):
            found.setdefault(signature, profile[start : start + length])
    return found


def _deciding(tags: dict[bytes, bytes], space: bytes) -> dict[bytes, bytes]:
    table = tags.get(b"A2B0") or tags.get(b"A2B1")
    if space == b"GRAY" and b"kTRC" in tags:
        return {b"kTRC": tags[b"kTRC"]}
    if table:  # for the intent that is asked for, and for the one that is fallen back to
        return {b"A2B0": table, b"A2B1": table}
    wanted = [colour + kind for kind in (b"XYZ", b"TRC") for colour in (b"r", b"g", b"b")]
    return {name: tags[name] for name in wanted} if all(name in tags for name in wanted) else {}


def _rebuilt(profile: bytes, tags: dict[bytes, bytes]) -> bytes:
    at = _HEADER + 4 + 12 * len(tags)
    table, contents = b"", b""
    for signature, content in tags.items():
        table += struct.pack(">4sII", signature, at + len(contents), len(content))
        contents += content + bytes(-len(content) % 4)
    size = struct.pack(">I", at + len(contents))
    header = size + profile[4:12] + b"mntr" + profile[16:_HEADER]
    return header + struct.pack(">I", len(tags)) + table + contents
