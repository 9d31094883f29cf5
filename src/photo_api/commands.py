"""The subcommands of `photo-api`. Each imports what it needs when it runs."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from photo_api.accounts.arguments import add_users
from photo_api.cloud.arguments import add_member
from photo_api.contract import DEFAULT_PORT
from photo_api.provisioning.arguments import add_storage
from photo_api.settings.loading import load, table
from photo_api.settings.secrets import SecretFiles
from photo_api.supervisor.control_socket import LONGEST_CAUSE
from photo_base import event_loop
from photo_base.command_line import (
    COULD_NOT,
    DONE,
    FAILED,
    INTERRUPTED,
    LARGEST_ID,
    LONGEST_AGE,
    LONGEST_WAIT,
    Parser,
    decimal,
    missing,
    telling,
    text,
    whole_number,
)
from photo_base.environment import SettingsError
from photo_base.proxies import spare_loopback

if TYPE_CHECKING:
    from photo_api.supervisor.spawning import Ahead


def run(arguments: list[str], ahead: "Ahead | None" = None) -> int:
    """Run one; the exit code, as of `main` of `cli.py`. `ahead` is the worker of `serve` that has
    started already."""
    return telling(partial(_run, arguments, ahead))


def _run(arguments: list[str], ahead: "Ahead | None") -> int:
    spare_loopback(os.environ)
    if arguments[:1] == ["embedded"]:  # its options are its own, and argparse would read them here
        return _embedded(arguments[1:])
    options = vars(_parser().parse_args(arguments))
    command: Callable[..., int] = options.pop("run")
    if command is _serve:
        command = partial(_serve, ahead=ahead)
    try:
        return command(**options)
    except SettingsError as error:
        print("The configuration cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return COULD_NOT
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="photo-api", description="A stateless photo backend.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    dev = commands.add_parser("dev", help="serve on this machine with embedded database and store")
    dev.set_defaults(run=_dev)

    commands.add_parser("embedded", help="run only the embedded database and store")

    serve = commands.add_parser("serve", help="serve the API and run jobs")
    serve.add_argument(
        "--host",
        type=_host,
        default="::",
        help="address to bind (%(default)s)",
    )
    serve.add_argument(
        "--port",
        type=whole_number(0, 65535),
        default=DEFAULT_PORT,
        help="port; 0: any free one (%(default)s)",
    )
    serve.add_argument(
        "--workers", type=whole_number(1, 64), default=1, help="web processes (%(default)s)"
    )
    serve.add_argument("--no-jobs", action="store_true", help="leave jobs to `photo-api worker`")
    serve.add_argument(
        "--migrate", action="store_true", help="bring the schema up to this release first"
    )
    serve.set_defaults(run=_serve)

    worker = commands.add_parser("worker", help="run jobs only")
    worker.set_defaults(run=_worker)

    _add_drain(commands.add_parser("drain", help="end an instance of this machine gracefully"))

    migrate = commands.add_parser("migrate", help="bring the database's schema up to this release")
    migrate.add_argument(
        "--allow-breaking",
        action="store_true",
        help="also apply migrations that break the release that runs now",
    )
    _add_json(migrate)
    migrate.set_defaults(run=_migrate)

    _add_reconcile(commands.add_parser("reconcile", help="compare the table and the object store"))
    _add_import(commands.add_parser("import", help="bring objects and links of another service"))
    _add_jobs(commands.add_parser("jobs", help="list jobs, or retry dead ones"))
    _add_renditions(commands.add_parser("renditions", help="make missing renditions again"))
    add_users(commands.add_parser("users", help="look after accounts"), _ask)
    add_member(commands.add_parser("member", help="leave the cloud's load balancer, or return"))
    add_storage(commands.add_parser("storage", help="set up the object store, or look at it"), _ask)
    _add_config(commands.add_parser("config", help="check or list the settings"))
    return parser


def _add_drain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pid", type=whole_number(1, 2**31 - 1), help="which one, if several run here"
    )
    parser.add_argument(
        "--cause",
        type=partial(text, most=LONGEST_CAUSE),
        default="photo-api drain",
        help="the cause, for the registry",
    )
    parser.add_argument(
        "--wait",
        type=decimal(0, LONGEST_WAIT),
        default=90,
        help="seconds to wait for its end; 0: none (%(default)s)",
    )
    _add_json(parser, "each step")
    parser.set_defaults(run=_drain)


def _add_reconcile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repair", action="store_true", help="move orphans to quarantine")
    parser.add_argument("--adopt", action="store_true", help="recreate rows for orphaned photos")
    parser.add_argument("--force", action="store_true", help="also when over 1 %% would move")
    parser.add_argument(
        "--restored",
        action="store_true",
        help="the database is from a backup and no instance runs: uploads that it has as"
        " unfinished, and young objects, are looked at too",
    )
    _add_json(parser, "the report")
    parser.set_defaults(run=_reconcile)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bucket", type=text, required=True, help="the bucket of its objects, which is only read"
    )
    _add_json(parser, "the report")
    parser.set_defaults(run=_import)


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "show", "retry"])
    parser.add_argument("ids", type=whole_number(1, LARGEST_ID), nargs="*", metavar="ID")
    parser.add_argument("--state", choices=["queued", "leased", "dead"])
    parser.add_argument("--kind", type=text)
    _add_choice(parser, "text in the error")
    parser.add_argument("--all", action="store_true", help="retry every dead job")
    parser.add_argument(
        "--limit", type=whole_number(0, 100_000), help="jobs at most (50, or those named)"
    )
    parser.set_defaults(run=_jobs, refuse=parser.error)


def _add_renditions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["remake"])
    _add_choice(parser, "the photo's renditions_error")
    parser.set_defaults(run=_renditions)


def _add_choice(parser: argparse.ArgumentParser, cause: str) -> None:
    parser.add_argument("--cause", type=text, help=f"only with {cause}")
    parser.add_argument(
        "--older-than", type=decimal(0, LONGEST_AGE), default=0, help="seconds (%(default)s)"
    )
    _add_json(parser)


def _add_json(parser: argparse.ArgumentParser, what: str = "the result") -> None:
    parser.add_argument("--json", dest="as_json", action="store_true", help=f"print {what} as JSON")


def _add_config(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="read the settings and say what is wrong with them")
    _add_json(check)
    check.set_defaults(run=_config_check)
    listing = actions.add_parser("table", help="print the table of all settings")
    listing.set_defaults(run=_config_table)


def _host(value: str) -> str:
    try:
        text(value).encode("idna")  # as the resolver will
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{value[:40]!a} is no address to bind") from None
    return value


def _ask(work: Coroutine[Any, Any, int]) -> int:
    """The exit code of what asks the database and the store; `COULD_NOT` if they do not answer."""
    from photo_api.db.pool import DatabaseUnavailable
    from photo_api.storage.base import StoreUnavailable
    from photo_base.postgres import FAILURES

    try:
        return asyncio.run(work)
    except (*FAILURES, DatabaseUnavailable, StoreUnavailable) as error:
        reason = f"{type(error).__name__}: {error}"
        print(f"Cannot read the database or the store: {reason}", file=sys.stderr)
        return COULD_NOT


def _dev() -> int:
    if lack := missing("local"):
        return _unusable("dev", lack)
    from photo_local.dev import run_dev

    return asyncio.run(run_dev(os.environ))


def _embedded(arguments: Sequence[str]) -> int:
    if lack := missing("local"):
        return _unusable("embedded", lack)
    from photo_local.command import main as embedded

    return embedded(list(arguments))


def _unusable(command: str, reason: str) -> int:
    print(f"photo-api {command}: {reason}", file=sys.stderr)
    return COULD_NOT


def _serve(*, no_jobs: bool, **how: Any) -> int:
    return _supervise(**how, jobs=not no_jobs)


def _worker() -> int:
    return _supervise(host="", port=0, workers=0, jobs=True, migrate=False, ahead=None)


def _supervise(*, host: str, port: int, ahead: "Ahead | None", **how: Any) -> int:
    from photo_api.supervisor.signals import block

    block()
    try:
        secrets = SecretFiles(os.environ)
    except SettingsError as error:
        from photo_api.telemetry.logs import tell_of_refusal

        tell_of_refusal(os.environ, error.problems)
        raise

    from photo_api.supervisor.serving import supervise

    try:
        code = event_loop.run(supervise(secrets, ahead, host=host, port=port, **how))
    except OSError as error:
        print(f"Cannot listen on {host}:{port}: {error.strerror}", file=sys.stderr)
        return FAILED
    # All is told and flushed; to take the interpreter apart first would hold up the machine's end.
    os._exit(code)


def _drain(**options: Any) -> int:
    from photo_api.supervisor.drain_command import drain_command

    return asyncio.run(drain_command(os.environ, **options))


def _migrate(*, allow_breaking: bool, as_json: bool) -> int:
    from photo_api.db.fitness import UnfitDatabase, remedy
    from photo_api.db.migrations import BreakingMigrations, migrate
    from photo_base.postgres import FAILURES

    settings = load(os.environ)
    try:
        applied = asyncio.run(migrate(settings.database, allow_breaking))
    except BreakingMigrations as refused:
        if as_json:
            print(json.dumps({"applied": [], "refused": refused.reasons}))
        print(refused, file=sys.stderr)
        return FAILED
    except (UnfitDatabase, *FAILURES) as error:
        print(f"Cannot migrate: {type(error).__name__}: {remedy(error) or error}", file=sys.stderr)
        return FAILED
    text = "\n".join(f"applied {name}" for name in applied) or "The schema is up to date."
    print(json.dumps({"applied": applied}) if as_json else text)
    return DONE


def _reconcile(**options: Any) -> int:
    from photo_api.photos.reconcile_command import reconcile_command

    return _ask(reconcile_command(load(os.environ), **options))


def _import(**options: Any) -> int:
    from photo_api.moving.command import import_command

    return _ask(import_command(load(os.environ), **options))


def _jobs(**given: Any) -> int:
    from photo_api.jobs.command import jobs_command
    from photo_api.jobs.queue import Filter

    options = argparse.Namespace(**given)
    if objection := _objection(options):
        options.refuse(objection)
    return _ask(
        jobs_command(
            load(os.environ),
            options.action,
            Filter(
                options.state, options.kind, options.cause, options.older_than, options.ids or None
            ),
            limit=max(50, len(options.ids)) if options.limit is None else options.limit,
            as_json=options.as_json,
        )
    )


def _objection(options: argparse.Namespace) -> str | None:
    """What of the arguments contradicts the action."""
    if options.action != "retry":
        return "--all is for retry" if options.all else None
    if options.state not in (None, "dead"):
        return "only dead jobs can be retried: leave --state out"
    if options.limit is not None:
        return "retry takes no --limit: name job ids, --cause or --older-than to retry fewer"
    if options.all and options.ids:
        return "name job ids or --all, not both"
    if not (options.ids or options.cause or options.all):
        return "name job ids, --cause or --all"
    return None


def _renditions(*, action: str, **options: Any) -> int:
    from photo_api.photos.remake_command import remake_command

    return _ask(remake_command(load(os.environ), **options))


def _config_check(*, as_json: bool) -> int:
    try:
        settings = load(os.environ)
    except SettingsError as error:
        if not as_json:
            raise
        print(json.dumps({"ok": False, "problems": error.problems}))
        return COULD_NOT
    summary: dict[str, object] = {"ok": True, "mode": settings.mode, "problems": []}
    print(json.dumps(summary) if as_json else f"The configuration is usable ({settings.mode}).")
    return DONE


def _config_table() -> int:
    print(table(), end="")
    return DONE
