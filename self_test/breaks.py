"""What can be broken in an instance, as changes of its modules right after they are imported.

The service itself is never imported from here: it is found as its own process imports it. Only its
public names are changed, and only what they offer is used.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import redirect_stderr, suppress
from copy import copy
from dataclasses import replace
from functools import partial
from io import StringIO
from itertools import count
from types import SimpleNamespace
from typing import Any

SLOW_CREATION = 4.0
"""Seconds between a creation and its answer, so that some are always under way."""

NOTICE = 3.0
"""Seconds for which a server that drains too late accepts nothing and tells nobody."""

LATE, SLUGGISH = 14.0, 9.0
"""Seconds after the last failure in which a breaker stays open, whatever succeeds meanwhile: until
after an outage must be over, and until before."""

Change = Callable[[Any], None]


def _take_sigterm(handler: Any, signals: Any) -> None:
    """SIGTERM goes to `handler` instead of ours, and nobody takes it back."""
    install = signals.SignalHandlers.install

    def install_and_lose(self: object) -> None:
        install(self)
        signal.signal(signal.SIGTERM, handler)

    def restore(_: object) -> None:
        return

    signals.SignalHandlers.install, signals.SignalHandlers.restore = install_and_lose, restore


def _exit_at_once(_: object, __: object) -> None:
    os._exit(0)


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
    confirm: Callable[..., Awaitable[Any]] = direct_upload.confirm

    class Believed(_Store):
        async def peek(self, *_: object) -> Any:
            size, content_type = self.photo["file_size"], self.photo["content_type"]
            return SimpleNamespace(size=size, etag=None), content_type.encode()

        async def copy(self, source: str, target: str, *, content_type: str, etag: None) -> None:
            with suppress(direct_upload.ObjectMissing):
                await self.store.copy(source, target, content_type=content_type)

    async def believe(state: Any, owner_id: int, photo_id: int) -> Any:
        store = Believed(state.store)
        store.photo = await direct_upload.queries.staged(state.db, owner_id, photo_id)
        return await confirm(_with_store(state, store), owner_id, photo_id)

    def declared(head: bytes) -> str:
        return head.decode()

    direct_upload.confirm, direct_upload.sniff = believe, declared


class _Store:
    """One that does all but what a subclass changes as `store` does."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.photo: Any = None
        self.written: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def _with_store(state: Any, store: object) -> Any:
    other = copy(state)
    other.store = store
    return other


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
    create_once: Callable[..., Awaitable[Any]] = idempotency.create_once
    forget = "DELETE FROM idempotency_keys WHERE user_id = $1 AND route = $2 AND key = $3"

    async def create_anew(db: Any, key: Any, status: int, create: Any) -> Any:
        if key is not None:
            await db.execute(forget, key.user_id, key.route, key.key)
        return await create_once(db, key, status, create)

    idempotency.create_once = create_anew


def _refuse_without_date(errors: Any) -> None:
    """A refusal because the store is down lacks its `Retry-After`."""
    respond: Callable[..., Any] = errors.error_response

    def respond_without_date(error: Any, request_id: str, detail: Any = None) -> Any:
        answer = respond(error, request_id, detail)
        if error.code is errors.Code.STORAGE_UNAVAILABLE:
            del answer.headers["Retry-After"]
        return answer

    errors.error_response = respond_without_date


def _recover_after(seconds: float, resilience: Any) -> None:
    """What was taken to be down is taken to be down for so long after it is back."""
    failed, succeeded = resilience.Breaker.failed, resilience.Breaker.succeeded

    def fail(self: Any) -> None:
        self.closes = time.monotonic() + seconds
        failed(self)

    def succeed(self: Any) -> None:
        if not self.is_open or time.monotonic() >= self.closes:
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
        db: Any, owner_id: int, album_id: int, name: str | None, description: str | None, *_: Any
    ) -> Any:
        row = await queries.album(db, owner_id, album_id)
        asked = {"name": name, "description": description, "cover_ok": True}
        return None if row is None else {**row, **asked}

    queries.update_album = agree


