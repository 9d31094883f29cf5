"""Why a file is refused: what its own headers say comes before the words of a decoder."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from photo_api.renditions.heif_picture import DECODED, DERIVED, read_picture
from photo_api.renditions.heif_track import read_track
from photo_api.renditions.jpeg import frame_header
from photo_api.renditions.limits import JPEG_EDGE
from photo_api.renditions.png import chunks
from photo_api.renditions.whole import MAX_PARTS, is_cut_short
from photo_api.renditions.wire import Refused

TRUNCATED = re.compile(
    r"premature end|truncated|unexpected end|read error|end of file|not enough|too short|EOF",
    re.IGNORECASE,
)
_MEMORY = re.compile(r"out of memory|insufficient memory|alloc", re.IGNORECASE)
_LIMIT = re.compile(r"security limit|zero width or height", re.IGNORECASE)
"""What libheif calls an error of allocation, and is none."""
_MALFORMED = re.compile(r"Bitstream not supported", re.IGNORECASE)
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|no decod|not been built in|maximum image size", re.IGNORECASE
)

SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "not_an_image": "The file is not an image of an accepted type.",
        "too_many_pixels": "A JPEG's decoder takes 65,500 pixels on a side at most.",
        "truncated": "The file ends before the image does.",
        "corrupt": "The image cannot be decoded.",
        "unsupported": "The image uses a variant of its format that is not supported.",
    }
)


def refused(reason: str) -> Refused:
    return Refused(reason, SENTENCES[reason])


def refuse_unshown(data: bytes, content_type: str) -> None:
    """Raises `Refused` for what a decoder would refuse in other words, or show wrongly; what is cut
    short passes."""
    variant = _VARIANTS.get(content_type)
    reason = variant(data) if variant else None
    if reason and not is_cut_short(data, content_type):
        raise refused(reason)


def classify(data: bytes, content_type: str, message: str) -> Refused:
    """What to say where a decoder said `message`. Raises MemoryError if that is what it met."""
    if _MEMORY.search(message) and not _LIMIT.search(message):
        raise MemoryError(message)
    if is_cut_short(data, content_type):
        return refused("truncated")
    if content_type == "image/jpeg" and TRUNCATED.search(message):
        return refused("truncated")
    supported = _MALFORMED.search(message) or not _UNSUPPORTED.search(message)
    return refused("corrupt" if supported else "unsupported")


def _png(data: bytes) -> str | None:
    """A chunk that must be understood and is not (PNG, third edition, 5.4: those with a capital
    letter), such as the one by which Apple's own variant begins."""
    for name, _, _ in chunks(data, MAX_PARTS):
        if len(name) < 4 or not name.isalpha() or name == b"IDAT":
            return None
        if name[:1].isupper() and name not in (b"IHDR", b"PLTE", b"IEND"):
            return "unsupported"
    return None


def _jpeg(data: bytes) -> str | None:
    """Neither one, three nor four channels; no width (ITU T.81, B.2.2); a side too long for
    libjpeg."""
    frame = frame_header(data)
    if frame is None:
        return None
    if frame.width == 0:
        return "corrupt"
    if max(frame.width, frame.height) > JPEG_EDGE:
        return "too_many_pixels"
    return None if frame.channels in (1, 3, 4) else "unsupported"


def _heif(data: bytes) -> str | None:
    """No primary image, or nothing of it to be shown; a coding that no decoder here knows; a layer
    in whose place libheif would show another."""
    picture = read_picture(data)
    if picture is None:
        return "unsupported" if read_track(data) else None
    if not picture.coding or (picture.view and picture.view.faulty):
        return "corrupt"
    shown = {picture.coding} <= DECODED | DERIVED and picture.codec in DECODED
    return None if shown and not picture.chooses_layer else "unsupported"


_VARIANTS: Mapping[str, Callable[[bytes], str | None]] = MappingProxyType(
    {
        "image/png": _png,
        "image/jpeg": _jpeg,
        "image/heic": _heif,
        "image/heif": _heif,
        "image/avif": _heif,
    }
)
