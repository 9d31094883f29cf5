"""The operator's guide names only what exists, and says the same in both of its languages."""

import ast
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import photo_api.cli
import photo_fleet.cli
from photo_api.settings.loading import variables
from photo_fleet.doctor.catalogue import CODES, GUIDE
from photo_fleet.drift.consequences import KINDS
from photo_fleet.report.line import PERIODS
from photo_fleet.report.making import ITEMS
from photo_fleet.rules.findings import UNREAD
from tests.own_stage import ask, own_database

ROOT = Path(__file__).parent.parent
ENGLISH = ROOT / "docs/operations.md"
KOREAN = ROOT / "docs/ko/operations.md"
GUIDES = [pytest.param(ENGLISH, id="en"), pytest.param(KOREAN, id="ko")]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
SPAN = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"(?<![\w/.-])(photo-api|photo-fleet|make) ([a-z][a-z-]*)([^|&;\n]*)")
VARIABLE = re.compile(r"PHOTO_API_[A-Z0-9_]*[A-Z0-9]")
UNIT_OF = re.compile(r"(?:systemctl|journalctl)[^|\n]*")

MAINS: dict[str, Callable[[list[str]], int]] = {
    "photo-api": photo_api.cli.main,
    "photo-fleet": photo_fleet.cli.main,
}
NESTED = {
    ("photo-api", "users"),
    ("photo-api", "config"),
    ("photo-api", "storage"),
    ("photo-fleet", "group"),
}

SAMPLE = """
    WITH boots (boot_id, instance, state) AS (VALUES
        (gen_random_uuid(), '10.0.1.10', 'ready'), (gen_random_uuid(), '10.0.1.11', 'stopped')
    ), rows AS (
        INSERT INTO instances
            (boot_id, instance, node, version, address, port, workers, state, load)
        SELECT boot_id, instance, 'node', '0.1.0', instance, 8000, 1, state,
            '{"cpu_percent": 12.5, "in_flight": 3, "memory_bytes": 104857600, "queue_depth": 0}'
        FROM boots
    ), jobs AS (
        INSERT INTO jobs (kind, subject_id, state, error) VALUES ('renditions', 1, 'dead', 'why')
    )
    INSERT INTO instance_events (boot_id, instance, event, cause)
    SELECT boot_id, instance, event, cause FROM boots, (VALUES
        ('started', NULL), ('check_fails', 'database: no answer within 1.5 s'),
        ('worker_died', 'web-1 killed by SIGKILL'), ('draining', 'SIGTERM'),
        ('stopped', 'SIGTERM; 1 request cut at the limit')
    ) AS happened (event, cause)
"""


def blocks(guide: Path, *languages: str) -> list[str]:
    """Texts of the code blocks in these languages."""
    found = BLOCK.findall(guide.read_text())
    return [text for language, text in found if language in languages]


def code(guide: Path) -> list[str]:
    """Lines of shell blocks, and what stands in backticks, which never goes over a line's end."""
    prose = BLOCK.sub("", guide.read_text())
    assert [line for line in prose.splitlines() if line.count("`") % 2] == []
    lines = [line for text in blocks(guide, "sh") for line in text.splitlines()]
    return [*lines, *SPAN.findall(prose)]


def commands(guide: Path) -> list[tuple[str, str, str]]:
    """(program, subcommand, arguments) of each command that the guide names, in order."""
    return [
        (program, name, arguments.strip())
        for line in code(guide)
        for program, name, arguments in COMMAND.findall(UNIT_OF.sub("", line))
    ]


def statements(guide: Path) -> list[str]:
    """Each SQL statement by itself."""
    return [one.strip() for text in blocks(guide, "sql") for one in text.split(";") if one.strip()]


def headings(guide: Path) -> list[tuple[int, str]]:
    """(depth, text) in order."""
    prose = BLOCK.sub("", guide.read_text())
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", prose, re.M)]


def links(guide: Path) -> list[str]:
    return re.findall(r"\]\((?!https?:)([^)]+)\)", BLOCK.sub("", guide.read_text()))


