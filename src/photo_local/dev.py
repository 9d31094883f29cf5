"""`photo-api dev`: the whole service on one machine, with a database and a store of its own."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from photo_api.cloud.identity import identify
from photo_api.contract import DEFAULT_PORT
from photo_api.db.migrations import migrate
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import SecretFiles
from photo_api.supervisor.supervisor import Supervisor
from photo_api.telemetry.logs import log_shipping
from photo_base.embedded import EmbeddedAddresses
from photo_base.environment import PREFIX
from photo_base.origins import LOOPBACK as LOOPBACK_ORIGINS
from photo_base.processes import CannotStart
from photo_base.tasks import cancel, first
from photo_local.ports import PortTaken, is_free
from photo_local.secrets import Secrets
from photo_local.stack import LOOPBACK, NAMES, PORT_VARIABLES, EmbeddedStack, Kind, StoreOptions

T = TypeVar("T")

STORE_PORTS: Mapping[Kind, int] = {"s3": 8333, "swift": 8334}
OWN_FLUSH = 0.5
LONGEST_DRAIN = "3"  # seconds, so that Ctrl-C ends everything within 5


@dataclass(frozen=True, slots=True)
class Options:
    """What `make run` takes from the environment besides the settings of the service."""

    host: str
    port: int
    store: Kind
    store_port: int
    data: Path
    workers: int
    public_url: str

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> "Options":
        """Read PORT, STORE, S3_PORT or SWIFT_PORT, HOST, DATA, WORKERS and PUBLIC_URL. Raises
        `CannotStart`."""
        store = _store(environ)
        port_variable = PORT_VARIABLES[store]
        host = environ.get("HOST") or "127.0.0.1"
        port = _whole(environ, "PORT", DEFAULT_PORT, 65535)
        public_url = environ.get(f"{PREFIX}PUBLIC_URL") or environ.get("PUBLIC_URL")
        if host not in LOOPBACK and not public_url:
            raise CannotStart(
                f"HOST={host} needs PUBLIC_URL, the address under which browsers will reach this"
                f" machine, such as PUBLIC_URL=http://192.168.1.20:{port}"
            )
        options = cls(
            host=host,
            port=port,
            store=store,
            store_port=_whole(environ, port_variable, STORE_PORTS[store], 65535),
            data=Path(environ.get("DATA") or "data"),
            workers=_whole(environ, "WORKERS", 1, 64),
            public_url=(public_url or f"http://127.0.0.1:{port}").rstrip("/"),
        )
        if not urlsplit(options.public_url).hostname:
            raise CannotStart(f"PUBLIC_URL={public_url} is no address like http://host:{port}")
        if options.port == options.store_port:
            raise CannotStart(f"PORT and {port_variable} are both {port}; they must differ")
        return options

    def origins(self, environ: Mapping[str, str]) -> list[str]:
        """Where browsers may have a front end from: here, from whatever is being developed on this
        machine, and from where the caller says."""
        address = urlsplit(self.public_url)
        told = environ.get(f"{PREFIX}CORS_ORIGINS", "").split(",")
        own = f"{address.scheme}://{address.netloc}"
        return [own, *LOOPBACK_ORIGINS, *filter(None, (origin.strip() for origin in told))]


async def run_dev(environ: Mapping[str, str]) -> int:
    """Run until a signal; the exit code. Raises `SettingsError` for faults in PHOTO_API_…."""
    try:
        options = Options.parse(environ)
        _check_port(options)
        return await _run(options, environ)
    except CannotStart as error:
        print(f"photo-api dev: {error}", file=sys.stderr)
        return 1


async def _run(options: Options, environ: Mapping[str, str]) -> int:
    stack = EmbeddedStack(
        options.data,
        store=StoreOptions(options.store, options.store_port, options.origins(environ)),
        host=options.host,
        public_host=urlsplit(options.public_url).hostname,
    )
    try:
        secrets = await _unless_interrupted(_prepare(options, environ, stack))
        if secrets is None:
            return 0
        settings = secrets.settings
        _print_places(options, settings)
        identity = identify(settings.lifecycle)
        with log_shipping(settings.logs, identity, "main", OWN_FLUSH) as logs:
            supervisor = Supervisor(
                secrets,
                identity,
                host=options.host,
                port=options.port,
                workers=options.workers,
            )
            supervisor.follow_secrets(logs.use)
            return await _supervise(stack, supervisor)
    finally:
        # The end takes a second and is not hurried: a signal in it would leave servers behind.
        _on_signals(lambda: None)
        await stack.stop()


async def _prepare(
    options: Options, environ: Mapping[str, str], stack: EmbeddedStack
) -> SecretFiles:
    print(f"Starting PostgreSQL and {NAMES[options.store]} …", flush=True)
    addresses = await stack.start()
    secrets = SecretFiles(service_environment(environ, options, addresses, stack.secrets))
    await migrate(secrets.settings.database)
    return secrets


async def _supervise(stack: EmbeddedStack, supervisor: Supervisor) -> int:
    """Serve until the supervisor ends; 1 when the database or the store could not be kept."""
    serving = asyncio.ensure_future(supervisor.run())
    try:
        await first(serving, stack.failed)
        if serving.done():
            return serving.result()
        reason = stack.failed.result()
        print(f"photo-api dev: {reason}", file=sys.stderr)
        supervisor.stop(reason)
        await serving
        return 1
    finally:
        await cancel(serving)


def service_environment(
    environ: Mapping[str, str], options: Options, addresses: EmbeddedAddresses, secrets: Secrets
) -> dict[str, str]:
    """The settings of the service: what the caller set, except addresses and their credentials."""
    defaults = {
        "MODE": "development",
        "PUBLIC_URL": options.public_url,
        "LAME_DUCK": "0",
        "DRAIN_WAIT": LONGEST_DRAIN,
        "LOG_FLUSH": "0.5",
        "LOG_FORMAT": "text",
        "MAX_INSTANCES": "1",
        "METADATA_URL": "",
        "RUN_DIR": str(options.data.absolute() / "run"),
    }
    for name, key in (("JWT_KEYS", secrets.jwt_key), ("SECRET_KEYS", secrets.secret_key)):
        if f"{PREFIX}{name}_FILE" not in environ:
            defaults[name] = f"dev:{key}"
    ours = {
        "CORS_ORIGINS": ",".join(options.origins(environ)),
        "DATABASE_URL": addresses.database_url,
        **addresses.store_settings(),
        **addresses.store_secrets(),
    }
    merged = {
        **{PREFIX + name: value for name, value in defaults.items()},
        **environ,
        **{PREFIX + name: value for name, value in ours.items()},
    }
    for name in ours:
        merged.pop(f"{PREFIX}{name}_FILE", None)
    return merged


async def _unless_interrupted(work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` gives; None when a signal came first, after which it has cleaned up."""
    task, interrupted = asyncio.ensure_future(work), asyncio.Event()

    def interrupt() -> None:
        interrupted.set()
        task.cancel()

    _on_signals(interrupt)
    try:
        result = await task
    except asyncio.CancelledError:
        return None
    return None if interrupted.is_set() else result


