"""Signals, which the supervisor alone obeys among an instance's processes."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

ENDING = (signal.SIGTERM, signal.SIGINT)

SECOND_SIGNAL = 1.0
"""A signal this many seconds after the first is a second one; sooner it is an echo of it (a group
signal and a direct one, say)."""


class SignalHandlers:
    """SIGTERM and SIGINT begin the drain, a second one ends at once; SIGHUP replaces the workers
    one by one."""

    def __init__(
        self,
        stop: Callable[[str], None],
        end_now: Callable[[], None],
        replace: Callable[[], None],
    ) -> None:
        self._stop = stop
        self._end_now = end_now
        self._replace = replace
        self._first: float | None = None

    def install(self) -> None:
        """Handle the signals of this process, also those that came while they were blocked."""
        loop = asyncio.get_running_loop()
        for number in ENDING:
            loop.add_signal_handler(number, self._on_ending, number)
        loop.add_signal_handler(signal.SIGHUP, self._replace)
        self._installed = {number: signal.getsignal(number) for number in ENDING}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*ENDING, signal.SIGHUP))

    def restore(self) -> None:
        """Install the handlers again if a library displaced them: an instance that does not hear
        SIGTERM is killed with its requests."""
        displaced = [
            number.name for number in ENDING if signal.getsignal(number) != self._installed[number]
        ]
        if displaced:
            log.error("signal handlers were displaced", extra={"fields": {"signals": displaced}})
            self.install()

    def _on_ending(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
            self._stop(number.name)
        elif now - self._first >= SECOND_SIGNAL:
            log.warning("second signal: ending at once")
            self._end_now()


def block() -> None:
    """Keep signals pending until handlers are installed: none must end a half-started process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*ENDING, signal.SIGHUP))
