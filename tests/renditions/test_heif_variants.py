"""HEIC and AVIF in the variants that their container allows: what is shown, what is refused, and
why. Asked of the real child."""

import io
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image

from photo_api.renditions.decoder import Decoder, Refused
from photo_api_client.photographs import encode
from tests.heif_boxes import Item, Reference, box, clap, full, heif, imir, irot, ispe
from tests.layered_avif import a1op, layered, lsel
from tests.quadrants import BRANDS, coded_as, corners, file_of, item, quadrants, with_properties

Outcome = str | tuple[int, int, str, int]
"""The reason of a refusal, or displayed width and height, corners, and the number of frames."""

CODECS = pytest.mark.parametrize("kind", [b"hvc1", b"av01"])
PLAIN: Outcome = (128, 64, "RGBY", 1)
TURNS = {
    (irot(1),): (64, 128, "GYRB", 1),
    (irot(2),): (128, 64, "YBGR", 1),
    (irot(3),): (64, 128, "BRYG", 1),
    (imir(0),): (128, 64, "BYRG", 1),
    (imir(1),): (128, 64, "GRYB", 1),
    (irot(1), imir(0)): (64, 128, "RBGY", 1),
    (irot(1), imir(1)): (64, 128, "YGBR", 1),
    (irot(3), imir(1)): (64, 128, "RBGY", 1),
}
"""By H.23008-12, 6.5.10 and 6.5.12: turned against the clock, then mirrored."""


async def outcome(decoder: Decoder, data: bytes) -> Outcome:
    """What comes of a file; what is shown is described alike, undecoded."""
    try:
        rendered = await decoder.render(data)
    except Refused as refused:
        return refused.reason
    size = rendered.width, rendered.height
    facts = await decoder.describe(data)
    assert (facts.width, facts.height) == size
    shown = {corners(rendered.preview), corners(rendered.thumbnail)}
    shown.add(corners((await decoder.display(data)).data))
    assert len(shown) == 1
    return *size, shown.pop(), rendered.frames


async def outcomes(decoder: Decoder, files: Mapping[str, bytes]) -> dict[str, Outcome]:
    return {name: await outcome(decoder, data) for name, data in files.items()}


def grid(rows: int, columns: int, width: int, height: int, *more: bytes) -> Item:
    layout = bytes([0, 0, rows - 1, columns - 1]) + struct.pack(">HH", width, height)
    return Item(b"grid", layout, [ispe(width, height), *more])


@CODECS
async def test_a_picture_is_cropped_and_turned_as_it_says(decoder: Decoder, kind: bytes) -> None:
    files = {
        "all of it": file_of(kind, clap(128, 64, (0, 1), (0, 1))),
        "little of it": file_of(kind, clap(20, 16, (-54, 1), (-24, 1))),
        "another corner": file_of(kind, clap(20, 16, (54, 1), (24, 1))),
        "cropped, then turned": file_of(kind, clap(64, 64, (-32, 1), (0, 1)), irot(1)),
        "little of it, turned": file_of(kind, clap(40, 10, (-44, 1), (-27, 1)), irot(3), imir(1)),
        "turned, then cropped": file_of(kind, irot(1), clap(10, 40, (-27, 1), (-44, 1))),
        "more than there is": file_of(kind, clap(500, 400, (0, 1), (0, 1))),
        "beside it": file_of(kind, clap(20, 16, (1 << 30, 1), (0, 1))),
        "by nothing": file_of(kind, box(b"clap", struct.pack(">8I", 20, 0, 16, 1, 0, 1, 0, 1))),
    }
    assert await outcomes(decoder, files) == {
        "all of it": PLAIN,
        "little of it": (20, 16, "RRRR", 1),
        "another corner": (20, 16, "YYYY", 1),
        "cropped, then turned": (64, 64, "RBRB", 1),
        "little of it, turned": (10, 40, "RRRR", 1),
        "turned, then cropped": (10, 40, "GGGG", 1),
        "more than there is": PLAIN if kind == b"hvc1" else "corrupt",
        "beside it": "corrupt",
        "by nothing": "corrupt",
    }
    turned = {str(turns): file_of(kind, *turns) for turns in TURNS}
    assert await outcomes(decoder, turned) == {str(turns): TURNS[turns] for turns in TURNS}


