"""Texts in whichever encoding a camera's maker uses, or nothing."""

import unicodedata

import pytest

from photo_api.renditions.decoder import Decoder
from photo_api.renditions.exif import MAX_TEXT, read_exif
from photo_api.renditions.texts import decode
from tests.metadata_blocks import ASCII, BYTE, UNDEFINED, tiff, xmp
from tests.photographs import cat, encode

HANGUL = "삼성 갤럭시"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (HANGUL, "utf-8"),
        (HANGUL, "cp949"),
        ("똠방 카메라", "cp949"),
        ("니콘 Z 렌즈", "euc_kr"),
        ("カメラ 写真", "shift_jis"),
        ("Café Ägypten 50mm", "latin-1"),
        ("KODAK EASYSHARE®", "latin-1"),
        ("Noctilux 50mm ƒ/0.95", "cp1252"),
        ("Canon", "utf-16-le"),
        ("Canon", "utf-16-be"),
        (HANGUL, "utf-16"),
        ("📷 Ricoh", "utf-8"),
    ],
)
def test_what_can_be_told_is_read(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding) + b"\0" * 4) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "cp949", "shift_jis", "cp1252"])
async def test_the_decoder_reads_it_too_though_it_opens_no_files(
    decoder: Decoder, encoding: str
) -> None:
    text = {"cp949": HANGUL, "shift_jis": "カメラ 写真", "cp1252": "Café 50mm"}.get(
        encoding, "Canon"
    )
    block = tiff({0x0110: (ASCII, text.encode(encoding) + b"\0\0")})
    rendered = await decoder.render(encode(cat(), "JPEG", exif=b"Exif\0\0" + block))
    assert rendered.exif["camera"] == text


@pytest.mark.parametrize(
    "data",
    [
        "Привет".encode("cp1251"),
        "索尼相机".encode("gbk"),
        "ÄÖ".encode("latin-1"),
        "ｶﾒﾗ".encode("shift_jis"),
        b"\xff\xff\xff\xff",
        bytes(range(128, 256)),
        b"\0\0\0\0",
        b"",
    ],
)
def test_what_may_be_anything_is_nothing(data: bytes) -> None:
    assert decode(data) == ""


def test_a_letter_that_is_cut_off_is_left_out() -> None:
    assert decode(HANGUL.encode()[:-1]) == HANGUL[:-1]


@pytest.mark.parametrize("kind", [ASCII, BYTE, UNDEFINED])
def test_names_are_composed_and_without_what_breaks_lines(kind: int) -> None:
    apart = unicodedata.normalize("NFD", HANGUL).encode()
    image = {
        0x010F: (kind, apart + bytes(30)),
        0x0110: (kind, b"S\x1b[2J\xe2\x80\xaeX\x7f\xc2\x85"),
    }
    assert read_exif(tiff(image)) == {"camera": f"{HANGUL} S [2J X"}
    assert read_exif(b"", xmp(f'aux:Lens="{apart.decode()}"')) == {"lens": HANGUL}


def test_a_name_that_is_none_leaves_the_next_source_its_turn() -> None:
    unreadable = tiff(exif={0xA434: (ASCII, "Индустар".encode("cp1251") + b"\0")})
    assert read_exif(unreadable, xmp('aux:Lens="RF 50mm"')) == {"lens": "RF 50mm"}


def test_a_text_is_as_long_as_it_may_be_in_letters() -> None:
    assert read_exif(tiff(exif={0xA434: (ASCII, ("한" * 500).encode())}))["lens"] == "한" * MAX_TEXT
    marks = "RF 50mm" + "\u0301" * 5000
    assert len(str(read_exif(tiff(exif={0xA434: (ASCII, marks.encode())}))["lens"])) <= MAX_TEXT


def test_a_packet_in_utf_16() -> None:
    packet = xmp('aux:Lens="RF 50mm"').decode()
    for order in ("utf-16", "utf-16-be"):
        assert read_exif(b"", packet.encode(order)) == {"lens": "RF 50mm"}
