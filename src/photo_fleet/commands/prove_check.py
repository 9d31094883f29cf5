"""`photo-fleet drill --prove-check N`: generated specs, and what a drill sees of each verdict of
`photo-fleet check`."""

import argparse
import asyncio
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from photo_api.contract import RELEASE
from photo_base.line_output import LineOutput, as_text
from photo_base.whole_file import replace
from photo_fleet.commands.drill_place import (
    forget_interrupt,
    kept_or_temporary,
    machine,
    run_until_told,
    saying,
)
from photo_fleet.drill.check_proof.result import Proof, Result
from photo_fleet.drill.check_proof.runner import ProofRunner
from photo_fleet.drill.check_proof.specs import cases
from photo_fleet.drill.check_proof.tables import dumps, markdown, summary

NOT_FOR_IT = (
    *("all", "short", "only", "target", "watch", "self_test", "list", "spec", "force"),
    *("rate", "mix", "html"),
)


def unfit(options: argparse.Namespace) -> str:
    """What is wrong with the options, in words; empty when nothing is."""
    given = [f"--{name.replace('_', '-')}" for name in NOT_FOR_IT if getattr(options, name)]
    given += ["--from"] if options.before else []
    given += ["--store swift"] if options.store != "s3" else []
    return f"{', '.join(given)}: not with --prove-check" if given else ""


def prove(options: argparse.Namespace) -> bool:
    """Run it and tell; whether each spec did as `check` says of it. Raises `CannotStart`."""
    proof = run_until_told(_proof(options))
    if options.markdown is not None:
        replace(options.markdown, markdown(proof))
    if options.json:
        print(dumps(proof), end="")
    else:
        from rich.console import Console

        Console(highlight=False).print(summary(proof))
    return proof.holds


async def _proof(options: argparse.Namespace) -> Proof:
    began = datetime.now(UTC).isoformat(timespec="seconds")
    sys.stderr = as_text(LineOutput(sys.stderr.fileno()))  # whose reader holds up no load
    found: list[Result] = []
    with ExitStack() as running:
        folder = kept_or_temporary(options.keep, running)
        try:
            await _try(options, folder, found)
        except asyncio.CancelledError:
            forget_interrupt()
            saying()("interrupted; tells what was done so far")
    command = f"photo-fleet drill --prove-check {options.prove_check} --seed {options.seed}"
    return Proof(began, command, RELEASE, machine(), options.prove_check, tuple(found))


async def _try(options: argparse.Namespace, folder: Path, found: list[Result]) -> None:
    say, number = saying(), options.prove_check
    async with ProofRunner.open(folder, options.seed, say) as runner:
        for case in cases(number, options.seed):
            codes = ", ".join(case.codes)
            verdict = f"refuses: {codes}" if codes else "passes"
            say(f"spec {case.number} of {number}: {case.words}; check {verdict}")
            result = await runner.tried(case)
            found.append(result)
            say(f"  {result.conclusion.value}: {result.words}")