def anchors(guide: Path) -> list[str]:
    """Of its headings, as GitHub makes them."""
    return [
        re.sub(r"[^\w -]", "", text.lower().replace("`", "")).replace(" ", "-")
        for _, text in headings(guide)
    ]


def help_of(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    """What `--help` prints; fails when there is no such command."""
    program, *subcommands = words
    with pytest.raises(SystemExit) as ended:
        MAINS[program]([*subcommands, "--help"])
    printed = capsys.readouterr()
    assert ended.value.code == 0, f"{' '.join(words)}: {printed.err}"
    return printed.out


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_and_option_exists(guide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = [item for item in commands(guide) if item[0] != "make"]
    assert {program for program, _, _ in named} == set(MAINS)
    helps: dict[tuple[str, ...], str] = {}
    for program, name, arguments in named:
        given = shlex.split(arguments)
        words: tuple[str, ...] = (program, name)
        if words in NESTED:
            words = (*words, given[0])
        if words not in helps:
            helps[words] = help_of(words, capsys)
        for option in (word.partition("=")[0] for word in given if word.startswith("--")):
            known = re.search(rf"(?<![\w-]){option}(?![\w-])", helps[words])
            assert known, f"{' '.join(words)} has no {option}"


@pytest.mark.parametrize("guide", GUIDES)
def test_every_subcommand_is_named(guide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = {
        (program, name, *shlex.split(arguments)[:1]) for program, name, arguments in commands(guide)
    }
    for program in MAINS:
        for name in subcommands((program,), capsys):
            assert (program, name) in {words[:2] for words in named}, f"{program} {name}"
            actions = subcommands((program, name), capsys) if (program, name) in NESTED else []
            assert {(program, name, action) for action in actions} <= named


def subcommands(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Those that its help lists, without their other names."""
    found = re.findall(r"^    ([a-z][a-z-]*)(?: \(.*?\))?(?: |$)", help_of(words, capsys), re.M)
    assert found, words
    return found


@pytest.mark.parametrize("guide", GUIDES)
def test_every_code_of_check_is_named(guide: Path) -> None:
    named = {name for text in SPAN.findall(guide.read_text()) for name in re.split(r"[, ]+", text)}
    codes = {*codes_in("rules"), *codes_in("drift"), *(f"aws-{kind}" for kind in KINDS.values())}
    assert {
        "flapping",
        "aws-old-instances",
        "aws-unread",
        "nhn-stop",
        "server-metrics-access",
    } <= codes
    assert codes - named == set()


def codes_in(folder: str) -> Iterator[str]:
    """Codes that findings of this plane are made with; `server-…` is one for each key."""
    yield UNREAD
    for path in sorted((ROOT / "src/photo_fleet" / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id="Contradiction" | "Finding"),
                    args=[_, ast.Constant(value=str(code)), *_],
                ):
                    yield code


@pytest.mark.parametrize("guide", GUIDES)
def test_every_target_of_make_exists(guide: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    told = {name for program, name, _ in commands(guide) if program == "make"}
    assert told
    assert told <= targets


@pytest.mark.parametrize("guide", GUIDES)
def test_every_variable_exists(guide: Path) -> None:
    known = {f"PHOTO_API_{item.name}" for _, item in variables()}
    known |= {f"PHOTO_API_{item.name}_FILE" for _, item in variables() if item.secret}
    assert set(VARIABLE.findall(guide.read_text())) - known == set()


@pytest.mark.parametrize("guide", GUIDES)
def test_every_finding_and_state_exists(guide: Path) -> None:
    """What stands in parentheses: codes of `photo-fleet check`, `doctor` and `report`, and
    states of instances."""
    known = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)",?$', sources("photo_fleet/rules"), re.M))
    known |= set(re.findall(r"[\"']([a-z]+)[\"']", sources("photo_api")))
    known |= set(CODES) | {item.code for items in ITEMS.values() for item in items}
    groups = re.findall(r"\(((?:`[a-z][a-z-]*`(?:,\s)?)+)\)", guide.read_text())
    told = {name for group in groups for name in SPAN.findall(group)}
    assert {"lame-duck", "connections", "flapping", "draining"} <= told
    assert told <= known


@pytest.mark.parametrize("guide", GUIDES)
def test_every_code_of_the_doctor_is_in_the_table_of_its_section(guide: Path) -> None:
    places = [GUIDE[kind.section].partition("#")[2] for kind in CODES.values()]
    below = dict(zip(anchors(ENGLISH), sections(guide)[1:], strict=True))
    for code, place in zip(CODES, places, strict=True):
        assert re.search(rf"^\| .*`{code}`.* \|", below[place], re.M), code


@pytest.mark.parametrize("guide", GUIDES)
def test_each_line_of_a_report_is_an_item_of_a_check_list(guide: Path) -> None:
    """In the same order, and in English in the same words."""
    for period, section in zip(PERIODS, sections(guide)[-len(PERIODS) :], strict=True):
        asked = re.findall(r"^\*\*(.+?)\*\* \(`([a-z-]+)`\)", section, re.M)
        assert [code for _, code in asked] == [item.code for item in ITEMS[period]]
        if guide == ENGLISH:
            assert [question for question, _ in asked] == [one.question for one in ITEMS[period]]


@pytest.mark.parametrize("guide", GUIDES)
def test_every_message_that_is_quoted_is_said(guide: Path) -> None:
    """Words in backticks are those of a log line, an event's cause or a column."""
    said = sources("") + "".join(statements(guide))
    quoted = {text for text in code(guide) if re.fullmatch(r"[a-z]+( [a-z]+)+", text)}
    assert {"every balancer let go", "not migrated"} <= quoted
    assert {text for text in quoted if not text.startswith("make ") and text not in said} == set()


def sources(folder: str) -> str:
    """The program's text below `src`."""
    return "".join(path.read_text() for path in sorted((ROOT / "src" / folder).rglob("*.py")))


@pytest.mark.parametrize("guide", GUIDES)
def test_links_lead_to_files_and_headings(guide: Path) -> None:
    for link in links(guide):
        path, _, anchor = link.partition("#")
        assert (guide.parent / path).exists(), link
        if not path:
            assert anchor in anchors(guide), link


def test_every_statement_runs(stack: dict[str, Any], environ: dict[str, str]) -> None:
    with own_database(stack, environ) as settings:
        ask(settings, SAMPLE)
        for statement in statements(ENGLISH):
            ask(settings, statement)


def test_the_drains_of_a_day_tell_what_was_cut(
    stack: dict[str, Any], environ: dict[str, str]
) -> None:
    (drains,) = [text for text in statements(ENGLISH) if "AS outcome" in text]
    with own_database(stack, environ) as settings:
        ask(settings, SAMPLE)
        outcomes = {row["outcome"] for row in ask(settings, drains)}
    assert outcomes == {"SIGTERM; 1 request cut at the limit"}


def test_both_languages_say_the_same() -> None:
    assert [depth for depth, _ in headings(KOREAN)] == [depth for depth, _ in headings(ENGLISH)]
    assert sorted(commands(KOREAN)) == sorted(commands(ENGLISH))
    assert statements(KOREAN) == statements(ENGLISH)
    for languages in (("sh",), ("json",), ("promql",)):
        assert blocks(KOREAN, *languages) == blocks(ENGLISH, *languages)
    for found in (tables, variables_in_order):
        assert found(KOREAN) == found(ENGLISH)


def test_both_languages_give_the_same_numbers() -> None:
    """Korean writes out `a second` and the like as a number, and nothing the other way round."""
    for english, korean in zip(sections(ENGLISH), sections(KOREAN), strict=True):
        assert numbers(english) - numbers(korean) == Counter(), english.partition("\n")[0]


def sections(guide: Path) -> list[str]:
    """The text below each heading, which comes first."""
    return re.split(r"^#+ ", guide.read_text(), flags=re.M)


def numbers(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d+(?:[.,]\d+)*", text))


def tables(guide: Path) -> list[int]:
    """The number of cells of each row: nothing is left out."""
    rows = [line for line in guide.read_text().splitlines() if line.startswith("|")]
    return [len(re.findall(r"(?<!\\)\|", row)) for row in rows]


def variables_in_order(guide: Path) -> list[str]:
    """Sorted, because languages order their sentences differently."""
    return sorted(VARIABLE.findall(guide.read_text()))
