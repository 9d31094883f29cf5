"""The Content-Disposition of a photo, whose name its uploader chose."""

import re
from urllib.parse import quote

from photo_api.visible_text import line

_NAMELESS = "photo"
_LONGEST = 255
_NOT_QUOTABLE = re.compile(r'[^ -~]|["\\%]')


def safe_filename(filename: str) -> str:
    """The last path component without characters that hide or give a direction, at most 255 of
    them; "photo" if nothing is left."""
    name = filename.encode(errors="replace").decode() if not filename.isascii() else filename
    name = name.replace("\\", "/").rpartition("/")[2]
    return line(name, marks=False).strip(" .")[-_LONGEST:] or _NAMELESS


def inline_disposition(filename: str) -> str:
    """`inline` with the file's name: quoted ASCII for every client, and where that loses something
    the exact name as well (RFC 6266 with RFC 8187's encoding), which browsers prefer."""
    name = safe_filename(filename)
    plain = _NOT_QUOTABLE.sub("_", name)
    if plain == name:
        return f'inline; filename="{name}"'
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
