"""Files that say in every way that we know of what their colours are, by a name."""

from collections.abc import Mapping
from functools import cache

from tests import icc_profiles as icc
from tests.colour_files import (
    File,
    avif,
    chrm,
    chunk,
    cicp,
    clli,
    cmyk,
    embedded,
    gama,
    grey_heif,
    iccp,
    light,
    limited_avif,
    mastering,
    nclx,
    of_vips,
    png,
    profiled,
)
from tests.metadata_blocks import short, tiff


@cache
def files() -> Mapping[str, File]:
    """All that browsers show, by a name."""
    return _coded() | _pngs() | _profiles() | _tables() | _broken() | _inks()


def _coded() -> dict[str, File]:
    codes = {
        "sRGB": (1, 13), "BT.709": (1, 1), "P3": (12, 13), "BT.2020": (9, 14), "DCI": (11, 17),
        "gamma 2.2": (1, 4), "gamma 2.8": (5, 5), "SMPTE 170": (6, 6), "SMPTE 240": (7, 7),
        "linear": (1, 8), "film": (8, 13), "XYZ": (10, 17), "EBU": (22, 13), "unknown": (99, 99),
        "PQ": (9, 16), "PQ in P3": (12, 16), "PQ in sRGB": (1, 16), "HLG": (9, 18),
        "HLG in P3": (12, 18),
    }  # fmt: skip
    found = {f"AVIF {name}": avif(nclx(*code)) for name, code in codes.items()}
    adobe = _adobe()
    pq_profile = icc.profile(icc.matrix(icc.P3, icc.gamma(2.2)) | {b"cicp": icc.code_points(9, 16)})
    return found | {
        "AVIF P3, 8 bits": avif(nclx(12, 13), bits=8),
        "AVIF PQ, 300": avif(nclx(9, 16), clli(300)),
        "AVIF PQ, 4000": avif(nclx(9, 16), clli(4000)),
        "AVIF HLG, 400": avif(nclx(9, 18), clli(400)),
        "AVIF profile over nclx": avif(nclx(9, 16), embedded(adobe)),
        "AVIF profile with PQ": avif(nclx(9, 16), embedded(pq_profile), clli(4000)),
        "AVIF limited 709": limited_avif(1, 0.2126, 0.0722),
        "AVIF limited 2020": limited_avif(9, 0.2627, 0.0593),
        "AVIF grey": grey_heif("AVIF", 1),
        "AVIF grey, limited": grey_heif("AVIF", 0),
    }


