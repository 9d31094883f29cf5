"""`photo-fleet drill`: a fleet of one's own, faults, and the proof that nothing is lost."""

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

from photo_api.contract import RELEASE
from photo_base.command_line import decimal, missing, text, whole_number
from photo_base.environment import url
from photo_base.line_output import LineOutput, as_text
from photo_base.processes import CannotStart, find_program
from photo_base.whole_file import replace, unwritable
from photo_fleet.commands.drill_place import (
    forget_interrupt,
    kept_or_temporary,
    machine,
    run_until_told,
    saying,
)
from photo_fleet.drill.catalogue import (
    DEFAULT_SEED,
    UnknownScenario,
    chosen,
    listing,
    listing_json,
)
from photo_fleet.drill.clients.mix import EVERYDAY, Overrides, weights_of
from photo_fleet.drill.runner import Broken, Runner, Say
from photo_fleet.drill.scenario import Scenario
from photo_fleet.drill.scenarios import SCENARIOS
from photo_fleet.drill.scenarios_on_swift import SCENARIOS_ON_SWIFT
from photo_fleet.drill.stage.previous import refuse_no_former
from photo_fleet.drill.target import TargetRunner
from photo_fleet.drill.verdict import Drill, Judged
from photo_fleet.local_fleet.embedded import STORES
from photo_fleet.local_fleet.nginx import required_nginx
from photo_fleet.render.places import Places
from photo_fleet.rules.checks import check
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import load

