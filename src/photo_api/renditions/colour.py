"""Any picture's colours to 8-bit sRGB, as Chromium shows them on an ordinary display.

Light is linear between two look-up tables. HDR is tone-mapped as SMPTE ST 2094-50 does where a
picture brings no curve of its own: light up to the reference white is scaled, what is above it
bends into what is left (its annex on reference white tone mapping), and all three channels have the
gain of the brightest, so that hues stay.
"""

from math import log2
from typing import Any

import pyvips

from photo_api.renditions.colour_coding import (
    BT2020,
    HDR,
    SRGB,
    Coding,
    Curve,
    Matrix,
    coding_of_profile,
    to_srgb,
    to_xyz,
)
from photo_api.renditions.icc import as_browsers_read_it, code_points

REFERENCE_WHITE = 203.0
"""cd/m² (ITU-R BT.2408)."""
PQ_BRIGHTEST, HLG_BRIGHTEST = 10_000.0, 1000.0
MAX_HEADROOM = 6.0
"""In stops above the reference white."""


def is_plain(image: Any, coding: Coding) -> bool:
    """Whether the numbers are sRGB's, or grey's, already."""
    profile = image.get_typeof("icc-profile-data")
    return coding == Coding() and not profile and image.interpretation != "cmyk"


def is_hdr(coding: Coding, profile: bytes) -> bool:
    """Whether 8 bits are too few for the picture's numbers; `profile` is empty if it has none."""
    coding = coding_of_profile(code_points(profile)) or coding
    return coding.curve in HDR


def in_srgb(image: Any, coding: Coding) -> Any:
    """8-bit sRGB, with an alpha channel if there was one. A profile that is not for these channels,
    or that browsers cannot read, is left aside."""
    if coding.limited_grey:
        image = _expanded(image)
    image, profile = _profile_apart(image)
    if profile and not coding.over_profile:
        said = coding_of_profile(code_points(profile))
        if said is not None:
            coding = said._replace(brightest=coding.brightest)
        elif (profiled := _by_profile(image, profile)) is not None:
            return profiled
    if image.interpretation == "cmyk":
        return _without_ink(image)
    if coding.curve is Curve.SRGB and coding.primaries == SRGB:
        return _bytes(image if image.interpretation == "srgb" else image.colourspace("srgb"))
    return _by_coding(image, coding)


def _bytes(image: Any) -> Any:
    return image.cast("uchar") if image.format != "ushort" else (image >> 8).cast("uchar")


def _expanded(image: Any) -> Any:
    """Grey from black at 16 and white at 235 to the whole range."""
    depth = 256 if image.format == "ushort" else 1
    grey, alpha = _apart(image)
    grey = ((grey - 16.0 * depth) * (255 / 219)).rint().cast(image.format)
    return _together(grey, alpha).copy(interpretation=image.interpretation)


def _profile_apart(image: Any) -> tuple[Any, bytes]:
    """Empty where there is no profile, or one of no use."""
    if not image.get_typeof("icc-profile-data"):
        return image, b""
    channels = image.bands - bool(image.hasalpha())
    profile = as_browsers_read_it(image.get("icc-profile-data"), channels)
    image = image.copy()
    image.remove("icc-profile-data")
    return image, profile or b""


def _by_profile(image: Any, profile: bytes) -> Any:
    """None where Little CMS cannot read it."""
    if image.bands < 3 and profile[16:20] == b"RGB ":
        image = image.colourspace("rgb16" if image.format == "ushort" else "srgb")
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    try:
        # Without black-point compensation: browsers do none.
        shown = image.icc_transform("srgb", embedded=True, intent="relative", depth=8)
    except pyvips.Error:
        pyvips.vips_lib.vips_error_clear()
        return None
    shown = shown.copy()
    shown.remove("icc-profile-data")  # that of sRGB, which would be asked again
    return shown if shown.interpretation == "srgb" else shown.colourspace("srgb")


def _without_ink(image: Any) -> Any:
    """CMYK that no profile describes: each ink takes away its share of the light."""
    inks = image.extract_band(0, n=3)
    light = (255 - inks) * ((255 - image.extract_band(3)) / 255)
    return light.rint().cast("uchar").copy(interpretation="srgb")


def _by_coding(image: Any, coding: Coding) -> Any:
    colours, alpha = _apart(image)
    if colours.bands == 1:
        colours = colours.bandjoin([colours, colours])
    light = colours.maplut(_linear(colours.format, coding))
    if coding.curve in HDR:
        if coding.primaries != BT2020:
            light = _recombined(light, to_srgb(coding.primaries, BT2020))
        light = _recombined(_tone_mapped(light, coding), to_srgb(BT2020))
    else:
        light = _recombined(light, to_srgb(coding.primaries))
    shown = (light * 65535 + 0.5).cast("ushort").maplut(_encoding())
    if alpha is not None:
        alpha = _bytes(alpha)
    return _together(shown, alpha).copy(interpretation="srgb")


