"""The spec that a command is given: FILE, fleet.toml of the working directory, or the defaults."""

import argparse
from pathlib import Path

from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import SpecError, load
from photo_fleet.spec.targets import TARGETS, for_target

DEFAULT_FILE = "fleet.toml"
BUILT_IN = "built-in defaults"


def add_spec_file(parser: argparse.ArgumentParser) -> None:
    """The argument FILE."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help=f"the spec ({DEFAULT_FILE}; without one, the built-in defaults)",
    )


def add_target(parser: argparse.ArgumentParser) -> None:
    """The option --target."""
    parser.add_argument(
        "--target",
        choices=TARGETS,
        help="take the spec as that of a group of this cloud, behind the cloud's own balancer",
    )


def targeted(options: argparse.Namespace) -> tuple[str, Fleet]:
    """The spec that is meant, as that of the group of `--target`. Raises SpecError."""
    name, fleet = spec_of(options.file)
    return name, for_target(fleet, options.target) if options.target else fleet


def spec_of(file: str | None) -> tuple[str, Fleet]:
    """The spec that is meant, and its name. Raises SpecError."""
    if file is None and not Path(DEFAULT_FILE).exists():
        return BUILT_IN, Fleet()
    name = file or DEFAULT_FILE
    return name, load(name)


def problems(error: SpecError) -> list[dict[str, object]]:
    """Its faults, for machines."""
    return [
        {"file": one.file, "line": one.line, "key": one.key, "text": one.text}
        for one in error.problems
    ]
