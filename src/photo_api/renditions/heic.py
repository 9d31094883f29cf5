"""A HEIC's primary image by libheif, as pixels for vips."""

from typing import Any

import pi_heif
import pyvips

from photo_api.renditions.heif_picture import Picture, with_known_codes
from photo_api.renditions.heif_view import uncropped

MARGIN = 64
_BANDS = {"L": 1, "I": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}
"""By the first part of libheif's modes; the second, if there is one, is the depth."""


def open_primary(data: bytes, deep: bool, picture: Picture | None = None) -> Any:
    """Its header is read, its pixels are not. They have 16 bits per channel where the file has more
    than 8 and `deep` is asked for, or the picture is grey. Raises whatever libheif does, and
    ValueError where it leaves out the primary image for its faults."""
    pi_heif.options.DECODE_THREADS = 1
    pi_heif.options.THUMBNAILS = False
    pi_heif.options.DEPTH_IMAGES = False
    pi_heif.options.AUX_IMAGES = False
    if picture and shows_little(picture) and (view := picture.view):
        data = uncropped(data, view)
    container = pi_heif.open_heif(with_known_codes(data), convert_hdr_to_8bit=not deep)
    for image in container:
        if image.info["primary"]:
            return image
    raise ValueError("the primary image is damaged")


def shows_little(picture: Picture) -> bool:
    """Whether libheif refuses it: of a picture that is cropped it decodes `MARGIN` pixels in each
    direction more than are shown. Such a picture is decoded whole, and cropped by us."""
    if not (picture.coded and picture.displayed):
        return False
    width, height = picture.displayed
    return picture.coded[0] * picture.coded[1] > (width + MARGIN) * (height + MARGIN)


def pixels(primary: Any, picture: Picture | None = None) -> Any:
    """The picture, decoded, cropped and turned as it says; `primary` owns the memory. An alpha
    channel is straight."""
    data = primary.data
    width, height = primary.size
    kind, _, depth = primary.mode.partition(";")
    bands = _BANDS[kind]
    spaces = ("grey16", "rgb16") if depth else ("b-w", "srgb")
    image = pyvips.Image.new_from_memory(data, width, height, bands, "ushort" if depth else "uchar")
    image = image.copy(interpretation=spaces[bands >= 3])
    if picture and shows_little(picture) and (view := picture.view):
        image = image.crop(view.left, view.top, view.width, view.height)
    if kind.endswith("a"):
        image = straight(image)
    profile = primary.info.get("icc_profile")
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def straight(image: Any) -> Any:
    """The picture with its colours no longer multiplied by its alpha channel."""
    most = 65535 if image.format == "ushort" else 255
    return (
        image.unpremultiply(max_alpha=most)
        .cast(image.format)
        .copy(interpretation=image.interpretation)
    )
