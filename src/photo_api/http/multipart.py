"""A multipart/form-data body (RFC 7578) read as it arrives: one file, and text fields around it.

Nothing is read from the network ahead of the file's consumer, so memory is bounded by one
chunk of the body and the fields' limits.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

MAX_FIELD_SIZE = 64 * 1024
MAX_FIELDS = 20
MAX_EPILOGUE = 64 * 1024

_PARAMETER = re.compile(r';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;]*)')
_ESCAPED = re.compile(r'\\(["\\])')
# Browsers and httpx send these, and only these, percent-encoded in a quoted name.
_ENCODED = re.compile(r"%([01][0-9A-Fa-f]|22)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class MultipartError(Exception):
    """The body is not a form with one file in it; `detail` may be shown to the client."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class FilePart:
    """The file: the last component of the name it was sent with (perhaps ""), and its bytes."""

    filename: str
    chunks: AsyncIterator[memoryview]


class UploadForm:
    """Reads one form: first `file()`, then its chunks, then `finish()` for the fields.

    Fields may come before and after the file. Every method and the chunks raise `MultipartError`,
    the constructor too when there is no boundary, and whatever `stream` raises.
    """

    def __init__(
        self, stream: AsyncIterator[bytes], content_type: str, file_field: str = "file"
    ) -> None:
        self._stream = stream
        self._parts = _Parts(file_field)
        try:
            self._parser = MultipartParser(
                _boundary(content_type),
                {
                    "on_part_begin": self._parts.begin,
                    "on_header_field": self._parts.header_name,
                    "on_header_value": self._parts.header_value,
                    "on_header_end": self._parts.header_end,
                    "on_headers_finished": self._parts.headers_finished,
                    "on_part_data": self._parts.data,
                    "on_part_end": self._parts.part_end,
                    "on_end": self._parts.end,
                },
            )
        except FormParserError as error:
            raise MultipartError("the boundary is too long") from error
        self._epilogue = 0

    async def file(self) -> FilePart:
        """Read up to the file's first bytes; fields that stand before it are kept."""
        while self._parts.filename is None:
            if not await self._read():
                raise MultipartError(f"there is no file in the field {self._parts.file_field!r}")
        return FilePart(self._parts.filename, self._chunks())

    @property
    def fields(self) -> Mapping[str, str]:
        """The text fields that have come."""
        return self._parts.fields

    async def finish(self) -> dict[str, str]:
        """Read the body to its end, dropping what is left of the file; all text fields by name, of
        a repeated one the last."""
        while await self._read():
            self._parts.take()
        if self._parts.filename is None:
            raise MultipartError(f"there is no file in the field {self._parts.file_field!r}")
        return self._parts.fields

    async def _chunks(self) -> AsyncIterator[memoryview]:
        while True:
            chunk = self._parts.take()
            if chunk:
                yield chunk
            elif self._parts.file_ended or not await self._read():
                return

    async def _read(self) -> bool:
        """Parse the next chunk of the body; False at its end."""
        chunk = await anext(self._stream, None)
        if chunk is None:
            if not self._parts.ended:
                raise MultipartError("the body ends before the form does")
            return False
        if self._parts.ended:
            self._epilogue += len(chunk)
            if self._epilogue > MAX_EPILOGUE:
                raise MultipartError("there is too much after the form's end")
            return True
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MultipartError("the body is not well-formed multipart/form-data") from error
        return True


class _Parts:
    """What the parser reports, put together; takes no more than one chunk's bytes of the file."""

    def __init__(self, file_field: str) -> None:
        self.file_field = file_field
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.file_ended = False
        self.ended = False
        self._count = 0
        self._headers: dict[bytes, bytes] = {}
        self._name = bytearray()
        self._value = bytearray()
        self._field: str | None = None
        self._text = bytearray()
        self._file: list[memoryview] = []

    def take(self) -> memoryview:
        """The file's bytes since the last call."""
        taken, self._file = self._file, []
        return taken[0] if len(taken) == 1 else memoryview(b"".join(taken))

    def begin(self) -> None:
        self._headers = {}

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def headers_finished(self) -> None:
        parameters = _parameters(_utf8(self._headers.get(b"content-disposition", b"")))
        name = parameters.get("name")
        if name is None:
            raise MultipartError("a part has no name")
        filename = _filename(parameters)
        if filename is None:
            if _unescape(name) == self.file_field:
                raise MultipartError(f"the field {self.file_field!r} has no filename")
            self._begin_field(_unescape(name))
        elif self.filename is not None or _unescape(name) != self.file_field:
            raise MultipartError(f"only one file is taken, in the field {self.file_field!r}")
        else:
            self._field = None
            self.filename = filename

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._file.append(memoryview(data)[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD_SIZE:
            raise MultipartError(f"a field is longer than {MAX_FIELD_SIZE} bytes")

    def part_end(self) -> None:
        if self._field is None:
            self.file_ended = True
        else:
            self.fields[self._field] = _utf8(bytes(self._text))
            self._text.clear()

    def end(self) -> None:
        self.ended = True

    def _begin_field(self, name: str) -> None:
        self._count += 1
        if self._count > MAX_FIELDS:
            raise MultipartError(f"there are more than {MAX_FIELDS} fields")
        self._field = name


def _boundary(content_type: str) -> str:
    media_type = content_type.partition(";")[0].strip().lower()
    boundary = _unescape(_parameters(content_type).get("boundary", ""))
    if media_type != "multipart/form-data" or not boundary or not boundary.isascii():
        raise MultipartError("Content-Type must be multipart/form-data with a boundary")
    return boundary


def _parameters(header: str) -> dict[str, str]:
    """A header's parameters by lower-case name, as they were sent but for the quotes."""
    return {
        name.lower(): value[1:-1] if value[:1] == value[-1:] == '"' else value.strip()
        for name, value in _PARAMETER.findall(header)
    }


def _filename(parameters: dict[str, str]) -> str | None:
    """The name's last component; `filename*` (RFC 8187) wins over `filename`; None for neither."""
    if "filename*" in parameters:
        name = _extended(parameters["filename*"])
    elif "filename" in parameters:
        name = _unescape(parameters["filename"])
    else:
        return None
    return _CONTROL.sub("", name.replace("\\", "/").rpartition("/")[2])


def _extended(value: str) -> str:
    """`charset'language'percent-encoded`."""
    charset, _, rest = value.partition("'")
    encoding = {"utf-8": "utf-8", "iso-8859-1": "latin-1"}.get(charset.lower())
    if encoding is None or "'" not in rest:
        raise MultipartError("filename* is not UTF-8''…")
    return _utf8(unquote_to_bytes(rest.partition("'")[2]), encoding)


def _unescape(value: str) -> str:
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), _ESCAPED.sub(r"\1", value))


def _utf8(data: bytes, encoding: str = "utf-8") -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise MultipartError("a field or file name is not UTF-8") from error
