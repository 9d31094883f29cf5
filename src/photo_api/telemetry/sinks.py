"""Where the settings send lines besides standard error, and spans."""

from collections.abc import Iterator, Mapping

from photo_api.settings.instance import LogSettings
from photo_api.telemetry.file_sink import FileSink
from photo_api.telemetry.shipping import LogQueue, Sink


def open_log_queues(settings: LogSettings, process: str) -> list[LogQueue]:
    """A queue of this process for each sink of the settings, so that none waits for another. No
    sink is touched before the first line; `close` is the last thing that the process does."""
    return [LogQueue(sink, settings.queue, process) for sink in _sinks(settings)]


def open_span_queue(settings: LogSettings, origin: Mapping[str, str]) -> LogQueue | None:
    """The same for the collector of spans, if there is one; `origin` is as in a line."""
    if not settings.trace_url:
        return None
    from photo_api.telemetry.otlp_traces import OtlpTraces

    return LogQueue(OtlpTraces(settings, origin), settings.trace_queue, origin["process"])


def _sinks(settings: LogSettings) -> Iterator[Sink]:
    """What asks over a network is loaded only where it is wanted."""
    if settings.sink:
        yield FileSink(settings.sink)
    if settings.loki_url:
        from photo_api.telemetry.loki import Loki

        yield Loki(settings)
    if settings.nhn_app_key:
        from photo_api.telemetry.log_and_crash import LogAndCrash

        yield LogAndCrash(settings)
    if settings.otlp_url:
        from photo_api.telemetry.otlp import Otlp

        yield Otlp(settings)
