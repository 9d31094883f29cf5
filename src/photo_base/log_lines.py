"""Log lines: one JSON object each, on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime

from photo_base.line_output import LineOutput, bounded_stderr


class JsonLines(logging.Formatter):
    """time, level, logger, message, what each line tells `always`, and the record's own
    `fields`."""

    def __init__(self, **always: str) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False, separators=(",", ":"))


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
