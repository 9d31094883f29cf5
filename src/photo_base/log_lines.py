"""Log lines of a long-running command: one JSON object each, on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime

from photo_base.line_output import bounded_stderr


class JsonLines(logging.Formatter):
    """time, level, logger, message, and the record's own `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_to_stderr() -> None:
    """Send everything of this process there, from INFO on; a reader that stops holds up nothing."""
    formatter = JsonLines()
    bounded_stderr(formatter)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Its lines repeat ours, one for each question to nginx.
    logging.getLogger("httpx").setLevel(logging.WARNING)