def _on_signals(act: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, act)


def _check_port(options: Options) -> None:
    try:
        free = is_free(options.port, options.host)
    except OSError as error:
        raise CannotStart(f"HOST={options.host} is not of this machine: {error}") from None
    if not free:
        raise PortTaken("PORT", options.port)


def _whole(environ: Mapping[str, str], name: str, default: int, highest: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= highest:
        raise CannotStart(f"{name}={text} must be a whole number from 1 to {highest}")
    return int(text)


def _store(environ: Mapping[str, str]) -> Kind:
    told = environ.get("STORE") or environ.get(f"{PREFIX}STORE") or "s3"
    for kind in NAMES:
        if told == kind:
            return kind
    known = " or ".join(f"{kind} ({name})" for kind, name in NAMES.items())
    raise CannotStart(f"STORE={told} is no object store: it is {known}")


def _print_places(options: Options, settings: Settings) -> None:
    s3, swift = settings.s3, settings.swift
    store = {
        "s3": f"S3          {s3.public_endpoint}/{s3.bucket}",
        "swift": f"Swift       {swift.public_endpoint} (open to this machine's other users)",
    }
    print(
        f"\n  Photo API   {options.public_url}\n"
        f"  API docs    {options.public_url}/docs\n"
        f"  {store[options.store]}\n"
        f"  Data        {options.data.absolute()}\n"
        f"  Logs        {options.data.absolute() / 'logs'}\n\n"
        "  `make demo` in another terminal fills it with photos; Ctrl-C ends everything.\n",
        flush=True,
    )
