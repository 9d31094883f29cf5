"""The Content-Disposition of a photo, whose name its uploader chose."""

import re
from functools import lru_cache
from urllib.parse import quote

from photo_api.visible_text import line

_NAMELESS = "photo"
_LONGEST = 255
_PLAIN = re.compile(r"[\w~-](?:[\w.~-]{0,253}[\w~-])?", re.ASCII)
"""Names that stay as they are, quoted or not, which those of cameras and programs mostly are."""
_NOT_QUOTABLE = re.compile(r'[^ -~]|["\\%]')


def safe_filename(filename: str) -> str:
    """The last path component without characters that hide or give a direction, at most 255 of
    them; "photo" if nothing is left."""
    name = filename.encode(errors="replace").decode() if not filename.isascii() else filename
    name = name.replace("\\", "/").rpartition("/")[2]
    shown = name if name.isascii() and name.isprintable() else line(name, marks=False)
    return shown.strip(" .")[-_LONGEST:] or _NAMELESS


def inline_disposition(filename: str) -> str:
    """`inline` with the file's name: quoted ASCII for every client, and where that loses something
    the exact name as well (RFC 6266 with RFC 8187's encoding), which browsers prefer."""
    name = safe_filename(filename)
    plain = _NOT_QUOTABLE.sub("_", name)
    if plain == name:
        return f'inline; filename="{name}"'
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def quoted_filename(filename: str) -> str:
    """`safe_filename`, percent-encoded as in a query."""
    if _PLAIN.fullmatch(filename):
        return filename
    return quote(safe_filename(filename), safe="")


def quoted_disposition(filename: str) -> str:
    """`inline_disposition`, percent-encoded as in a query."""
    if _PLAIN.fullmatch(filename):
        return f"inline%3B%20filename%3D%22{filename}%22"
    kind, *names = inline_disposition(filename).split('"')
    # Piece by piece: `quote` is fast where there is nothing to do.
    return "%22".join([_quoted(kind), *[quote(name, safe="") for name in names]])


@lru_cache(maxsize=4)
def _quoted(kind: str) -> str:
    return quote(kind, safe="")