def _recombined(light: Any, matrix: Matrix) -> Any:
    return light.recomb(pyvips.Image.new_from_list([list(row) for row in matrix]))


def _apart(image: Any) -> tuple[Any, Any]:
    if not image.hasalpha():
        return image, None
    return image.extract_band(0, n=image.bands - 1), image.extract_band(image.bands - 1)


def _together(colours: Any, alpha: Any) -> Any:
    return colours if alpha is None else colours.bandjoin(alpha)


def _linear(form: str, coding: Coding) -> Any:
    """A table from a number to light, of which 1 is white."""
    deep = form == "ushort"
    x = pyvips.Image.identity(ushort=deep) / (65535 if deep else 255)
    table = _light(x, coding)
    if coding.curve is Curve.PQ:
        table *= PQ_BRIGHTEST / REFERENCE_WHITE
    return table.cast("float").copy_memory()


def _light(x: Any, coding: Coding) -> Any:
    match coding.curve:
        case Curve.POWER:
            return x**coding.exponent
        case Curve.SMPTE240:
            return (x < 0.0913).ifthenelse(x / 4, ((x + 0.1115) / 1.1115) ** (1 / 0.45))
        case Curve.SMPTE428:
            return x**2.6 * (52.37 / 48)
        case Curve.PQ:  # SMPTE ST 2084
            root = x ** (1 / 78.84375)
            above = root - 0.8359375
            above = (above > 0).ifthenelse(above, 0)
            return (above / (18.8515625 - root * 18.6875)) ** (1 / 0.1593017578125)
        case Curve.HLG:  # ITU-R BT.2100, the inverse of its OETF
            upper = ((x - 0.55991073) / 0.17883277).exp() + 0.28466892
            return (x <= 0.5).ifthenelse(x * x / 3, upper / 12)
    return (x <= 0.04045).ifthenelse(x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _encoding() -> Any:
    """A table from light in 65,535ths to sRGB's numbers (IEC 61966-2-1)."""
    x = pyvips.Image.identity(ushort=True) / 65535
    curve = (x <= 0.0031308).ifthenelse(x * 12.92, x ** (1 / 2.4) * 1.055 - 0.055)
    return (curve * 255).rint().cast("uchar").copy_memory()


def _tone_mapped(light: Any, coding: Coding) -> Any:
    """Light in BT.2020's primaries, with what is brighter than white brought below it."""
    if coding.curve is Curve.HLG:
        luminance = _recombined(light, to_xyz(BT2020)[1:2])
        light *= _looked_up(luminance, 1.0, _display(_domain(1.0)))
    most = light[0].maxpair(light[1]).maxpair(light[2])
    top = PQ_BRIGHTEST / REFERENCE_WHITE
    return light * _looked_up(most, top, _gain(_domain(top), coding.brightest))


def _domain(top: float) -> Any:
    return pyvips.Image.identity(ushort=True) * (top / 65535)


def _looked_up(x: Any, top: float, table: Any) -> Any:
    """By a table of 65,536 entries for 0 to `top`."""
    return (x * (65535 / top) + 0.5).cast("ushort").maplut(table.cast("float").copy_memory())


def _display(luminance: Any) -> Any:
    """HLG's way from the scene to its display (BT.2100's OOTF, system gamma 1.2)."""
    return luminance**0.2 * (HLG_BRIGHTEST / REFERENCE_WHITE)


def _gain(x: Any, brightest: float) -> Any:
    """What light `x` is multiplied with, white being 1."""
    headroom = min(log2(max(brightest / REFERENCE_WHITE, 1.0)), MAX_HEADROOM)
    peak = 2.0**headroom
    white = 1 - 0.5 * min(headroom / log2(1000 / REFERENCE_WHITE), 1.0)
    if headroom == 0:
        return x * 0 + 1
    middle_x, middle_y = 0.35 + 0.65 / white, 0.35 * white + 0.65
    a, b = 1 - 2 * middle_x + peak, 2 * middle_x - 2
    # Where on the Bézier curve from white over the middle to the peak its abscissa is x.
    over = (x > 1).ifthenelse(x - 1, 0)
    t = over * 2 / ((over * (4 * a) + b * b) ** 0.5 + b)
    bent = white + t * (2 * middle_y - 2 * white + t * (white - 2 * middle_y + 1))
    return (x <= 1).ifthenelse(white, (x < peak).ifthenelse(bent, 1.0) / ((x > 1).ifthenelse(x, 1)))
