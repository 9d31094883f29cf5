"""The properties of an XMP packet (ISO 16684-1) that the service has a use for."""

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from xml.parsers import expat

MAX_PACKET = 1 << 20
"""What stands behind it is the history of edits."""
MAX_VALUE = 1000
MAX_DEPTH = 100
MAX_PIECES = 200_000
"""Of a packet so many elements and pieces of text are looked at."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_PREFIXES: Mapping[str, str] = MappingProxyType(
    {
        "http://ns.adobe.com/xap/1.0/": "xmp",
        "http://ns.adobe.com/exif/1.0/": "exif",
        "http://cipa.jp/exif/1.0/": "exifEX",
        "http://ns.adobe.com/exif/1.0/aux/": "aux",
        "http://ns.adobe.com/tiff/1.0/": "tiff",
        "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    }
)


def read_xmp(packet: bytes) -> dict[str, str]:
    """Simple properties by names such as "exif:DateTimeOriginal", of arrays the first item.

    What was read before a fault counts. A packet with a document type is given up, for that is
    where entities multiply. Raises nothing.
    """
    reader = _Reader()
    parser = expat.ParserCreate("UTF-8", " ")  # or UTF-16, which it tells by the first bytes
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    with suppress(expat.ExpatError, _NotXmp):
        parser.Parse(packet[:MAX_PACKET].lstrip(b" \r\n\t").rstrip(b"\0 \r\n\t"), True)
    return {name: text.strip() for name, text in reader.found.items() if text.strip()}


class _NotXmp(Exception):
    """A document type, or more elements, or nested deeper, than any program writes."""


class _Reader:
    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._whole: set[str] = set()
        self._path: list[str] = []
        self._rdf = 0
        self._pieces = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._count()
        self._path.append(name)
        if len(self._path) > MAX_DEPTH:
            raise _NotXmp
        if name == _RDF + "RDF":
            self._rdf = len(self._path)
        if name == _RDF + "Description" and len(self._path) == self._rdf + 1:
            for one, value in attributes.items():
                self._add(_name(one), value)
                self._end(_name(one))

    def end(self, name: str) -> None:
        self._end(self._property())
        self._path.pop()

    def text(self, text: str) -> None:
        self._count()
        self._add(self._property(), text)

    def _count(self) -> None:
        self._pieces += 1
        if self._pieces > MAX_PIECES:
            raise _NotXmp

    def refuse(self, *_: object) -> None:
        self.found.clear()
        raise _NotXmp

    def _property(self) -> str:
        """Whose value stands here: below RDF, Description, the property, perhaps array and item."""
        below = len(self._path) - self._rdf
        value = below == 2 or (below == 4 and self._path[-1] == _RDF + "li")
        return _name(self._path[self._rdf + 1]) if self._rdf and value else ""

    def _add(self, key: str, value: str) -> None:
        """Text comes in pieces. The first value that is not blank counts."""
        if key and key not in self._whole:
            self.found[key] = (self.found.get(key, "") + value[:MAX_VALUE]).lstrip()[:MAX_VALUE]

    def _end(self, key: str) -> None:
        if self.found.get(key):
            self._whole.add(key)


def _name(expanded: str) -> str:
    """ "exif:FNumber" of what expat gives; nothing for what we have no use for."""
    namespace, _, local = expanded.rpartition(" ")
    prefix = _PREFIXES.get(namespace)
    return f"{prefix}:{local}" if prefix else ""
