"""The `photo-api` command. Of an instance, a web worker starts before anything else is loaded."""

import signal
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand, of the process's own command line by default; the exit code: 0 done, 1
    failed, 2 wrong usage or configuration, or the database, the store or the output could not be
    reached."""
    if argv is not None or sys.argv[1:2] not in (["serve"], ["worker"]):
        from photo_api.commands import run

        return run(sys.argv[1:] if argv is None else list(argv))
    # For process 1 of a container the kernel drops a signal that nobody handles. Blocked, it waits
    # for the supervisor's handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    from photo_api.supervisor.spawning import Ahead

    ahead = Ahead.start() if sys.argv[1] == "serve" else None
    try:
        from photo_api.commands import run

        return run(sys.argv[1:], ahead)
    finally:
        if ahead is not None:
            ahead.drop()


if __name__ == "__main__":
    sys.exit(main())
