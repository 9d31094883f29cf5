"""Text in bytes of an encoding that nobody tells: what can be told from them, or nothing.

ASCII tags of EXIF are to be in ASCII (CIPA DC-008, 4.6.2). Cameras and programs put into them what
their makers write.
"""

import codecs
import re

LONGEST_GUESSED = 256
"""Bytes; no name of a camera or a lens has more, and what costs time is not looked at."""

_WIDE = re.compile(rb"(?:\xff\xfe|(?:[\x20-\x7e]\0){2})|(\xfe\xff|(?:\0[\x20-\x7e]){2})")
"""How UTF-16 begins: with a mark, or with letters of which every other byte is zero."""

_KOREAN = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")
"""The syllables of KS X 1001, which are the frequent ones."""
_OTHER_KOREAN = re.compile(rb"[\x81-\xc6][\x41-\x5a\x61-\x7a\x81-\xfe]")
"""With those that code page 949 adds."""
_JAPANESE = re.compile(rb"\x82[\x9f-\xf1]|\x83[\x40-\x7e\x80-\x96]")
"""Kana in Shift_JIS."""
_WESTERN = re.compile(r"[\x20-\x7e\xa0°²³´·µ®©ªº™\u2010-\u2026ƒ×€£\xc0-\xff]*")

_KANA_OR_KANJI = re.compile(r"[\x20-\x7e\u3000-\u30ff\u4e00-\u9fff\uff01-\uff5e]*")
_HANGUL = re.compile(r"[\x20-\x7e\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]*")


def load_codecs() -> None:
    """Python loads a codec when it is first used, which a process that opens no files cannot do."""
    for name in ("utf-16-be", "utf-16-le", "cp949", "shift_jis", "cp1252"):
        codecs.lookup(name)


def decode(data: bytes) -> str:
    """The text up to its NUL: UTF-8; UTF-16; Korean in code page 949 (EUC-KR), Japanese in
    Shift_JIS or a western text in Windows-1252, where letters of no other script come of it.
    Nothing for bytes that may be anything."""
    wide = _WIDE.match(data)
    if wide:
        order = "utf-16-be" if wide[1] else "utf-16-le"
        return data.decode(order, "ignore").removeprefix("\ufeff").partition("\0")[0]
    data = data.partition(b"\0")[0]
    return _utf8(data) or _legacy(data)


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        # A character that is cut off by the end of what was read is none that is wrong.
        cut = error.reason == "unexpected end of data" and error.start > 0
        return _utf8(data[: error.start]) if cut and len(data) - error.start < 4 else ""


def _legacy(data: bytes) -> str:
    if len(data) > LONGEST_GUESSED:
        return ""
    syllables = len(_OTHER_KOREAN.findall(data))
    korean = syllables > 1 and 2 * len(_KOREAN.findall(data)) >= syllables
    if korean and (text := _as(data, "cp949", _HANGUL)):
        return text
    if _JAPANESE.search(data) and (text := _as(data, "shift_jis", _KANA_OR_KANJI)):
        return text
    # Western letters stand among those of ASCII: as many bytes beyond it are another script.
    beyond = sum(byte > 0x7F for byte in data)
    return _as(data, "cp1252", _WESTERN) if 3 * beyond <= len(data) else ""


def _as(data: bytes, encoding: str, wanted: re.Pattern[str]) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return ""
    return text if wanted.fullmatch(text) else ""
