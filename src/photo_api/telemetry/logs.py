"""Log lines: one JSON object each for machines, or a short line for people."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import orjson

from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import LOG_LINES_LOST, LOG_LINES_WAITING
from photo_api.settings.instance import LogSettings
from photo_api.telemetry.shipping import LogQueue, open_log_queue
from photo_base.line_output import LineOutput
from photo_base.log_lines import JsonLines, log_to_stderr

JSON_LINE = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


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


class Logs:
    """Where the lines of this process go: standard error, and the queue to the sink, if any."""

    def __init__(self, output: LineOutput, queue: LogQueue | None) -> None:
        self._output = output
        self._queue = queue

    def put(self, line: bytes) -> None:
        """A finished line. Never waits."""
        if self._queue is not None:
            self._queue.put(line)
        self._output.write(line)

    def state(self) -> dict[str, int]:
        """Lines that wait for the sink or for a reader of standard error, and how many were lost
        on the way to either."""
        shipped = self._queue.state() if self._queue is not None else {"waiting": 0, "lost": 0}
        return {**shipped, **self._output.state()}

    def watched_by(self, counts: Counts, process: str) -> None:
        """Have what waits and what was lost counted, of this kind of process."""
        for way, waits, lost in (("sink", "waiting", "lost"), ("stderr", "unread", "dropped")):
            waiting, losing = partial(self._state_of, waits), partial(self._state_of, lost)
            counts.watch(LOG_LINES_WAITING, process, way, read=waiting)
            counts.watch(LOG_LINES_LOST, process, way, read=losing)

    def _state_of(self, name: str) -> int:
        return self.state()[name]

    def close(self, timeout: float) -> None:
        """Give what waits up to `timeout` seconds, both together."""
        deadline = time.monotonic() + timeout
        if self._queue is not None:
            self._queue.close(timeout)
        self._output.settle(deadline - time.monotonic())


class AccessLog(Protocol):
    """Writes one line for one request."""

    def __call__(self, **fields: object) -> None: ...


def open_access_log(settings: LogSettings, instance: str, process: str, logs: Logs) -> AccessLog:
    """The access log of this process, which goes where all other lines go. JSON lines are written
    without a log record in between, which would cost as much as a small query."""
    if settings.level not in ("DEBUG", "INFO"):
        return lambda **_: None
    if settings.format == "text":
        log = logging.getLogger("photo_api.access")
        return lambda **fields: log.info("request", extra={"fields": fields})
    always = {
        "level": "INFO",
        "logger": "photo_api.access",
        "message": "request",
        "instance": instance,
        "process": process,
    }

    def write(**fields: object) -> None:
        logs.put(orjson.dumps({"time": datetime.now(UTC), **always, **fields}, option=JSON_LINE))

    return write


def configure_logging(
    settings: LogSettings, instance: str, process: str, queue: LogQueue | None = None
) -> Logs:
    """Send everything of this process to standard error, which never holds it up, and, always as
    JSON, into `queue`. `process` is its role, such as `web-1`."""
    json_lines = settings.format == "json"
    lines = JsonLines(instance=instance, process=process)
    output = log_to_stderr(lines if json_lines else TextFormatter(process), settings.level)
    if queue is not None:
        shipped = QueueHandler(queue)
        shipped.setFormatter(lines)
        logging.getLogger().addHandler(shipped)
    # Its own lines repeat ours, and name paths with tokens in them.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return Logs(output, queue)


@contextmanager
def log_shipping(
    settings: LogSettings, instance: str, process: str, flush: float
) -> Iterator[Logs]:
    """Logging as by `configure_logging`, with the queue to the sink of the settings, if there is
    one. At the end lines that wait get `flush` seconds."""
    logs = configure_logging(settings, instance, process, open_log_queue(settings, process))
    try:
        yield logs
    finally:
        logs.close(flush)
