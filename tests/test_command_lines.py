"""Whatever stands behind `photo-api` and `photo-fleet`: an answer and an exit code, never a
traceback. The parsers themselves say what can stand there."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import photo_api.cli
import photo_api.commands
import photo_fleet.cli
import photo_local.command
from photo_local.bucket import BucketAdmin
from tests.own_stage import ask, own_database
from tests.service import free_port

NO_NUMBERS = (
    "nan", "inf", "-inf", "1e300", "9" * 23, "9" * 5000, "9223372036854775808", "-5", "", "abc",
    "1_0", "٣", " 1", "1\n", "0x1", "\udcff", "1\0",
)  # fmt: skip
NOT_STORABLE = ("\udcff", "a\0b", "a\udc80")
STORABLE = ("", "%", "\\", "'; DROP TABLE jobs;--", "\x01", "사진", "x" * 900)
DATABASE = ("jobs list", "jobs show 1", "jobs retry --all", "renditions remake")

Line = tuple[argparse.ArgumentParser, tuple[str, ...], argparse.Action]


def lines(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[Line]:
    """(parser, words that lead to it, what takes a value there)."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from lines(below, (*words, name))
        elif action.nargs != 0 and not action.choices:
            yield parser, words, action


def everything() -> Iterator[Line]:
    yield from lines(photo_api.commands._parser())
    yield from lines(photo_local.command._parser(), ("embedded",))
    for command in photo_fleet.cli.COMMANDS:
        yield from (
            line
            for line in lines(photo_fleet.cli._parser(command.name))
            if line[1] == (command.name,)
        )


def takes_number(action: argparse.Action) -> bool:
    if not callable(action.type):
        return False
    try:
        return isinstance(action.type("50"), int | float)
    except (argparse.ArgumentTypeError, ValueError):
        return False


def takes_path(action: argparse.Action) -> bool:
    return action.type is Path or action.metavar in ("FILE", "DIR")


def with_value(parser: argparse.ArgumentParser, action: argparse.Action, value: str) -> list[str]:
    """What its parser is given: this value here, and something right wherever it is required."""
    given = []
    for other in parser._actions:
        if other is action:
            name = other.option_strings
            given += [f"{name[-1]}={value}"] if name else ["--", value]
        elif other.required and other.nargs not in (0, "*", "?"):
            right = str(next(iter(other.choices))) if other.choices else "1"
            given += [other.option_strings[-1], right] if other.option_strings else [right]
    return given


def name(line: Line) -> str:
    _, words, action = line
    return " ".join((*words, action.option_strings[-1] if action.option_strings else action.dest))


def refused(line: Line, value: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said."""
    parser, _, action = line
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(with_value(parser, action, value))
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert len(said) < 2000
    return said


NUMBERS = [line for line in everything() if takes_number(line[2])]
TEXTS = [line for line in everything() if not takes_number(line[2]) and not takes_path(line[2])]


@pytest.mark.parametrize("line", NUMBERS, ids=name)
def test_what_is_no_number_is_refused(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    for value in NO_NUMBERS:
        said = refused(line, value, capsys)
        assert ("from" in said and "to" in said) or "expected" in said, (value, said)


@pytest.mark.parametrize("line", TEXTS, ids=name)
def test_what_cannot_be_stored_is_refused(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    for value in NOT_STORABLE:
        assert "UTF-8" in refused(line, value, capsys), value


OPTIONS = [line for line in everything() if line[2].option_strings]


@pytest.mark.parametrize("line", OPTIONS, ids=name)
def test_two_dashes_are_no_value(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected one argument" in refused(line, "--", capsys)


def test_what_a_complaint_quotes_is_shown_to_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        photo_fleet.cli.main(["report", "daily", "a", "\x1b[31mred\u202e", "http://u:geheim@h"])
    said = capsys.readouterr().err
    assert "\\u001b[31mred\\u202e" in said
    assert "geheim" not in said


@pytest.mark.parametrize("command", ["check", "doctor", "report daily"])
def test_the_name_of_a_spec_is_shown_to_no_terminal(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert photo_fleet.cli.main([*command.split(), "\x1b[31mred.toml"]) == 2
    said = capsys.readouterr()
    assert "\\u001b[31mred.toml" in said.out + said.err
    assert "\x1b" not in said.out + said.err


def test_the_walk_finds_what_there_is() -> None:
    found = {name(line) for line in (*NUMBERS, *TEXTS)}
    assert {
        "jobs --older-than",
        "jobs ids",
        "jobs --kind",
        "users disable email",
        "serve --port",
    } <= found
    assert {"drain --wait", "embedded --s3-port", "scale size", "balance --name"} <= found


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    bucket = f"own-{uuid4().hex}"
    keys = (stack["access_key"], stack["secret_key"])
    BucketAdmin(stack["s3_endpoint"], bucket, stack["region"], *keys).prepare([])
    with own_database(stack, environ | {"PHOTO_API_S3_BUCKET": bucket}) as settings:
        yield settings


@pytest.fixture
def run(
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Run `photo-api …`: its exit code, what it printed, what it complained of."""
    for variable in [item for item in os.environ if item.startswith("PHOTO_API_")]:
        monkeypatch.delenv(variable)

    def run(*arguments: str, **changed: str) -> tuple[int, str, str]:
        for variable, value in (settings | changed).items():
            monkeypatch.setenv(variable, value)
        try:
            code = photo_api.cli.main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


Run = Callable[..., tuple[int, str, str]]


def test_any_text_that_can_be_stored_is_looked_for(run: Run) -> None:
    for line in TEXTS:
        parser, words, action = line
        if words[0] not in ("jobs", "renditions", "users"):
            continue
        actions = [item.choices for item in parser._actions if item.dest == "action"]
        for value in STORABLE:
            if words[0] == "users":
                code, _, said = run(*words, *with_value(parser, action, value))
                assert code in (0, 1, 2), (words, value, said)
            for verb in (actions and actions[0]) or ():
                option = action.option_strings[-1] if action.option_strings else "--"
                code, _, said = run(*words, verb, option, value)
                assert code in (0, 1, 2), (words, verb, value, said)


@pytest.mark.parametrize(
    "line",
    [
        "jobs retry --all --limit 1", "jobs retry --all --state queued", "jobs retry 5 --all",
        "jobs retry", "jobs retry 5 --state leased", "jobs list --all", "jobs show --all",
    ],
)  # fmt: skip
def test_what_would_not_be_heeded_is_refused(line: str, run: Run) -> None:
    code, printed, said = run(*line.split())
    assert (code, printed) == (2, "")
    assert "jobs" in said


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("jobs list --limit 0", 0), ("jobs list --json --older-than 3e9", 0),
        ("jobs show 9223372036854775807", 1), ("jobs retry 9223372036854775807 --json", 1),
        ("jobs retry --all --state dead --older-than 0", 1),
        ("renditions remake --older-than 3153600000 --json", 0),
        ("users activate nobody@example.org", 1), ("users disable a@example.org --json", 1),
        ("users list --limit 10000 --after 9223372036854775807 --json", 0),
        ("users quota a@example.org 1048576TiB", 1), ("users delete a@example.org --yes", 1),
        ("users invite --hours 8760 --json", 0), ("reconcile --json", 0), ("reconcile --force", 0),
    ],
)  # fmt: skip
def test_the_largest_that_is_right_is_taken(line: str, right: int, run: Run) -> None:
    code, printed, said = run(*line.split())
    assert code == right, said
    if "--json" in line:
        json.loads(printed)


