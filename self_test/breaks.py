"""What can be broken in an instance, as changes of its modules right after they are imported.

The service itself is never imported from here: it is found as its own process imports it.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from itertools import count
from types import ModuleType
from typing import Any

VARIABLE = "PHOTO_DRILL_BREAKS"
"""Names of breaks with commas in between, in an instance's environment."""

SLOW_CREATION = 4.0
"""Seconds between a creation and its answer, so that some are always under way."""

NOTICE = 3.0
"""Seconds for which a server that drains too late accepts nothing and tells nobody."""

LATE, SLUGGISH = 14.0, 9.0
"""Seconds after the last failure in which a breaker stays open, whatever succeeds meanwhile: until
after an outage must be over, and until before."""

Change = Callable[[Any], None]


def _exit_at_once(signals: Any) -> None:
    """SIGTERM ends the process like that."""

    def end(_: object, __: object) -> None:
        os._exit(0)

    signals.SignalHandlers._on_ending = end


def _displace_handler(signals: Any) -> None:
    """A library took SIGTERM after us, and nobody takes it back."""
    install = signals.SignalHandlers.install

    def install_and_lose(self: object) -> None:
        install(self)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def restore(_: object) -> None:
        return

    signals.SignalHandlers.install, signals.SignalHandlers.restore = install_and_lose, restore


def _drain_late(drain: Any) -> None:
    """The workers stop accepting, and only afterwards readiness fails and the registry hears of it;
    what waits to be accepted by then is reset."""
    run = drain.Drain.run

    async def close_then_drain(self: Any, cause: str) -> bool:
        for slot in self.slots:
            slot.send("retire")
        await asyncio.sleep(NOTICE)
        for slot in self.slots:
            slot.send("stop")
        self.listening.close()
        done: bool = await run(self, cause)
        return done

    drain.Drain.run = close_then_drain


def _trust_confirmations(direct_upload: Any) -> None:
    """Whatever is said to be uploaded is believed to be there, and to be what was declared."""

    async def believe(_: Any, photo: Any) -> str:
        declared: str = photo["content_type"]
        return declared

    async def copy(state: Any, photo: Any, key: str, content_type: str) -> None:
        with suppress(direct_upload.ObjectMissing):
            await state.store.copy(photo["staging_key"], key, content_type=content_type)

    direct_upload._staged_type, direct_upload._copy_and_verify = believe, copy


def _answer_slowly(idempotency: Any) -> None:
    """No defect: creations take long, so that some are under way at any moment."""
    create_once: Callable[..., Awaitable[Any]] = idempotency.create_once

    async def create_and_wait(*arguments: Any) -> Any:
        created = await create_once(*arguments)
        await asyncio.sleep(SLOW_CREATION)
        return created

    idempotency.create_once = create_and_wait


def _forget_keys(idempotency: Any) -> None:
    """Every idempotency key is taken for a new one."""

    async def claim(db: Any, key: Any, owner: Any, lease: float | None) -> bool:
        await db.execute(
            "DELETE FROM idempotency_keys WHERE user_id = $1 AND route = $2 AND key = $3",
            key.user_id,
            key.route,
            key.key,
        )
        claimed: bool = await original(db, key, owner, lease)
        return claimed

    original = idempotency._claim
    idempotency._claim = claim


def _refuse_without_date(errors: Any) -> None:
    """A refusal because the store is down lacks its `Retry-After`."""
    refuse: Callable[..., Awaitable[Any]] = errors._store_down

    async def refuse_without_date(request: Any, error: Exception) -> Any:
        answer = await refuse(request, error)
        del answer.headers["Retry-After"]
        return answer

    errors._store_down = refuse_without_date


def _recover_after(seconds: float, resilience: Any) -> None:
    """What was taken to be down is taken to be down for so long after it is back."""
    failed, succeeded = resilience.Breaker.failed, resilience.Breaker.succeeded

    def fail(self: Any) -> None:
        self.closes = self._clock() + seconds
        failed(self)

    def succeed(self: Any) -> None:
        if not self.is_open or self._clock() >= self.closes:
            succeeded(self)

    resilience.Breaker.failed, resilience.Breaker.succeeded = fail, succeed


def _never_look(secrets: Any) -> None:
    """What the files hold counts at the start only."""

    def look(_: object, __: float, **___: float) -> Any:
        return secrets.Look()

    secrets.SecretFiles.look = look


def _forget_edits(queries: Any) -> None:
    """Changes of albums are answered as if they had been carried out."""

    async def agree(
        db: Any, owner_id: int, album_id: int, name: str | None, description: str | None, _: Any
    ) -> Any:
        row = await queries.album(db, owner_id, album_id)
        asked = {"name": name, "description": description, "cover_ok": True}
        return None if row is None else {**row, **asked}

    queries.update_album = agree


def _refuse_renditions(originals: Any) -> None:
    """No photo can be decoded."""

    async def refuse(self: object, data: bytes, work: object) -> Any:
        raise originals.Refused("not_an_image", "broken on purpose")

    originals.Originals._decode = refuse


def _forget_lines(logs: Any) -> None:
    """Every tenth line of the access log is lost."""
    open_log: Callable[..., Callable[..., None]] = logs.open_access_log

    def open_leaking(*arguments: Any) -> Callable[..., None]:
        write, numbers = open_log(*arguments), count(1)

        def write_most(**fields: object) -> None:
            if next(numbers) % 10:
                write(**fields)

        return write_most

    logs.open_access_log = open_leaking