def _pngs() -> dict[str, File]:
    adobe = chrm(0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    profile = iccp(_adobe())
    srgb = chunk(b"sRGB", b"\0")
    return {
        "PNG": png(),
        "PNG gAMA 1": png(gama(1)),
        "PNG gAMA 1, 16 bits": png(gama(1), bits=16),
        "PNG gAMA 1, grey": png(gama(1), channels="L"),
        "PNG gAMA sRGB": png(gama(0.45455)),
        "PNG gAMA and cHRM": png(gama(0.45455), adobe),
        "PNG cHRM alone": png(adobe),
        "PNG cHRM of nothing": png(gama(0.55), chrm(*[0.0] * 8)),
        "PNG sRGB over gAMA": png(gama(1), adobe, srgb),
        "PNG profile over sRGB": png(profile, srgb),
        "PNG broken profile, gAMA": png(iccp(b"x" * 300), gama(1)),
        "PNG cICP over profile": png(cicp(12, 13), profile),
        "PNG cICP 9, 14": png(cicp(9, 14)),
        "PNG cICP unknown": png(cicp(77, 13)),
        "PNG cICP limited": png(cicp(9, 16, 0, 0)),
        "PNG PQ": png(cicp(9, 16)),
        "PNG PQ, 16 bits": png(cicp(9, 16), bits=16),
        "PNG PQ, transparent": png(cicp(9, 16), bits=16, channels="RGBA"),
        "PNG PQ, grey": png(cicp(9, 16), channels="LA"),
        "PNG PQ, cLLI": png(cicp(9, 16), light(4000)),
        "PNG PQ, mDCV": png(cicp(9, 16), mastering(4000)),
        "PNG HLG": png(cicp(9, 18)),
    }


def _adobe() -> bytes:
    return icc.profile(icc.matrix(icc.ADOBE, icc.gamma(2.2)))


def _profiles() -> dict[str, File]:
    srgb_curve = icc.parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    grey = icc.profile({b"kTRC": icc.gamma(1.0)}, space=b"GRAY")
    dots = icc.curve([0.9 * (i / 255) ** 1.6 + 0.1 * i / 255 for i in range(256)])
    kinds = ("JPEG", "PNG", "WEBP")
    exif = b"Exif\0\0" + tiff(exif={0xA001: short(2)})  # ColorSpace: browsers make nothing of it
    return {
        **{f"{kind} Adobe RGB": profiled(kind, _adobe()) for kind in kinds},
        **{f"{kind} P3": profiled(kind, of_vips("p3")) for kind in kinds},
        "JPEG ProPhoto": profiled("JPEG", icc.profile(icc.matrix(icc.PROPHOTO, icc.gamma(1.8)))),
        "PNG v4": profiled("PNG", icc.profile(icc.matrix(icc.P3, srgb_curve), version=0x04200000)),
        "JPEG of Adobe RGB by EXIF": profiled("JPEG", b"", exif=exif),
        "JPEG grey": profiled("JPEG", grey, "L"),
        "PNG grey": profiled("PNG", grey, "L"),
        "JPEG grey, dot gain": profiled("JPEG", icc.profile({b"kTRC": dots}, space=b"GRAY"), "L"),
        "JPEG grey with RGB's": profiled("JPEG", _adobe(), "L"),
    }


def _tables() -> dict[str, File]:
    """Of the two tables one has a black that is not black."""
    lifted, deep = icc.table(icc.ADOBE, 2.2, 0.02), icc.table(icc.ADOBE, 2.2)
    matrix = icc.matrix(icc.ADOBE, icc.gamma(2.2))
    cases = {
        "perceptual": {b"A2B0": lifted, b"A2B1": deep},
        "colorimetric beside": {b"A2B0": deep, b"A2B1": lifted},
        "colorimetric alone": {b"A2B1": lifted},
        "over matrix": {b"A2B0": lifted, **matrix},
    }
    found = {name: icc.profile(tags, pcs=b"Lab ", kind=b"prtr") for name, tags in cases.items()}
    found["of v4"] = icc.profile(cases["perceptual"], pcs=b"Lab ", version=0x04200000)
    found["and code points"] = icc.profile(matrix | {b"cicp": icc.code_points(9, 18)})
    return {f"JPEG table {name}": profiled("JPEG", profile) for name, profile in found.items()}


def _broken() -> dict[str, File]:
    good, tags = _adobe(), icc.matrix(icc.ADOBE, icc.gamma(2.2))
    cases = {
        "cut short": good[:300],
        "too long": bytes([0, 0, 9]) + good[3:],
        "without signature": good.replace(b"acsp", b"zzzz"),
        "of v5": good[:8] + b"\5" + good[9:],
        "of another connection": good[:20] + b"Luv " + good[24:],
        "of CMYK": of_vips("cmyk"),
        "of grey": icc.profile({b"kTRC": icc.gamma(1.0)}, space=b"GRAY"),
        "without green": icc.profile({key: tags[key] for key in tags if key != b"gTRC"}),
        "with an endless curve": icc.profile(
            icc.matrix(icc.ADOBE, b"curv" + bytes(5) + b"\xff\0\0")
        ),
        "with an unknown curve": icc.profile(icc.matrix(icc.ADOBE, icc.parametric(9, 2.2))),
        "of a link": good[:12] + b"link" + good[16:],
        "of no class": good[:12] + b"zzzz" + good[16:],
    }
    return {f"JPEG profile {name}": profiled("JPEG", profile) for name, profile in cases.items()}


def _inks() -> dict[str, File]:
    return {
        "CMYK": cmyk(transform=0),
        "CMYK without Adobe's marker": cmyk(transform=None),
        "YCCK": cmyk(transform=2),
        "CMYK with a profile": cmyk(of_vips("cmyk"), transform=0),
        "CMYK with RGB's profile": cmyk(_adobe(), transform=0),
    }