@pytest.mark.parametrize(
    "line",
    [*DATABASE, "users activate a@example.org", "users list", "reconcile", "reconcile --json"],
)
def test_a_database_that_is_away_is_told(line: str, run: Run) -> None:
    url = f"postgresql://a:hunter2@127.0.0.1:{free_port()}/x"
    code, printed, said = run(*line.split(), PHOTO_API_DATABASE_URL=url)
    assert (code, printed) == (2, "")
    assert said.startswith("Cannot read the database or the store: ")
    assert said.count("\n") == 1
    assert "hunter2" not in said


def test_a_refusal_is_json_where_json_was_asked_for(run: Run, settings: dict[str, str]) -> None:
    ask(
        settings,
        "INSERT INTO instances (boot_id, instance, node, version, address, port, workers, state)"
        " VALUES (gen_random_uuid(), 'a', 'a', '1', '192.0.2.9', 1, 1, 'ready')",
    )
    try:
        code, printed, said = run("reconcile", "--restored", "--json")
    finally:
        ask(settings, "DELETE FROM instances")
    report = json.loads(printed)
    assert (code, report["clean"]) == (1, False)
    assert "Stop the instances first" in report["refused"]
    assert "Stop the instances first" in said


FULL = (
    *("config check", "config table", "migrate", "migrate --json", "jobs list", "jobs list --json"),
    *("renditions remake", "reconcile", "reconcile --json", "jobs show 1", "--help"),
)


@pytest.mark.parametrize("line", FULL)
def test_what_cannot_be_written_is_told(
    line: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code, _, said = run(*line.split())
    assert (code, said) == (2, "Cannot write to standard output: No space left on device\n")


@pytest.mark.parametrize("line", ["check", "check --json", "role", "drill --list", "--help"])
def test_what_the_fleet_cannot_write_is_told(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code = photo_fleet.cli.main(line.split())
    said = capsys.readouterr().err
    assert (code, said) == (2, "Cannot write to standard output: No space left on device\n")


@pytest.mark.parametrize(
    "address", ["http://[", "http://xn--a", f"http://{'a' * 80}.x", "http://a b", "http://h:99999"]
)
def test_an_address_that_is_none_is_told(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHOTO_API_OPS_TOKEN", "x")
    assert photo_fleet.cli.main(["check", "--probe", address]) == 2
    assert "address" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["/dev/null", "/proc/none"])
def test_a_folder_that_cannot_be_one_is_told(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert photo_api.cli.main(["embedded", "--data", folder]) == 1
    assert "cannot be a data folder" in capsys.readouterr().err


def test_complaints_that_cannot_be_written_change_no_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        url = f"postgresql://a@127.0.0.1:{free_port()}/x"
        assert run("reconcile", PHOTO_API_DATABASE_URL=url)[0] == 2
        assert run("config", "check", PHOTO_API_DATABASE_URL="x")[0] == 2


@pytest.mark.parametrize("module", ["photo_api.cli", "photo_fleet.cli"])
@pytest.mark.parametrize("end", ["full", "closed"])
def test_a_process_ends_in_peace_without_a_reader(module: str, end: str) -> None:
    line = ["config", "table"] if module == "photo_api.cli" else ["role"]
    reader, pipe = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("w") as full, closing(os.fdopen(pipe, "w")) as closed:
        done = subprocess.run(
            [sys.executable, "-m", module, *line],
            stdout=full if end == "full" else closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    told = "Cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == ((2, told) if end == "full" else (0, ""))
