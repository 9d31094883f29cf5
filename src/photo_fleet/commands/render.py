"""`photo-fleet render`: the spec as files for hosts and machines."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from photo_fleet.commands.spec_file import add_spec_file, add_target, targeted
from photo_fleet.render import tree
from photo_fleet.render.folder import Differences, FolderError, compare, write
from photo_fleet.rules.checks import check
from photo_fleet.rules.findings import Finding
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import SpecError

DONE, FAILED, UNUSABLE = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_spec_file(parser)
    add_target(parser)
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="where to write the files"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit 1 when DIR is not what the spec says",
    )
    parser.add_argument(
        "--force", action="store_true", help="also when the spec contradicts itself"
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 done (or, with `--check`, nothing to do), 1 refused or DIR differs, 2 no
    usable spec."""
    try:
        name, fleet = targeted(options)
    except SpecError as error:
        if not options.json:
            raise
        print(json.dumps({"ok": False, "problems": [str(one) for one in error.problems]}))
        return UNUSABLE
    errors = [finding for finding in check(fleet) if finding.level == "error"]
    if errors and not options.force:
        _refuse(name, errors, options.json)
        return FAILED
    try:
        rendered = tree.files(fleet)
        done = (compare if options.check else write)(options.out, rendered)
    except (FolderError, ValueError) as error:
        _fail(str(error), options.json)
        return FAILED
    ok = not (options.check and done)
    if options.json:
        print(json.dumps(_body(fleet, name, rendered, done, ok), ensure_ascii=False))
    else:
        _tell(fleet, name, options, rendered, done)
    return DONE if ok else FAILED


def _body(
    fleet: Fleet, name: str, rendered: dict[str, str], done: Differences, ok: bool
) -> dict[str, object]:
    return {
        "ok": ok,
        "file": name,
        "problems": [],
        "files": sorted(rendered),
        **asdict(done),
        "notes": tree.notes(fleet),
    }


def _refuse(name: str, errors: list[Finding], as_json: bool) -> None:
    if as_json:
        body = {"ok": False, "problems": [], "findings": [finding.body() for finding in errors]}
        print(json.dumps(body, ensure_ascii=False))
        return
    print(f"{name} contradicts itself; nothing is written:", file=sys.stderr)
    for finding in errors:
        print(f"  {finding.code}: {finding.numbers}", file=sys.stderr)
        print(f"    mend it: {finding.remedy}", file=sys.stderr)
    print("--force renders it all the same.", file=sys.stderr)


def _fail(problem: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ok": False, "problems": [problem]}, ensure_ascii=False))
    else:
        print(f"photo-fleet render: {problem}", file=sys.stderr)


def _tell(
    fleet: Fleet,
    name: str,
    options: argparse.Namespace,
    rendered: dict[str, str],
    done: Differences,
) -> None:
    verbs = ("is missing", "differs", "is stale") if options.check else ("new", "changed", "gone")
    for verb, paths in zip(verbs, (done.new, done.changed, done.stale), strict=True):
        for path in paths:
            print(f"{options.out / path}: {verb}")
    for path in done.kept:
        print(f"{options.out / path}: not rendered any more, but changed by hand: it stays")
    same = len(rendered) - len(done.new) - len(done.changed)
    if options.check:
        print(f"{options.out} {'differs from' if done else 'is as'} {name} says")
        return
    print(
        f"{name}: {len(rendered)} files in {options.out}, {len(done.new)} new,"
        f" {len(done.changed)} changed, {same} as they were"
    )
    for note in tree.notes(fleet):
        print(f"note: {note}")
