"""Log lines: one JSON object each for machines, or a short line for people."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

import orjson

from photo_api.settings.instance import LogSettings
from photo_api.telemetry.shipping import LogQueue, open_log_queue

JSON_LINE = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


class JsonFormatter(logging.Formatter):
    """One object a line with time, level, logger, message, instance and the record's own fields."""

    def __init__(self, instance: str, process: str) -> None:
        super().__init__()
        self._always = {"instance": instance, "process": process}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._always,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z).decode()


class TextFormatter(logging.Formatter):
    """`12:00:01 INFO web-1 request method=GET …`."""

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {process:<8} %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        fields = getattr(record, "fields", {})
        return super().formatMessage(record) + "".join(f" {k}={v}" for k, v in fields.items())


class QueueHandler(logging.Handler):
    """Puts each record into the queue as one line."""

    def __init__(self, queue: LogQueue) -> None:
        super().__init__()
        self._queue = queue

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._queue.put(self.format(record).encode() + b"\n")
        except Exception:  # a line that cannot be formatted ends no request
            self.handleError(record)


class AccessLog(Protocol):
    """Writes one line for one request."""

    def __call__(self, **fields: object) -> None: ...


def open_access_log(
    settings: LogSettings, instance: str, process: str, queue: LogQueue | None = None
) -> AccessLog:
    """The access log of this process, on standard error and in `queue` like all other lines. JSON
    lines are written without a log record in between, which would cost as much as a small query."""
    if settings.level not in ("DEBUG", "INFO"):
        return lambda **_: None
    if settings.format == "text":
        log = logging.getLogger("photo_api.access")
        return lambda **fields: log.info("request", extra={"fields": fields})
    output = sys.stderr.fileno()
    always = {
        "level": "INFO",
        "logger": "photo_api.access",
        "message": "request",
        "instance": instance,
        "process": process,
    }

    def write(**fields: object) -> None:
        line = orjson.dumps({"time": datetime.now(UTC), **always, **fields}, option=JSON_LINE)
        if queue is not None:
            queue.put(line)
        # Short enough to be one atomic write, also into a pipe.
        os.write(output, line)

    return write


def configure_logging(
    settings: LogSettings, instance: str, process: str, queue: LogQueue | None = None
) -> None:
    """Send everything of this process to standard error and, always as JSON, into `queue`.
    `process` is its role, such as `web-1`."""
    handler = logging.StreamHandler(sys.stderr)
    json_lines = settings.format == "json"
    handler.setFormatter(JsonFormatter(instance, process) if json_lines else TextFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    if queue is not None:
        shipped = QueueHandler(queue)
        shipped.setFormatter(JsonFormatter(instance, process))
        root.addHandler(shipped)
    root.setLevel(settings.level)
    # Its own lines repeat ours, and name paths with tokens in them.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


@contextmanager
def log_shipping(
    settings: LogSettings, instance: str, process: str, flush: float
) -> Iterator[LogQueue | None]:
    """Logging as by `configure_logging`, with the queue to the sink of the settings, if there is
    one. At the end the queue gets `flush` seconds to be emptied, unless it was closed before."""
    queue = open_log_queue(settings, process)
    configure_logging(settings, instance, process, queue)
    try:
        yield queue
    finally:
        if queue is not None:
            queue.close(flush)
