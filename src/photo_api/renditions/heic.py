"""A HEIC's primary image by libheif, as pixels for vips."""

from typing import Any

import pi_heif
import pyvips

_BANDS = {"L": 1, "I": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}
"""By the first part of libheif's modes; the second, if there is one, is the depth."""


def open_primary(data: bytes, deep: bool) -> Any:
    """Its header is read, its pixels are not. They have 16 bits per channel where the file has more
    than 8 and `deep` is asked for, or the picture is grey. Raises whatever libheif does."""
    pi_heif.options.DECODE_THREADS = 1
    pi_heif.options.THUMBNAILS = False
    pi_heif.options.DEPTH_IMAGES = False
    pi_heif.options.AUX_IMAGES = False
    container = pi_heif.open_heif(data, convert_hdr_to_8bit=not deep)
    return container[container.primary_index]


def pixels(primary: Any) -> Any:
    """The picture, decoded, cropped and turned as it says; `primary` owns the memory. An alpha
    channel is straight."""
    data = primary.data
    width, height = primary.size
    kind, _, depth = primary.mode.partition(";")
    bands = _BANDS[kind]
    spaces = ("grey16", "rgb16") if depth else ("b-w", "srgb")
    image = pyvips.Image.new_from_memory(data, width, height, bands, "ushort" if depth else "uchar")
    image = image.copy(interpretation=spaces[bands >= 3])
    if kind.endswith("a"):
        image = image.unpremultiply(max_alpha=65535 if depth else 255).cast(image.format)
    profile = primary.info.get("icc_profile")
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image
