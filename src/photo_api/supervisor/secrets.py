"""Secrets that change while an instance runs: the supervisor alone looks at the files, and sends
them to its children, at their start and at each look. So no child has older ones than it."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from photo_api.settings.loading import load
from photo_api.settings.secrets import AGREE_AFTER, LiveSettings, Look, SecretFiles, with_texts
from photo_api.supervisor.control_channel import ControlChannel
from photo_api.telemetry.events import Event
from photo_base.environment import SettingsError
from photo_base.tasks import beside

log = logging.getLogger(__name__)

INTERVAL = 10.0
"""Seconds between two looks at the files; refused credentials, and SIGHUP, cause one at once."""

REST = 1.0
"""Seconds between two looks at least, and between two reports of a child that is refused."""


class SecretWatch:
    """The supervisor's side: it looks at the files and changes `live` with them."""

    def __init__(self, files: SecretFiles, live: LiveSettings) -> None:
        self._files = files
        self._live = live
        self._wanted = asyncio.Event()
        self._refused_at = float("-inf")
        live.refused = self.refused

    def look_soon(self) -> None:
        """Look within a second."""
        self._wanted.set()

    def refused(self, by: str) -> None:
        """The `database` or the `store` has refused the credentials in force: are there others?"""
        if by == "store":
            self._refused_at = time.monotonic()
        self.look_soon()

    def command(self) -> str:
        """The command that carries the secrets to a child."""
        return f"secrets {json.dumps(dict(self._files.texts), ensure_ascii=False)}"

    async def run(self, send: Callable[[str], None], note: Callable[[str, str], None]) -> None:
        """Look until cancelled. The children hear it by `send`, also when nothing is new: one that
        stood still may have missed it. A change is an event by `note`, by its names alone."""
        while True:
            self._wanted.clear()
            try:  # a file system that hangs delays only the looks, and no exit
                look = await beside(self._look, "secrets")
            except OSError:  # no thread can be started, for now
                look = Look()
            for problem in look.problems:
                refused = {"event": Event.CONFIGURATION_REFUSED}
                log.error("a secret stays as it was: %s", problem, extra={"fields": refused})
            if look.changed:
                self._take(look.changed, note)
            send(self.command())
            await asyncio.sleep(max(REST, AGREE_AFTER))
            if not look.unsettled:
                with suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL - REST):
                        await self._wanted.wait()

    def _look(self) -> Look:
        return self._files.look(time.monotonic(), refused_at=self._refused_at)

    def _take(self, names: list[str], note: Callable[[str, str], None]) -> None:
        fields = {"event": Event.SECRETS_CHANGED, "secrets": names}
        log.info("secrets changed", extra={"fields": fields})
        self._live.change(self._files.settings)
        note("secrets_changed", ", ".join(names))


class ChildSecrets:
    """A child's side: its settings with the secrets that it was sent last."""

    def __init__(self, environ: Mapping[str, str], channel: ControlChannel) -> None:
        self._environ = dict(environ)
        self._channel = channel
        command, value = channel.first()
        if command != "secrets":
            raise RuntimeError("the first command holds no secrets")
        self._texts: dict[str, str] = json.loads(value)
        self._reported: dict[str, float] = {}
        self._reporting: set[asyncio.Task[None]] = set()
        self.live = LiveSettings(load(with_texts(self._environ, self._texts)))
        self.live.refused = self._refused

    def update(self, value: str) -> None:
        """Take over what the command `secrets` says."""
        texts = json.loads(value)
        if texts == self._texts:
            return
        try:
            settings = load(with_texts(self._environ, texts))
        except SettingsError as error:  # a child of another release than its supervisor
            refused = {"event": Event.CONFIGURATION_REFUSED}
            log.error("the new secrets cannot be used: %s", error, extra={"fields": refused})
            return
        self.live.change(settings)
        self._texts = texts

    def _refused(self, by: str) -> None:
        now = time.monotonic()
        if now - self._reported.get(by, -REST) >= REST:
            self._reported[by] = now
            task = asyncio.create_task(self._channel.send(f"refused {by}"))
            self._reporting.add(task)
            task.add_done_callback(self._reporting.discard)