HOLDS, VIOLATED, UNUSABLE = 0, 1, 2
UPGRADE = "upgrade"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `drill` understands."""
    _add_fleet(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="the further scenarios too")
    which.add_argument("--short", action="store_true", help="three minutes' worth of them")
    which.add_argument(
        "--only", type=_names, default=[], metavar="NAME,…", help="these, as --list shows them"
    )
    parser.add_argument("--list", action="store_true", help="show the scenarios and run none")
    _add_proofs(parser)
    _add_load(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the result as a page")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="leave ledgers, logs and the fleets' files there"
    )


def _add_fleet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--spec",
        type=text,
        metavar="FILE",
        help="stage the fleet of this spec, by its rendered environment and nginx, in place of the"
        " drill's own; what one machine cannot carry out is told",
    )
    parser.add_argument("--force", action="store_true", help="also a spec that contradicts itself")
    parser.add_argument(
        "--target",
        type=_address,
        metavar="URL",
        help="a fleet that runs: only what can be done from outside, with accounts that stay there",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="with a Prometheus and the rules of alerts: which fired, which are missing",
    )
    parser.add_argument(
        "--store",
        choices=tuple(STORES),
        default="s3",
        help="that of the stage; with swift there are scenarios of Keystone too (%(default)s)",
    )
    parser.add_argument(
        "--from",
        dest="before",
        type=_folder,
        metavar="DIR",
        help="of `upgrade`: the release before, a source tree or a virtual environment (a checkout"
        " finds it in its history)",
    )


def _add_proofs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="prove the drill: broken variants of a fleet must each make their gate fail",
    )
    parser.add_argument(
        "--prove-check",
        type=whole_number(1, 1000),
        metavar="N",
        help="prove `photo-fleet check`: of N generated specs those that it passes lose nothing at"
        " a scale-in and a deploy, and those that it refuses lose what a spec that differs in one"
        " key serves (about half a minute each)",
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="with --prove-check: its table for a page"
    )


def _add_load(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed",
        type=whole_number(0, 2**53),
        default=DEFAULT_SEED,
        help="repeats what chance decided (%(default)s)",
    )
    parser.add_argument(
        "--rate", type=decimal(0.1, 1000), metavar="R", help="acts a second (as each scenario says)"
    )
    parser.add_argument(
        "--mix",
        type=_weights,
        metavar="ACT=N,…",
        help="what clients do, and how often in proportion (as each scenario says); acts: "
        + ", ".join(EVERYDAY),
    )


def run(options: argparse.Namespace) -> int:
    """0 when all gates hold, 1 when one does not or a scenario could not be carried out, 2 for
    wrong usage."""
    if options.prove_check:
        return _prove_check(options)
    if options.markdown:
        return _unusable("--markdown is for --prove-check")
    if options.self_test:
        return _self_test(options)
    catalogue = SCENARIOS_ON_SWIFT if options.store == "swift" else SCENARIOS
    try:
        scenarios = chosen(
            catalogue,
            everything=options.all,
            short=options.short,
            only=options.only,
            outside=options.target is not None,
        )
    except UnknownScenario as error:
        return _unusable(str(error))
    if options.list:
        shown = scenarios if options.target else catalogue
        print(listing_json(shown) if options.json else listing(shown), end="")
        return HOLDS
    if not scenarios:
        return _unusable("none of these can be done from outside")
    if options.before and not any(item.name == UPGRADE for item in scenarios):
        return _unusable(f"--from is for the scenario `{UPGRADE}`: --only {UPGRADE}, or --all")
    try:
        options.fleet = _given_spec(options)
        _check_places(options)
        drill = run_until_told(_drill(scenarios, options))
    except (CannotStart, OSError) as error:
        return _unusable(str(error))
    _report(drill, options)
    return HOLDS if drill.holds else VIOLATED


def _prove_check(options: argparse.Namespace) -> int:
    from photo_fleet.commands.prove_check import prove, unfit

    if wrong := unfit(options):
        return _unusable(wrong)
    try:
        _check_places(options)
        holds = prove(options)
    except (CannotStart, OSError) as error:
        return _unusable(str(error))
    return HOLDS if holds else VIOLATED


def _self_test(options: argparse.Namespace) -> int:
    checkout = Path(__file__).parents[3]
    if not (checkout / "self_test" / "command.py").is_file():
        return _unusable("--self-test needs a checkout, for no package brings its broken variants")
    sys.path.insert(0, str(checkout))
    return int(import_module("self_test.command").self_test(options))


async def _drill(scenarios: Sequence[Scenario], options: argparse.Namespace) -> Drill:
    """Of what was carried out until it was interrupted, if it was."""
    began, judged, unfinished = datetime.now(UTC), list[Judged](), list[str]()
    sys.stderr = as_text(LineOutput(sys.stderr.fileno()))  # whose reader holds up no load
    say = saying()
    async with AsyncExitStack() as running:
        runner = await running.enter_async_context(_runner(options, running, say))
        for scenario in scenarios:
            try:
                item = await runner.run(scenario)
            except Broken as error:
                unfinished.append(str(error))
                say(f"  could not be carried out: {error}")
                continue
            except asyncio.CancelledError:
                forget_interrupt()
                unfinished.append(f"{scenario.name}, and what would come after it: interrupted")
                say("  interrupted; reports what was done so far")
                break
            judged.append(item)
            say(f"  {'holds' if item.verdict.holds else 'VIOLATED'}: {_counts(item)}")
    told = began.isoformat(timespec="seconds")
    done = tuple(judged), tuple(unfinished), runner.replaced
    return Drill(told, _command(options), RELEASE, machine(), *done)


def _runner(options: argparse.Namespace, running: AsyncExitStack, say: Say) -> Runner:
    overrides = Overrides(options.rate, options.mix)
    folder = kept_or_temporary(options.keep, running)
    if options.target is not None:
        return TargetRunner(options.target, folder, options.seed, overrides, say)
    return Runner(
        folder,
        options.seed,
        overrides,
        say,
        watched=options.watch,
        store=options.store,
        spec=options.fleet,
        before=options.before,
    )


def _report(drill: Drill, options: argparse.Namespace) -> None:
    if options.html is not None:
        from photo_fleet.drill.report.html_page import page

        try:
            replace(options.html, page(drill))
        except OSError as error:  # the verdict is told nevertheless
            print(f"photo-fleet drill: {options.html}: {error.strerror}", file=sys.stderr)
    if options.json:
        from photo_fleet.drill.report.json_body import dumps

        print(dumps(drill), end="")
    else:
        from rich.console import Console

        from photo_fleet.drill.report.text_tables import summary

        Console(highlight=False).print(summary(drill))


def _given_spec(options: argparse.Namespace) -> Fleet | None:
    """That of `--spec`. Raises `SpecError`, and `CannotStart` for one that contradicts itself."""
    if options.spec is None:
        if options.force:
            raise CannotStart("--force is for --spec")
        return None
    if options.target is not None:
        raise CannotStart("--spec stages a fleet, and --target takes one that runs")
    fleet = load(options.spec)
    errors = [finding for finding in check(fleet) if finding.level == "error"]
    if errors and not options.force:
        told = "".join(f"\n  {item.code}: {item.numbers}" for item in errors)
        raise CannotStart(
            f"{options.spec} contradicts itself:{told}\n--force stages it all the same;"
            " `photo-fleet check` says what mends it"
        )
    return fleet


def _check_places(options: argparse.Namespace) -> None:
    """Rather now than after an hour. Raises `CannotStart`."""
    if options.before is not None:
        refuse_no_former(options.before)
    if options.target is None:
        if lack := missing("local"):
            raise CannotStart(lack)
        required_nginx(Places())
        if options.watch and find_program("prometheus") is None:
            raise CannotStart("--watch needs Prometheus: apt-get install prometheus")
    elif options.watch:
        raise CannotStart("--watch cannot see into a fleet that was not staged")
    page: Path | None = options.html or options.markdown
    if page is not None and (reason := unwritable(page)):
        raise CannotStart(f"cannot write {page}: {reason}")
    kept: Path | None = options.keep
    if kept is not None and kept.exists() and (not kept.is_dir() or any(kept.iterdir())):
        raise CannotStart(f"{kept} is not an empty folder; choose another --keep")


def _counts(item: Judged) -> str:
    broken = ", ".join(f"{one.rule} × {one.count}" for one in item.verdict.violations)
    told = "" if item.told else "; alerts are missing or false"
    return f"{item.verdict.requests} requests" + (f"; {broken}" if broken else "") + told


def _command(options: argparse.Namespace) -> str:
    """What repeats it; where its files went does not matter."""
    words = ["photo-fleet", "drill", "--seed", str(options.seed)]
    words += [f"--{name}" for name in ("all", "short") if getattr(options, name)]
    words += ["--spec", Path(options.spec).name] if options.spec else []
    words += ["--force"] if options.force else []
    words += ["--watch"] if options.watch else []
    words += ["--store", options.store] if options.store != "s3" else []
    words += ["--target", options.target] if options.target else []
    words += ["--only", ",".join(options.only)] if options.only else []
    words += ["--rate", f"{options.rate:g}"] if options.rate is not None else []
    mix = options.mix or {}
    words += ["--mix", ",".join(f"{act}={weight:g}" for act, weight in mix.items())] if mix else []
    return shlex.join(words)


def _unusable(text: str) -> int:
    print(f"photo-fleet drill: {text}", file=sys.stderr)
    return UNUSABLE


def _folder(value: str) -> Path:
    folder = Path(value).absolute()
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is no folder")
    return folder


def _names(value: str) -> list[str]:
    names = [name.strip() for name in text(value).split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("names at least one, as --list shows them")
    return names


def _address(value: str) -> str:
    try:
        parts = urlsplit(url(text(value)))
    except ValueError:
        parts = None
    if parts is None or parts.username or parts.path.strip("/"):
        raise argparse.ArgumentTypeError("as https://photos.example.org, without a path or a login")
    return value.rstrip("/")


def _weights(value: str) -> dict[str, float]:
    try:
        return weights_of(text(value))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
