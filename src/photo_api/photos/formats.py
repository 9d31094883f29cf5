"""What kind of image some bytes are, by the bytes themselves."""

from collections.abc import Mapping
from types import MappingProxyType

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "image/jpeg": ".jpg",
        "image/png": ".png",
        "image/gif": ".gif",
        "image/webp": ".webp",
        "image/heic": ".heic",
        "image/heif": ".heif",
        "image/avif": ".avif",
    }
)
ACCEPTED_TYPES = frozenset(EXTENSIONS)
HARDLY_SHOWN = ("image/heic", "image/heif")
"""Types that browsers do not show, but for Safari."""

# A `ftyp` box lists four bytes per compatible brand; 256 bytes hold sixty of them.
SNIFF_LENGTH = 256

_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"},
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_GENERIC_BRANDS = frozenset({b"mif1", b"msf1", b"mif2"})


def sniff(head: bytes) -> str | None:
    """The content type of a file that begins with `head`, or None if it is not an accepted image.

    `SNIFF_LENGTH` bytes are enough; fewer give an answer where they suffice.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    return None


def _sniff_brands(head: bytes) -> str | None:
    """ISO 14496-12, 4.3: size, "ftyp", major brand, minor version, compatible brands."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    major = head[8:12]
    if major in _AVIF_BRANDS:
        return "image/avif"
    if major in _HEIC_BRANDS:
        return "image/heic"
    if major not in _GENERIC_BRANDS:
        return None
    compatible = {head[at : at + 4] for at in range(16, end, 4)}
    if compatible & _AVIF_BRANDS:
        return "image/avif"
    if compatible & _HEIC_BRANDS:
        return "image/heic"
    return "image/heif"