@CODECS
async def test_a_picture_may_be_made_of_others(decoder: Decoder, kind: bytes) -> None:
    tile, brands = item(kind), BRANDS[kind]
    overlay = struct.pack(">2x4H2H4h", 0, 65535, 0, 65535, 160, 96, 0, 0, 32, 32)
    cropped = with_properties(kind, clap(20, 16, (-54, 1), (-24, 1)))

    def made(first: Item, *others: Item) -> bytes:
        of: Reference = (b"dimg", 1, range(2, 2 + len(others)))
        return heif(dict(enumerate([first, *others], 1)), [of], brands)

    tiles = [tile] * 4
    files = {
        "tiles": made(grid(2, 2, 256, 128), *tiles),
        "hidden tiles": made(grid(2, 2, 256, 128), *[tile._replace(hidden=True)] * 4),
        "tiles, the last ones cropped": made(grid(2, 2, 180, 120), *tiles),
        "tiles, turned": made(grid(1, 2, 256, 64, irot(1)), *tiles[:2]),
        "a tile missing": made(grid(2, 2, 256, 128), *tiles[:3]),
        "laid over each other": made(Item(b"iovl", overlay, [ispe(160, 96)]), tile, tile),
        "the same, turned": made(Item(b"iden", b"", [ispe(128, 64), irot(1)]), tile),
        "a part, turned": made(Item(b"iden", b"", [ispe(20, 16), irot(1)]), cropped),
        "of a coding unknown": made(grid(1, 1, 128, 64), Item(b"vvc1", b"", [ispe(128, 64)])),
    }
    assert await outcomes(decoder, files) == {
        "tiles": (256, 128, "RGBY", 1),
        "hidden tiles": (256, 128, "RGBY", 1),
        "tiles, the last ones cropped": (180, 120, "RRBB", 1),
        "tiles, turned": (64, 256, "GYRB", 1),
        "a tile missing": "corrupt",
        "laid over each other": (160, 96, "RGGY", 1),
        "the same, turned": (64, 128, "GYRB", 1),
        "a part, turned": (16, 20, "RRRR", 1) if kind == b"av01" else "unsupported",
        "of a coding unknown": "unsupported",
    }


@CODECS
async def test_other_pictures_in_the_file_are_not_shown(decoder: Decoder, kind: bytes) -> None:
    small, brands = with_properties(kind, irot(2)), BRANDS[kind]

    def beside(reference: bytes, *properties: bytes) -> bytes:
        second = small._replace(properties=[*small.properties, *properties], hidden=True)
        return heif({1: item(kind), 2: second}, [(reference, 2, [1])], brands)

    names = [b"urn:mpeg:hevc:2015:auxid:2", b"urn:com:apple:photo:2020:aux:hdrgainmap"]
    files = {
        "a thumbnail": beside(b"thmb"),
        "its depth": beside(b"auxl", full(b"auxC", names[0] + b"\0")),
        "a gain map": beside(b"auxl", full(b"auxC", names[1] + b"\0")),
        "another one": heif({1: item(kind), 2: small}, brands=brands),
    }
    assert await outcomes(decoder, files) == dict.fromkeys(files, PLAIN)
    second = {"the second": heif({1: small, 2: item(kind)}, brands=brands, primary=2)}
    assert await outcomes(decoder, second) == {"the second": PLAIN}


ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
CODINGS = [b"unci", b"jpeg", b"avc1", b"j2k1", b"vvc1", b"evc1", b"lhv1", b"hvt1", b"tmap", b"what"]


@CODECS
async def test_codings_without_a_decoder_are_called_so(decoder: Decoder, kind: bytes) -> None:
    """Uncompressed (ISO 23001-17), JPEG, AVC, JPEG 2000, VVC, EVC, layered and tiled HEVC."""
    files = {
        coding.decode(): heif(
            {1: Item(coding, bytes(24576), [ispe(128, 64), irot(1)])}, brands=BRANDS[kind]
        )
        for coding in CODINGS
    }
    assert await outcomes(decoder, files) == dict.fromkeys(files, "unsupported")
    for data in files.values():
        facts = await decoder.describe(data)
        assert (facts.width, facts.height) == (64, 128)


async def test_what_a_picture_is_coded_in_counts_not_what_the_file_calls_itself(
    decoder: Decoder,
) -> None:
    files = {
        f"{kind!r} in {brands[0]!r}": file_of(kind, brands=brands)
        for kind in BRANDS
        for brands in [*BRANDS.values(), (b"mif1",)]
    }
    assert await outcomes(decoder, files) == dict.fromkeys(files, PLAIN)


