"""Log lines: one JSON object each, on standard error.

What must never stand in one is known by its form or its name: tokens, signatures, passwords, the
keys of links. Nothing that logs means to log one; that is for texts of others, such as an error's,
that quote what they were given. Whatever is logged, it costs no line and makes no other: what
cannot be written is told by its type, and what terminals obey stands as its number.
"""

import copy
import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from photo_base.line_output import LineOutput, bounded_stderr

log = logging.getLogger(__name__)

NO_EVENT = "message"
"""The event of a line that has no name of its own."""

LONGEST_LINE = 64 * 1024
"""Bytes: less than any known collector takes (Loki: 256 KiB)."""
LONGEST_TEXT = 8 * 1024
"""Characters of one text in a line that would be longer than that."""
MOST_ITEMS = 50
LONGEST_READ = LONGEST_LINE
"""Characters of a text that are looked at for secrets: a huge one would take seconds."""
DEEPEST = 8
INTEGERS = range(-(2**63), 2**64)
"""What every reader of JSON takes."""

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
    r"|(?<=://)[^/\s\"'@:]*:[^\s\"'?#]{1,256}(?=@)",
    re.I,
)
_NAME = r"(?:passw(?:or)?d|passphrase|secret|token|api-?key|signature|credential)"
_VALUE = r"""\\"(?:[^"\\]|\\[^"])*(?:\\")?|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?"""
_NAMED = re.compile(
    # {"password": "…"} and {'password': '…'}, also as a text within JSON; password='…', password=…
    rf"({_NAME}\\?[\"']\s*:\s*)(?:{_VALUE})|({_NAME}=)(?:{_VALUE}|[^\s\"'&,;)}}\]]+)"
    # Headers.
    r"|(cookie:\s*+|authorization:\s*+(?!bearer |basic )|-(?:token|key):\s*+)[^\r\n\"']+",
    re.I,
)
_BARE = re.compile(
    # 192 bits of a share's key, 256 of a refresh token: base64, so letters of either case.
    rf"(?<!{_WORD})(?=[A-Z0-9_-]*[a-z])(?=[a-z0-9_-]*[A-Z]){_WORD}{{32,}}"
    # A signature in hexadecimal digits.
    r"|(?<![0-9a-zA-Z])(?:[0-9a-f]{64}|[0-9A-F]{64})(?![0-9a-zA-Z])"
)

_LOGIN = re.compile(r"(?<=://)[^/\s@]*:[^\s]{1,256}(?=@)")
"""Of an address, within a command."""

_OBEYED = re.compile(
    # Controls but for tab and newline, what turns or splits lines, halves of characters.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def redact(text: str) -> str:
    """The text with `[hidden]` in place of whatever looks like a secret; of a huge one its ends."""
    if len(text) > LONGEST_READ:
        half = LONGEST_READ // 2
        text = f"{text[:half]} […] {text[-half:]}"
    text = _FORMS.sub(HIDDEN, text)
    if "=" in text or ":" in text:
        text = _NAMED.sub(_without_value, text)
    return _BARE.sub(HIDDEN, text)


def _without_value(found: re.Match[str]) -> str:
    return f"{found[found.lastindex or 0]}{HIDDEN}"


def shown(value: object) -> str:
    """As it may stand in a line: without secrets and without what a terminal obeys."""
    try:
        text = str(value)
    except Exception as error:
        text = f"<{type(value).__name__}: {type(error).__name__}>"
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", redact(text))


def redacted(value: Any, depth: int = 0) -> Any:
    """The same of a line's field, as JSON can write it: texts, and those in lists, tuples, sets and
    mappings."""
    if value is None or (isinstance(value, int) and value in INTEGERS):
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if depth < DEEPEST and isinstance(value, dict):
        return {shown(key): redacted(item, depth + 1) for key, item in value.items()}
    if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [redacted(item, depth + 1) for item in value]
    return "[…]" if isinstance(value, dict | list | tuple | set | frozenset) else shown(value)


def message_of(record: logging.LogRecord) -> str:
    """A record's words, also where they do not go with their arguments."""
    try:
        return record.getMessage()
    except Exception:
        return f"{shown(record.msg)} {shown(record.args)}"


class JsonLines(logging.Formatter):
    """time, level, event, logger, message, what each line tells `always` and `now`, and the
    record's own `fields`; a record names its event among these. Nothing that looks like a secret
    stands in it, and no line is longer than `LONGEST_LINE`."""

    def __init__(self, now: Callable[[], Mapping[str, str]] = dict, **always: str) -> None:
        super().__init__()
        self._now = now
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname,
            "event": NO_EVENT,
            "logger": record.name,
            "message": shown(message_of(record)),
            **self._always,
            **self._now(),
            **redacted(getattr(record, "fields", {})),
        }
        if record.exc_info:
            line["traceback"] = shown(self.formatException(record.exc_info))
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
        own = copy.copy(record)  # others write its traceback in their own way
        own.msg, own.args, own.exc_text = one_line(message_of(record)), (), None
        return shown(super().format(own))


def one_line(value: object) -> str:
    """As `shown`, and of its newlines the signs."""
    return shown(value).replace("\n", "\\n")


def pasteable(command: str) -> str:
    """A command for people: on one line, without an address's password and what terminals obey.
    Variables stay, which `shown` would hide: nothing that works would be left of `Bearer $TOKEN`.
    """
    return printable(_LOGIN.sub(HIDDEN, command))


def printable(text: str) -> str:
    """On one line, without what terminals obey; secrets stay."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def log_to_stderr(formatter: logging.Formatter, level: str = "INFO") -> LineOutput:
    """Send everything of this process there, from `level` on; a reader that stops holds up
    nothing."""
    output = bounded_stderr(formatter)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook = _tell_of_end
    threading.excepthook = lambda args: _tell(args.exc_value, f"a thread ended: {args.thread}")
    sys.unraisablehook = lambda args: _tell(args.exc_value, f"{args.err_msg}: {args.object!r:.200}")
    return output


def _tell_of_end(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        _tell(error, "the process ends by an error that nobody caught")


def _tell(error: BaseException | None, message: str) -> None:
    """What Python would write as it is is a line like all others, without secrets."""
    log.error("%s", message, exc_info=error)