def _discard_on_any_error(server_upload: Any) -> None:
    """The bytes of an upload go with whatever its commit gave for an answer, and with none."""
    commit: Callable[..., Awaitable[Any]] = server_upload._commit

    async def commit_or_discard(state: Any, owner_id: int, mine: Any, *rest: Any) -> Any:
        try:
            return await commit(state, owner_id, mine, *rest)
        except Exception:
            await server_upload.discard(state, mine.object_key)
            raise

    server_upload._commit = commit_or_discard


def _bury_at_once(runner: Any) -> None:
    """A job whose store takes no writes has failed, and is not tried again. Each takes a second, so
    that some are at work when the store begins to refuse them, also on a machine at leisure."""
    with_lease = runner.Runner._with_lease

    async def slowly(self: Any, job: Any) -> None:
        await asyncio.sleep(1)
        await with_lease(self, job)

    async def no_outage(*_: object) -> bool:
        return False

    async def fail(self: Any, job: Any, reason: str, cause: str) -> None:
        async with self._db.transaction() as connection:
            if await runner.queue.bury(connection, job, reason):
                await self._handlers[job.kind].give_up(connection, job, cause)

    runner.Runner._is_outage, runner.Runner._fail = no_outage, fail
    runner.Runner._with_lease = slowly


def _never_mend(registration: Any) -> None:
    """An instance writes its row once, and takes whatever is there later for its own."""

    async def leave(*_: object) -> None:
        return

    registration.Registration._mend = leave


def _born_ready(slot: Any) -> None:
    """What is started during a drain knows nothing of it."""
    start = slot.Slot._start

    def start_unaware(self: Any) -> Any:
        leaving, self._leaving = self._leaving, asyncio.Event()
        try:
            return start(self)
        finally:
            self._leaving = leaving

    slot.Slot._start = start_unaware


def _always_healthy(health: Any) -> None:
    """An instance is well as long as it does not drain, whatever it needs."""

    def check(*_: object) -> Any:
        return health.Check(True, 0, health.time.monotonic())

    health.WorkerHealth.check = check


def _forget_members(membership: Any) -> None:
    """A balancer without a registry has nobody."""
    cut_off = membership.Membership.cut_off

    def cut_off_and_forget(self: Any, now: float) -> None:
        cut_off(self, now)
        self._watched.clear()

    membership.Membership.cut_off = cut_off_and_forget


def _trust_registry(membership: Any) -> None:
    """A probe without answer says nothing of an instance that the registry calls ready."""
    failed = membership.Membership._failed

    def heed_refusals(self: Any, watched: Any, probe: Any) -> None:
        if probe.outcome is membership.Outcome.REFUSED:
            failed(self, watched, probe)

    membership.Membership._failed = heed_refusals


BREAKS: Mapping[str, tuple[str, Change]] = {
    "exit-at-once": ("photo_api.supervisor.signals", _exit_at_once),
    "displaced-handler": ("photo_api.supervisor.signals", _displace_handler),
    "late-drain": ("photo_api.supervisor.drain", _drain_late),
    "trusting-confirm": ("photo_api.photos.direct_upload", _trust_confirmations),
    "refusal-without-date": ("photo_api.http.errors", _refuse_without_date),
    "late-recovery": ("photo_api.resilience", partial(_recover_after, LATE)),
    "sluggish-recovery": ("photo_api.resilience", partial(_recover_after, SLUGGISH)),
    "forgotten-edits": ("photo_api.albums.queries", _forget_edits),
    "refused-renditions": ("photo_api.renditions.originals", _refuse_renditions),
    "leaking-log": ("photo_api.telemetry.logs", _forget_lines),
    "slow-creations": ("photo_api.http.idempotency", _answer_slowly),
    "forgotten-keys": ("photo_api.http.idempotency", _forget_keys),
    "discarding-upload": ("photo_api.photos.server_upload", _discard_on_any_error),
    "burying-runner": ("photo_api.jobs.runner", _bury_at_once),
    "unmended-row": ("photo_api.registry.registration", _never_mend),
    "born-ready": ("photo_api.supervisor.slot", _born_ready),
    "always-healthy": ("photo_api.health.worker_health", _always_healthy),
    "forgotten-members": ("photo_fleet.balancer.membership", _forget_members),
    "trusted-registry": ("photo_fleet.balancer.membership", _trust_registry),
    "unseen-secrets": ("photo_api.settings.secrets", _never_look),
}
"""The module that each changes, and how."""


def breaks(text: str) -> list[str]:
    """Names as in the variable. Raises `KeyError` for one that there is not: an instance that is
    whole by mistake would prove nothing."""
    names = [name for name in text.split(",") if name]
    for name in names:
        BREAKS[name]
    return names


def install(names: Sequence[str]) -> None:
    """Have the modules changed when this process imports them."""
    changes: dict[str, list[Change]] = {}
    for name in names:
        module, change = BREAKS[name]
        changes.setdefault(module, []).append(change)
    sys.meta_path.insert(0, _Changing(changes))


class _Changing(MetaPathFinder):
    """Finds modules as always, and changes some once they are executed."""

    def __init__(self, changes: Mapping[str, Sequence[Change]]) -> None:
        self._changes = changes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._changes:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_change(module: ModuleType) -> None:
                execute(module)
                for change in self._changes[fullname]:
                    change(module)

            spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec
