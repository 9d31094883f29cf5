"""The `photo-api` command. Each subcommand imports what it needs when it runs."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence

from photo_api.contract import DEFAULT_PORT
from photo_api.settings.environment import SettingsError
from photo_api.settings.loading import load, table
from photo_api.settings.secrets import SecretFiles


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit code: 0 done, 1 failed, 2 wrong usage or configuration."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["embedded"]:  # its options are its own, and argparse would read them here
        return _embedded(arguments[1:])
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except SettingsError as error:
        print("The configuration cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="photo-api", description="A stateless photo backend.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    dev = commands.add_parser("dev", help="serve on this machine with embedded database and store")
    dev.set_defaults(run=_dev)

    commands.add_parser("embedded", help="run only the embedded database and store")

    serve = commands.add_parser("serve", help="serve the API and run jobs")
    serve.add_argument("--host", default="0.0.0.0", help="address to bind (%(default)s)")  # noqa: S104  (a server)
    serve.add_argument("--port", type=_port, default=DEFAULT_PORT, help="port (%(default)s)")
    serve.add_argument("--workers", type=_workers, default=1, help="web processes (%(default)s)")
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
    migrate.add_argument("--json", action="store_true", help="print the result as JSON")
    migrate.set_defaults(run=_migrate)

    _add_reconcile(commands.add_parser("reconcile", help="compare the table and the object store"))
    _add_jobs(commands.add_parser("jobs", help="list jobs, or have dead ones done again"))
    _add_renditions(commands.add_parser("renditions", help="have missing renditions made again"))
    _add_users(commands.add_parser("users", help="activate or deactivate an account"))
    _add_config(commands.add_parser("config", help="check or list the settings"))
    return parser


def _add_drain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pid", type=int, help="which one, if several run here")
    parser.add_argument("--cause", default="photo-api drain", help="what the registry will tell")
    parser.add_argument(
        "--wait",
        type=float,
        default=90,
        help="seconds to wait for its end; 0: none (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print each step as JSON")
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
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_reconcile)


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "show", "retry"])
    parser.add_argument("ids", type=int, nargs="*", metavar="ID")
    parser.add_argument("--state", choices=["queued", "leased", "dead"])
    parser.add_argument("--kind")
    _add_choice(parser, "text in the error")
    parser.add_argument("--all", action="store_true", help="retry every dead job")
    parser.add_argument("--limit", type=int, default=50, help="lines at most (%(default)s)")
    parser.set_defaults(run=_jobs)


def _add_renditions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["remake"])
    _add_choice(parser, "the photo's renditions_error")
    parser.set_defaults(run=_renditions)


def _add_choice(parser: argparse.ArgumentParser, cause: str) -> None:
    parser.add_argument("--cause", help=f"only with {cause}")
    parser.add_argument("--older-than", type=float, default=0, help="seconds (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_users(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["activate", "deactivate"])
    parser.add_argument("email")
    parser.set_defaults(run=_users)


def _add_config(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="read the settings and say what is wrong with them")
    check.add_argument("--json", action="store_true", help="print the result as JSON")
    check.set_defaults(run=_config_check)
    listing = actions.add_parser("table", help="print the table of all settings")
    listing.set_defaults(run=_config_table)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is between 0 (any free one) and 65535")
    return port


def _workers(text: str) -> int:
    workers = int(text)
    if not 1 <= workers <= 64:
        raise argparse.ArgumentTypeError("between 1 and 64 workers")
    return workers


def _dev(_: argparse.Namespace) -> int:
    from photo_api.embedded.dev import run_dev

    return asyncio.run(run_dev(os.environ))


def _embedded(arguments: Sequence[str]) -> int:
    from photo_api.embedded.command import main as embedded

    return embedded(list(arguments))


def _serve(options: argparse.Namespace) -> int:
    return _supervise(options.host, options.port, options.workers, not options.no_jobs, options)


def _worker(options: argparse.Namespace) -> int:
    return _supervise("", 0, 0, True, options)


def _supervise(host: str, port: int, workers: int, jobs: bool, options: argparse.Namespace) -> int:
    from photo_api.lifecycle.signals import block

    block()
    secrets = SecretFiles(os.environ)

    from photo_api.lifecycle.serving import supervise

    work = supervise(
        secrets,
        host=host,
        port=port,
        workers=workers,
        jobs=jobs,
        migrate=getattr(options, "migrate", False),
    )
    try:
        return asyncio.run(work)
    except OSError as error:
        print(f"Cannot listen on {host}:{port}: {error.strerror}", file=sys.stderr)
        return 1


def _drain(options: argparse.Namespace) -> int:
    from photo_api.lifecycle.drain_command import drain_command

    return asyncio.run(
        drain_command(
            os.environ,
            pid=options.pid,
            cause=options.cause,
            wait=options.wait,
            as_json=options.json,
        )
    )


def _migrate(options: argparse.Namespace) -> int:
    from photo_api.db.connect import FAILURES
    from photo_api.db.migrations import BreakingMigrations, migrate

    settings = load(os.environ)
    try:
        applied = asyncio.run(migrate(settings.database, options.allow_breaking))
    except BreakingMigrations as refused:
        if options.json:
            print(json.dumps({"applied": [], "refused": refused.reasons}))
        print(refused, file=sys.stderr)
        return 1
    except FAILURES as error:
        print(f"Cannot migrate: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"applied": applied}))
    else:
        print("\n".join(f"applied {name}" for name in applied) or "The schema is up to date.")
    return 0


def _reconcile(options: argparse.Namespace) -> int:
    from photo_api.photos.reconcile_command import reconcile_command

    return asyncio.run(
        reconcile_command(
            load(os.environ),
            repair=options.repair,
            adopt=options.adopt,
            force=options.force,
            restored=options.restored,
            as_json=options.json,
        )
    )


def _users(options: argparse.Namespace) -> int:
    from photo_api.accounts.queries import set_active
    from photo_api.db.pool import open_database

    async def change() -> bool:
        async with open_database(load(os.environ).database, "photo-api users") as db:
            return await set_active(db, options.email, options.action == "activate")

    if not asyncio.run(change()):
        print(f"There is no account with the e-mail {options.email}", file=sys.stderr)
        return 1
    print(f"{options.action}d {options.email}; workers notice within 5 seconds")
    return 0


def _jobs(options: argparse.Namespace) -> int:
    from photo_api.jobs.inspection import jobs_command

    return asyncio.run(
        jobs_command(
            load(os.environ),
            options.action,
            options.ids,
            state=options.state,
            kind=options.kind,
            cause=options.cause,
            older_than=options.older_than,
            every=options.all,
            limit=options.limit,
            as_json=options.json,
        )
    )


def _renditions(options: argparse.Namespace) -> int:
    from photo_api.jobs.inspection import remake_command

    return asyncio.run(
        remake_command(
            load(os.environ),
            cause=options.cause,
            older_than=options.older_than,
            as_json=options.json,
        )
    )


def _config_check(options: argparse.Namespace) -> int:
    try:
        settings = load(os.environ)
    except SettingsError as error:
        if not options.json:
            raise
        print(json.dumps({"ok": False, "problems": error.problems}))
        return 2
    summary: dict[str, object] = {"ok": True, "mode": settings.mode, "problems": []}
    print(
        json.dumps(summary) if options.json else f"The configuration is usable ({settings.mode})."
    )
    return 0


def _config_table(_: argparse.Namespace) -> int:
    print(table(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
