"""What the web workers and the job worker have in common as the supervisor's children."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from photo_api.cloud.identity import Identity, identify
from photo_api.metrics.reporting import LAST_REPORT, Reporting
from photo_api.own_process import hide_memory
from photo_api.supervisor.control_channel import ControlChannel
from photo_api.supervisor.secrets import ChildSecrets
from photo_api.telemetry.logs import Logs, log_shipping
from photo_api.tracing import Tracer

IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that the supervisor alone obeys."""


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker's parts before it does anything. `draining` is whether it was started in a drain,
    `socket` the descriptor of the listening socket, None in the job worker."""

    name: str
    channel: ControlChannel
    secrets: ChildSecrets
    identity: Identity
    logs: Logs
    metrics: Reporting
    tracer: Tracer
    draining: bool
    socket: int | None


@contextmanager
def worker_process() -> Iterator[WorkerProcess]:
    """Make this process a worker: it hides its memory and ignores signals; to die with its
    supervisor it has asked for before it imported anything. At the end it flushes its log, and says
    its last word unless it has failed."""
    options = _options(sys.argv[1:])
    hide_memory()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    channel = ControlChannel(options.control)
    options, here, secrets = _told(options, channel)
    if options.token is not None:
        token = here.get(options.token, options.token)
        os.set_inheritable(token, False)  # what decodes images is not trusted with it
        secrets.live.shared_token = token
    settings = secrets.live.now
    identity = identify(settings.lifecycle, options.boot_id)
    flush = settings.lifecycle.log_flush
    with log_shipping(settings.logs, identity, options.name, flush, traces=True) as logs:
        secrets.live.follow(logs.use)
        metrics = Reporting("web" if options.socket else "jobs", channel.send)
        logs.watched_by(metrics.counts, metrics.role)
        tracer = Tracer(settings.logs, metrics.counts, logs.spans.put if logs.spans else None)
        yield WorkerProcess(
            options.name,
            channel,
            secrets,
            identity,
            logs,
            metrics,
            tracer,
            options.draining,
            here.get(options.socket, options.socket),
        )
    channel.send_last(metrics.last_word(), LAST_REPORT)


def _told(
    options: argparse.Namespace, channel: ControlChannel
) -> tuple[argparse.Namespace, dict[int, int], ChildSecrets]:
    """The whole command line, the descriptors here by their numbers in it, and the secrets. Ends
    this process without a word if its supervisor is gone, as a worker always does."""
    here = dict[int, int]()
    try:
        if options.ahead:
            arguments, changed, here = channel.command_line()
            os.environ.update(changed)
            options = _options([*sys.argv[1:], *arguments])
        return options, here, ChildSecrets(os.environ, channel)
    except ConnectionError:
        os._exit(1)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--ahead", action="store_true", help="the channel tells the rest")
    parser.add_argument("--boot-id")
    parser.add_argument("--socket", type=int)
    parser.add_argument("--token", type=int, help="memory for the store's token")
    parser.add_argument("--draining", action="store_true", help="started during a drain")
    return parser.parse_args(arguments)