def _refuse_renditions(decoder_pool: Any) -> None:
    """No photo can be decoded."""

    async def refuse(*_: object) -> Any:
        raise decoder_pool.PermanentFailure("not_an_image")

    decoder_pool.DecoderPool.make = refuse


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


def _lose_lines_untold(shipping: Any) -> None:
    """What is lost on the way to a sink is neither counted nor told."""
    state: Callable[[Any], dict[str, int]] = shipping.LogQueue.state
    close: Callable[..., int] = shipping.LogQueue.close

    def silent(self: Any) -> dict[str, int]:
        return {**state(self), "lost": 0}

    def untold(self: Any, timeout: float, deadline: float | None = None) -> int:
        with redirect_stderr(StringIO()):
            close(self, timeout, deadline)
        return 0

    shipping.LogQueue.state = silent
    shipping.LogQueue.close = untold


def _wait_for_sinks(shipping: Any) -> None:
    """The end of a process waits until its sinks have the last line."""
    close: Callable[..., int] = shipping.LogQueue.close

    def close_at_last(self: Any, timeout: float, _: float | None = None) -> int:
        return close(self, 10 * timeout + 60)

    shipping.LogQueue.close = close_at_last


def _discard_on_any_error(server_upload: Any) -> None:
    """The bytes of an upload go with whatever its commit gave for an answer, and with none."""
    upload: Callable[..., Awaitable[Any]] = server_upload.upload

    class Noting(_Store):
        async def put(self, key: str, chunks: Any, **options: Any) -> None:
            await self.store.put(key, chunks, **options)
            self.written.append(key)

    async def upload_or_discard(request: Any, state: Any, owner_id: int, key: Any) -> Any:
        store = Noting(state.store)
        try:
            return await upload(request, _with_store(state, store), owner_id, key)
        except Exception:
            for written in store.written:
                await server_upload.discard(state, written)
            raise

    server_upload.upload = upload_or_discard


def _bury_at_once(runner: Any) -> None:
    """A job whose store takes no writes has failed, and is not tried again. Each takes a second, so
    that some are at work when the store begins to refuse them, also on a machine at leisure."""

    class Failure(Exception):
        """No outage, whatever it was."""

    class Slow:
        def __init__(self, handler: Any) -> None:
            self.give_up = handler.give_up
            self.handler = handler

        async def run(self, job: Any) -> None:
            await asyncio.sleep(1)
            try:
                await self.handler.run(job)
            except runner.LeaseLost:
                raise
            except Exception as error:
                raise Failure(f"{type(error).__name__}: {error}") from error

    def impatient(
        db: Any, store: Any, handlers: Any, settings: Any, worker: str, counts: Any, tracer: Any
    ) -> Any:
        slow = {kind: Slow(handler) for kind, handler in handlers.items()}
        return patient(db, store, slow, replace(settings, max_attempts=1), worker, counts, tracer)

    patient = runner.Runner
    runner.Runner = impatient


def _never_mend(queries: Any) -> None:
    """An instance writes its row once, and takes whatever is there later for its own."""
    enlist: Callable[..., Awaitable[None]] = queries.enlist

    async def enlist_once(connection: Any, me: Any, state: str, event: str, *rest: Any) -> None:
        if event == "started":
            await enlist(connection, me, state, event, *rest)

    async def leave(*_: object) -> None:
        return

    queries.enlist, queries.correct = enlist_once, leave


def _born_ready(child: Any) -> None:
    """What is started during a drain knows nothing of it."""
    start: Callable[..., None] = child.Child.__init__

    def start_unaware(self: Any, command: Any, *more: Any) -> None:
        unaware = [word for word in command if word != "--draining"]
        start(self, unaware, *more)

    child.Child.__init__ = start_unaware