@CODECS
async def test_damage_is_told_from_a_cut_and_from_what_is_not_supported(
    decoder: Decoder, kind: bytes
) -> None:
    whole, own, brands = file_of(kind), item(kind), BRANDS[kind]
    start = whole.index(b"mdat") + 4
    without = [one for one in own.properties if one[4:8] not in (b"hvcC", b"av1C")]
    files = {
        **{f"cut at {at}": whole[:at] for at in (30, 40, 100, start, start + 30, -10, -1)},
        "zeros": whole[:start] + bytes(len(whole) - start),
        "ones": whole[:start] + b"\xff" * (len(whole) - start),
        "another size": heif({1: own._replace(properties=[*without, ispe(640, 480)])}, (), brands),
        "no configuration": heif({1: own._replace(properties=without)}, (), brands),
        "no width": heif({1: own._replace(properties=[*without, ispe(0, 64)])}, (), brands),
        "no such picture": heif({1: own}, (), brands, primary=7),
        "hidden": heif({1: own._replace(hidden=True)}, (), brands),
        "another property to obey": file_of(kind, box(b"zzzz", b"1234")),
    }
    assert await outcomes(decoder, files) == {
        **{name: "truncated" for name in files if name.startswith("cut")},
        **dict.fromkeys(
            ["zeros", "ones", "another size", "no configuration", "no width", "no such picture"],
            "corrupt",
        ),
        **dict.fromkeys(["hidden", "another property to obey"], "unsupported"),
    }


def animated(first: bytes) -> bytes:
    """An AVIF of five pictures, which says this of itself first."""
    turned = [quadrants().rotate(90 * turn) for turn in range(5)]
    data = encode(turned[0], "AVIF", save_all=True, append_images=turned[1:], duration=100)
    return data.replace(b"ftypavis", b"ftyp" + first, 1)


async def test_of_an_animation_the_first_picture_is_shown_and_all_are_counted(
    decoder: Decoder,
) -> None:
    whole = animated(b"avis")
    files = {
        "animated": whole,
        "a still first": animated(b"avif"),
        "nothing but a movie": whole.replace(b"meta", b"free", 1),
    }
    assert await outcomes(decoder, files) == {
        "animated": (128, 64, "RGBY", 5),
        "a still first": PLAIN,
        "nothing but a movie": "unsupported",
    }
    facts = await decoder.describe(files["nothing but a movie"])
    assert (facts.width, facts.height) == (128, 64)


async def test_of_layers_the_last_is_shown(decoder: Decoder) -> None:
    """libheif would show it also where another is chosen."""
    layers = quadrants().rotate(180), quadrants()
    files = {
        "layers": layered(*layers),
        "the last chosen": layered(*layers, lsel(0xFFFF)),
        "all chosen": layered(*layers, a1op(0)),
        "the first chosen": layered(*layers, lsel(0)),
        "the first one's operating point": layered(*layers, a1op(1)),
    }
    assert await outcomes(decoder, files) == {
        **dict.fromkeys(["layers", "the last chosen", "all chosen"], PLAIN),
        **dict.fromkeys(["the first chosen", "the first one's operating point"], "unsupported"),
    }


@CODECS
async def test_colours_may_be_multiplied_by_their_alpha(decoder: Decoder, kind: bytes) -> None:
    """As browsers show it; a red that is half transparent has half its light."""
    half = Image.new("RGB", (128, 64), (128, 0, 0)), Image.new("L", (128, 64), 128)
    colours, alpha = (coded_as(kind, image) for image in half)
    alpha = alpha._replace(properties=[*alpha.properties, full(b"auxC", ALPHA + b"\0")])
    items = {1: colours, 2: alpha._replace(hidden=True)}
    references: list[Reference] = [(b"auxl", 2, [1]), (b"prem", 1, [2])]
    for count, red in ((1, 128), (2, 255)):
        data = heif(items, references[:count], BRANDS[kind])
        for webp in ((await decoder.render(data)).preview, (await decoder.display(data)).data):
            pixel: Any = Image.open(io.BytesIO(webp)).convert("RGBA").getpixel((60, 30))
            assert max(abs(a - b) for a, b in zip(pixel, (red, 0, 0, 128), strict=True)) < 8, count
