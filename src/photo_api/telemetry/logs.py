"""Log lines: one JSON object each for machines, or a short line for people."""

import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import orjson

from photo_api.cloud.identity import Identity
from photo_api.contract import RELEASE
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import (
    LOG_LINES_LOST,
    LOG_LINES_WAITING,
    SPANS_LOST,
    SPANS_WAITING,
)
from photo_api.settings.instance import LogSettings
from photo_api.settings.loading import Settings
from photo_api.telemetry.events import Event
from photo_api.telemetry.shipping import LogQueue
from photo_api.telemetry.sinks import open_log_queues, open_span_queue
from photo_api.tracing import log_fields
from photo_base.environment import PREFIX
from photo_base.line_output import LineOutput
from photo_base.log_lines import JsonLines, Redacted, log_to_stderr, one_line

JSON_LINE = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


class TextFormatter(Redacted):
    """`12:00:01 INFO web-1 request method=GET …`."""

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {process:<8} %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        fields = getattr(record, "fields", {})
        return super().formatMessage(record) + "".join(
            f" {one_line(k)}={one_line(v)}" for k, v in fields.items()
        )


class QueueHandler(logging.Handler):
    """Puts each record into the queues as one line."""

    def __init__(self, queues: Sequence[LogQueue]) -> None:
        super().__init__()
        self._queues = queues

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode(errors="replace") + b"\n"
            for queue in self._queues:
                queue.put(line)
        except Exception:  # a line that cannot be formatted ends no request
            self.handleError(record)


class Logs:
    """Where the lines of this process go: standard error, and the queues to its sinks. `spans` is
    the queue of those, if they have a collector."""

    def __init__(
        self, output: LineOutput, queues: Sequence[LogQueue], spans: LogQueue | None = None
    ) -> None:
        self._output = output
        self._queues = queues
        self.spans = spans

    def put(self, line: bytes) -> None:
        """A finished line. Never waits."""
        for queue in self._queues:
            queue.put(line)
        self._output.write(line)

    def use(self, settings: Settings) -> None:
        """Sinks get these secrets from now on."""
        for queue in self._all:
            queue.use(settings.logs)

    def state(self) -> dict[str, int]:
        """Lines that wait for sinks or for a reader of standard error, and how many were lost on
        the way to either; a line that goes to two sinks counts for each."""
        states = [queue.state() for queue in self._queues]
        shipped = {name: sum(state[name] for state in states) for name in ("waiting", "lost")}
        return {**shipped, **self._output.state()}

    def watched_by(self, counts: Counts, process: str) -> None:
        """Have what waits and what was lost counted, of this kind of process."""
        for way, waits, lost in (("sink", "waiting", "lost"), ("stderr", "unread", "dropped")):
            waiting, losing = partial(self._state_of, waits), partial(self._state_of, lost)
            counts.watch(LOG_LINES_WAITING, process, way, read=waiting)
            counts.watch(LOG_LINES_LOST, process, way, read=losing)
        if spans := self.spans:
            counts.watch(SPANS_WAITING, process, read=lambda: spans.state()["waiting"])
            counts.watch(SPANS_LOST, process, read=lambda: spans.state()["lost"])

    def _state_of(self, name: str) -> int:
        return self.state()[name]

    @property
    def _all(self) -> list[LogQueue]:
        return [*self._queues, *filter(None, (self.spans,))]

    def close(self, timeout: float) -> None:
        """Give what waits up to `timeout` seconds, all sinks together."""
        deadline = time.monotonic() + timeout
        for queue in self._all:
            queue.begin_to_close()
        for queue in self._all:
            queue.close(timeout, deadline)
        self._output.settle(deadline - time.monotonic())


class AccessLog(Protocol):
    """Writes one line for one request."""

    def __call__(self, **fields: object) -> None: ...


def origin(identity: Identity, process: str) -> dict[str, str]:
    """What each line tells of where it comes from. `process` is its role, such as `web-1`."""
    return {
        "instance": identity.instance,
        "boot": identity.boot_id,
        "version": identity.version,
        "process": process,
    }


def open_access_log(
    settings: LogSettings, identity: Identity, process: str, logs: Logs
) -> AccessLog:
    """The access log of this process, which goes where all other lines go. JSON lines are written
    without a log record in between, which would cost as much as a small query."""
    if settings.level not in ("DEBUG", "INFO"):
        return lambda **_: None
    if settings.format == "text":
        log = logging.getLogger("photo_api.access")
        return lambda **fields: log.info("request", extra={"fields": fields})
    always = orjson.dumps(
        {
            "level": "INFO",
            "event": str(Event.REQUEST),
            "logger": "photo_api.access",
            "message": "request",
            **origin(identity, process),
        }
    )[1:-1]

    def write(**fields: object) -> None:
        now = orjson.dumps(datetime.now(UTC), option=orjson.OPT_UTC_Z)
        told = orjson.dumps(fields, option=JSON_LINE)[1:]
        logs.put(b'{"time":%b,%b,%b' % (now, always, told))

    return write


def configure_logging(
    settings: LogSettings,
    identity: Identity,
    process: str,
    queues: Sequence[LogQueue] = (),
    spans: LogQueue | None = None,
) -> Logs:
    """Send everything of this process to standard error, which never holds it up, and, always as
    JSON, into `queues`."""
    json_lines = settings.format == "json"
    lines = JsonLines(log_fields, **origin(identity, process))
    output = log_to_stderr(lines if json_lines else TextFormatter(process), settings.level)
    if queues:
        shipped = QueueHandler(queues)
        shipped.setFormatter(lines)
        logging.getLogger().addHandler(shipped)
    # Its own lines repeat ours, and name paths with tokens in them.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return Logs(output, queues, spans)


def tell_of_refusal(environ: Mapping[str, str], problems: list[str]) -> None:
    """A line on standard error for those who read logs by machine, as long as these are not to be
    text. Where else lines go is not known: the settings cannot be used."""
    if environ.get(f"{PREFIX}LOG_FORMAT", "json") == "json":
        told = "the configuration cannot be used"
        record = logging.LogRecord("photo_api", logging.ERROR, "", 0, told, None, None)
        record.fields = {"event": Event.CONFIGURATION_REFUSED, "problems": problems}
        print(JsonLines(version=RELEASE).format(record), file=sys.stderr)


@contextmanager
def log_shipping(
    settings: LogSettings, identity: Identity, process: str, flush: float, *, traces: bool = False
) -> Iterator[Logs]:
    """Logging as by `configure_logging`, with a queue for each sink of the settings, and one for
    spans where there are any. At the end what waits gets `flush` seconds."""
    spans = open_span_queue(settings, origin(identity, process)) if traces else None
    queues = open_log_queues(settings, process)
    logs = configure_logging(settings, identity, process, queues, spans)
    try:
        yield logs
    finally:
        logs.close(flush)
