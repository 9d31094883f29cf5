"""`photo-fleet drill --self-test`, with `--list`, `--only`, `--seed`, `--keep` and `--json`."""

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from photo_base.command_line import missing
from photo_base.processes import CannotStart
from photo_fleet.commands.drill_place import kept_or_temporary, run_until_told
from photo_fleet.local_fleet.nginx import required_nginx
from photo_fleet.render.places import Places
from self_test.proof import dumps, listing, prove, proven, summary
from self_test.variants import UnknownVariant, chosen

PROVEN, UNPROVEN, UNUSABLE = 0, 1, 2
NOT_FOR_IT = ("all", "short", "html", "rate", "mix", "target", "spec", "force", "markdown")


def self_test(options: argparse.Namespace) -> int:
    """0 when every variant was as it must be, 1 when one passed unnoticed, was found by another
    rule or could not be carried out, 2 for wrong usage."""
    given = [f"--{name}" for name in NOT_FOR_IT if getattr(options, name, None)]
    if given:
        return _unusable(f"{', '.join(given)}: not with --self-test")
    try:
        variants = chosen(options.only)
    except UnknownVariant as error:
        return _unusable(str(error))
    if options.list:
        print(listing(variants), end="")
        return PROVEN
    if lack := missing("local"):
        return _unusable(lack)
    try:
        required_nginx(Places())
    except CannotStart as error:
        return _unusable(str(error))
    kept: Path | None = options.keep
    if kept is not None and kept.exists() and (not kept.is_dir() or any(kept.iterdir())):
        return _unusable(f"{kept} is not an empty folder; choose another --keep")
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {text}", file=sys.stderr, flush=True)

    with ExitStack() as running:
        folder = kept_or_temporary(kept, running)
        results = run_until_told(prove(variants, folder, options.seed, say))
    print(dumps(results) if options.json else summary(results), end="")
    return PROVEN if proven(results) else UNPROVEN


def _unusable(text: str) -> int:
    print(f"photo-fleet drill: {text}", file=sys.stderr)
    return UNUSABLE
