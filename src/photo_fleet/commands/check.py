"""`photo-fleet check`: what contradicts in a spec, or in what runs, for people and for machines."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from photo_base.command_line import missing, text
from photo_base.environment import PREFIX, networks
from photo_base.log_lines import printable
from photo_fleet.commands.spec_file import (
    BUILT_IN,
    DEFAULT_FILE,
    add_spec_file,
    add_target,
    problems,
    targeted,
)
from photo_fleet.render import tree
from photo_fleet.render.cloud_init import ports
from photo_fleet.render.environment import SECRETS
from photo_fleet.rules.checks import check
from photo_fleet.rules.findings import UNREAD, Finding
from photo_fleet.rules.nhn import limits
from photo_fleet.rules.stopping import longest_stay
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import SpecError
from photo_fleet.spec.settings import absent, of_the_machine, paths, settings
from photo_fleet.spec.targets import for_target

FINE, CONTRADICTS, UNUSABLE = 0, 1, 2


class Unasked(Exception):
    """What runs cannot be compared; the message says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_spec_file(parser)
    add_target(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument(
        "--probe",
        type=text,
        metavar="URL",
        help="also compare the instance at this address with the spec; its PHOTO_API_OPS_TOKEN"
        " is taken from the environment",
    )
    parser.add_argument(
        "--against",
        choices=("aws",),
        help="also compare what this cloud has of the group with the spec; by the usual environment"
        " of the cloud's own tools",
    )
    parser.add_argument(
        "--region", type=text, metavar="NAME", help="of --against (AWS_REGION, or AWS's own files)"
    )
    parser.add_argument(
        "--secrets",
        type=Path,
        nargs="?",
        const=Path(SECRETS),
        metavar="FOLDER",
        help=f"also look at the secrets that instances get, in this folder ({SECRETS})",
    )


def run(options: argparse.Namespace) -> int:
    """The exit code: 0 nothing or warnings only, 1 errors, 2 no usable spec, no server, or parts
    of a cloud that could not be read."""
    try:
        name, fleet = targeted(options)
    except SpecError as error:
        if not options.json:
            raise
        print(json.dumps({"ok": False, "problems": problems(error), "findings": []}))
        return UNUSABLE
    findings = check(fleet) + _refused(fleet)
    if options.secrets is not None:
        findings = _secrets(fleet, options.secrets) + findings
    try:
        if options.probe is not None:
            findings += _probed(fleet, options.probe)
        if options.against is not None:
            findings += _against_aws(fleet, options)
    except Unasked as error:
        if options.json:
            problem = {"file": "", "line": 0, "key": "", "text": str(error)}
            print(json.dumps({"ok": False, "problems": [problem], "findings": []}))
        else:
            print(error, file=sys.stderr)
        return UNUSABLE
    fails = any(finding.level == "error" or options.strict for finding in findings)
    is_whole = all(finding.code != UNREAD for finding in findings)
    if options.json:
        print(json.dumps(_body(name, fleet, findings, is_whole and not fails), ensure_ascii=False))
    else:
        tell(name, fleet, findings, options.strict)
    return CONTRADICTS if fails else FINE if is_whole else UNUSABLE


def _refused(fleet: Fleet) -> list[Finding]:
    """What instances refuse to start with, and what `render` refuses to write, such as user data
    that are larger than clouds take."""
    found = []
    try:
        networks(",".join(fleet.balancer.networks))
    except ValueError as error:
        told = f"balancer.networks: {error}"
        found.append(Finding("error", "networks", told, "no instance starts", "narrow them"))
    try:
        tree.files(fleet)
    except ValueError as error:
        nothing = "`photo-fleet render` writes nothing"
        found.append(Finding("error", "render", str(error), nothing, "shorten or change it"))
    return found


def _secrets(fleet: Fleet, folder: Path) -> list[Finding]:
    """What an instance of the spec would say of its settings with the secrets in `folder`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    told = settings(fleet) | absent(fleet)
    for name in ("S3_CA_FILE", "SWIFT_CA_FILE"):
        told.pop(f"{PREFIX}{name}", None)  # it is on the machines
    asked = subprocess.run(
        [sys.executable, "-m", "photo_api.cli", "config", "check", "--json"],
        env=ours | told | paths(of_the_machine(fleet), str(folder)),
        stdout=subprocess.PIPE,
        check=False,
    )
    return [
        Finding("error", "secrets", problem, "an instance does not start", "put others in place")
        for problem in json.loads(asked.stdout)["problems"]
    ]


def _probed(fleet: Fleet, url: str) -> list[Finding]:
    """What differs at the server. Raises `Unasked`."""
    from photo_fleet.rules.server import ProbeError, compare, reported

    token = os.environ.get("PHOTO_API_OPS_TOKEN", "")
    if not token:
        raise Unasked(
            "PHOTO_API_OPS_TOKEN is not set: a server tells its configuration only to those"
            " who have it"
        )
    try:
        return compare(fleet, reported(url, token))
    except ProbeError as error:
        raise Unasked(str(error)) from error


def _against_aws(fleet: Fleet, options: argparse.Namespace) -> list[Finding]:
    """What differs in AWS. Raises `Unasked`."""
    if lack := missing("aws"):
        raise Unasked(f"photo-fleet check --against aws: {lack}")
    from photo_fleet.drift.asking import Aws
    from photo_fleet.drift.findings import drift
    from photo_fleet.drift.group import NoGroup

    if fleet.group.cloud not in ("none", "aws"):
        raise Unasked(f'group.cloud is "{fleet.group.cloud}": its group is none of AWS')
    try:
        return drift(for_target(fleet, "aws"), Aws(options.region or os.environ.get("AWS_REGION")))
    except NoGroup as error:
        raise Unasked(str(error)) from error


def _body(name: str, fleet: Fleet, findings: list[Finding], ok: bool) -> dict[str, object]:
    levels = [finding.level for finding in findings]
    return {
        "ok": ok,
        "file": name,
        "errors": levels.count("error"),
        "warnings": levels.count("warning"),
        "problems": [],
        "findings": [finding.body() for finding in findings],
        "ports": ports(fleet),
        "limits": limits(fleet),
        "sick": {"failing_s": longest_stay(fleet), "hanging_s": longest_stay(fleet, hangs=True)},
    }


def tell(name: str, fleet: Fleet, findings: list[Finding], strict: bool) -> None:
    """Print it all for people; what others have named moves no terminal."""
    if name == BUILT_IN:
        print(f"There is no {DEFAULT_FILE} here: these are the built-in defaults.")
    for finding in findings:
        print(f"{finding.level} {finding.code}: {printable(finding.numbers)}")
        print(f"  so that: {printable(finding.consequence)}")
        print(f"  mend it: {printable(finding.remedy)}")
    print(f"ports: {ports(fleet)}")
    for limit in limits(fleet):
        print(f"limit: {limit}")
    failing, hanging = longest_stay(fleet), longest_stay(fleet, hangs=True)
    print(
        "sick: one that alone is sick, as without its database, gets requests for up to"
        f" {failing:g} s, one that hangs for up to {hanging:g} s"
    )
    levels = [finding.level for finding in findings]
    errors, warnings = levels.count("error"), levels.count("warning")
    counted = f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}"
    also = "; with --strict warnings are errors" if strict and warnings else ""
    unread = sum(finding.code == UNREAD for finding in findings)
    also += f"; {unread} of them are unknown" if unread else ""
    print(f"{name}: {counted}{also}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
