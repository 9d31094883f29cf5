"""Log lines: one JSON object each, on standard error.

What must never stand in one is known by its form: tokens, signatures, the keys of links. Nothing
that logs means to log one; that is for texts of others, such as an error's, that quote what they
were given.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from photo_base.line_output import LineOutput, bounded_stderr

NO_EVENT = "message"
"""The event of a line that has no name of its own."""

LONGEST_LINE = 64 * 1024
"""Bytes: less than any known collector takes (Loki: 256 KiB)."""
LONGEST_TEXT = 8 * 1024
"""Characters of one text in a line that would be longer than that."""
MOST_ITEMS = 50

HIDDEN = "[hidden]"

_WORD = "[A-Za-z0-9_-]"
_KEY = "(?:signature|credential|security-token|token|secret|password|passwd|api-?key|sig|code)"

_FORMS = re.compile(
    # A JSON Web Token, whole or cut short.
    rf"(?<!{_WORD})eyJ{_WORD}{{8,}}(?:\.{_WORD}*){{0,2}}"
    # The key of a share link, in its path.
    rf"|(?<=/share/)[^/\s\"'?#{{]+"
    # What a query signs, or proves somebody's identity by.
    rf"|(?<=[?&;])(?:[a-z0-9]+[-_])*{_KEY}=[^&\s\"'#]*"
    r"|(?<=bearer )[^\s\"',]+|(?<=basic )[A-Za-z0-9+/=]{8,}"
    # An address's password.
    r"|(?<=://)[^/\s\"'@:]*:[^/\s\"'@]+(?=@)",
    re.I,
)
_BARE = re.compile(
    # 192 bits of a share's key, 256 of a refresh token: base64, so letters of either case.
    rf"(?<!{_WORD})(?=[A-Z0-9_-]*[a-z])(?=[a-z0-9_-]*[A-Z]){_WORD}{{32,}}"
    # A signature in hexadecimal digits.
    r"|(?<![0-9a-zA-Z])[0-9a-f]{64}(?![0-9a-zA-Z])"
)


def redact(text: str) -> str:
    """The text with `[hidden]` in place of whatever looks like a secret."""
    return _BARE.sub(HIDDEN, _FORMS.sub(HIDDEN, text))


def redacted(value: Any) -> Any:
    """The same of a line's field: texts, and those in lists, tuples, sets and mappings."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # JSON has no such number
    return value if isinstance(value, int | float | None) else redact(str(value))


class JsonLines(logging.Formatter):
    """time, level, event, logger, message, what each line tells `always`, and the record's own
    `fields`; a record names its event among these. Nothing that looks like a secret stands in it,
    and no line is longer than `LONGEST_LINE`."""

    def __init__(self, **always: str) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname,
            "event": NO_EVENT,
            "logger": record.name,
            "message": redact(record.getMessage()),
            **self._always,
            **redacted(getattr(record, "fields", {})),
        }
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        text = _encoded(line)
        return text if len(text) * 4 <= LONGEST_LINE else _bounded(line, text)


def _encoded(line: dict[str, Any]) -> str:
    return json.dumps(line, default=str, ensure_ascii=False, separators=(",", ":"))


def _bounded(line: dict[str, Any], text: str) -> str:
    if len(text.encode(errors="replace")) <= LONGEST_LINE:
        return text
    text = _encoded({name: _cut(value) for name, value in line.items()} | {"cut": True})
    if len(text.encode(errors="replace")) <= LONGEST_LINE:
        return text
    few = ("time", "level", "event", "logger", "message", "instance", "boot", "process")
    kept = {name: _cut(line[name]) for name in few if name in line}
    return _encoded({**kept, "cut": True})


def _cut(value: Any) -> Any:
    """A traceback's end tells more than its beginning."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        half = LONGEST_TEXT // 2
        return f"{value[:half]} […] {value[-half:]}"
    if isinstance(value, list):
        return value[:MOST_ITEMS]
    return value


class Redacted(logging.Formatter):
    """Lines for people, without what looks like a secret."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def log_to_stderr(formatter: logging.Formatter, level: str = "INFO") -> LineOutput:
    """Send everything of this process there, from `level` on; a reader that stops holds up
    nothing."""
    output = bounded_stderr(formatter)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    return output