def _always_healthy(health: Any) -> None:
    """An instance is well as long as it does not drain, whatever it needs."""

    def check(*_: object) -> Any:
        return health.Check(True, 0, health.time.monotonic())

    health.WorkerHealth.check = check


def _forget_members(membership: Any) -> None:
    """A balancer without a registry has nobody."""
    cut_off = membership.Membership.cut_off

    def cut_off_and_forget(self: Any, now: float) -> None:
        members = self.decide().members
        ended = [membership.Registered(member, "stopped", now) for member in members]
        self.registered(ended, now)
        cut_off(self, now)

    membership.Membership.cut_off = cut_off_and_forget


def _trust_registry(membership: Any) -> None:
    """A probe without answer says nothing of a member that the registry calls ready."""
    probed = membership.Membership.probed

    def heed_refusals(self: Any, member: Any, probe: Any, now: float) -> None:
        if probe.outcome is membership.Outcome.FAILED and self.is_healthy(member.id):
            probe = membership.Probe(membership.Outcome.HEALTHY, probe.detail)
        probed(self, member, probe, now)

    membership.Membership.probed = heed_refusals


def _end_hastily(loading: Any) -> None:
    """No defect: requests get half a second to end, which is too little for slow ones."""
    load: Callable[..., Any] = loading.load

    def load_hasty(*arguments: Any, **named: Any) -> Any:
        settings = load(*arguments, **named)
        return replace(settings, lifecycle=replace(settings.lifecycle, drain_wait=0.5))

    loading.load = load_hasty


def _flatter(receipt: Any) -> None:
    """A receipt says that what was cut was finished."""
    made: Callable[..., Any] = receipt.Course.receipt

    def flattering(*arguments: Any) -> Any:
        told = made(*arguments)
        return replace(told, requests_finished=told.requests_accepted, requests_cut=0)

    receipt.Course.receipt = flattering


BREAKS: Mapping[str, tuple[str, Change]] = {
    "exit-at-once": ("photo_api.supervisor.signals", partial(_take_sigterm, _exit_at_once)),
    "displaced-handler": ("photo_api.supervisor.signals", partial(_take_sigterm, signal.SIG_IGN)),
    "late-drain": ("photo_api.supervisor.drain", _drain_late),
    "trusting-confirm": ("photo_api.photos.direct_upload", _trust_confirmations),
    "refusal-without-date": ("photo_api.http.errors", _refuse_without_date),
    "late-recovery": ("photo_api.resilience", partial(_recover_after, LATE)),
    "sluggish-recovery": ("photo_api.resilience", partial(_recover_after, SLUGGISH)),
    "forgotten-edits": ("photo_api.albums.queries", _forget_edits),
    "refused-renditions": ("photo_api.renditions.decoder_pool", _refuse_renditions),
    "leaking-log": ("photo_api.telemetry.logs", _forget_lines),
    "untold-losses": ("photo_api.telemetry.shipping", _lose_lines_untold),
    "patient-queues": ("photo_api.telemetry.shipping", _wait_for_sinks),
    "slow-creations": ("photo_api.http.idempotency", _answer_slowly),
    "forgotten-keys": ("photo_api.http.idempotency", _forget_keys),
    "discarding-upload": ("photo_api.photos.server_upload", _discard_on_any_error),
    "burying-runner": ("photo_api.jobs.runner", _bury_at_once),
    "unmended-row": ("photo_api.registry.queries", _never_mend),
    "born-ready": ("photo_api.supervisor.child", _born_ready),
    "always-healthy": ("photo_api.health.worker_health", _always_healthy),
    "forgotten-members": ("photo_fleet.balancer.membership", _forget_members),
    "trusted-registry": ("photo_fleet.balancer.membership", _trust_registry),
    "hasty-end": ("photo_api.settings.loading", _end_hastily),
    "flattering-receipt": ("photo_api.supervisor.receipt", _flatter),
    "unseen-secrets": ("photo_api.settings.secrets", _never_look),
}
"""The module that each changes, and how."""
