"""What documents, messages and comments name is there: targets of make, files, names in them."""

import re
from pathlib import Path

import pytest

from tests.test_operations_docs import MAINS

ROOT = Path(__file__).parent.parent
MAKEFILE = ROOT / "Makefile"
IN_PROSE = re.compile(r"`make ([a-z][a-z-]*)")
IN_CODE = re.compile(r"^\s*(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", re.M)
PATH = re.compile(r"(?<![\w/])((?:src|tests|docs|examples|scripts|bench|self_test)/[\w./-]*\w/?)")
ONE_TEST = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")
NAME_IN_FILE = re.compile(r"`(\w+)`\s+(?:of|in)\s+`((?:src|tests)/[\w/]+\.py)`")
HEADLESS = re.compile(
    r"(?:^(?:[-*] )?|(?<=[.;:|] ))((?:Who|For who|Whoever|Whom)\b[^.?:|]*[.?:|])", re.M
)
COMMAND = re.compile(r"`(photo-api|photo-fleet) ([a-z][a-z-]*)")
HELPED = re.compile(r"^    ([a-z-]+)\b", re.M)
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.M | re.S)


def test_every_target_of_make_that_is_told_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE.read_text(), re.M))
    told = {
        (file.relative_to(ROOT).as_posix(), name) for file in told_of() for name in named_in(file)
    }
    assert {"run", "test", "fleet"} <= {name for _, name in told}
    assert [one for one in sorted(told) if one[1] not in targets] == []


def told_of() -> list[Path]:
    """Every file in which people read: documents, and programs with their messages."""
    texts = {".md", ".py", ".toml", ".txt", ".html", ".lua", ""}
    found = [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), MAKEFILE]
    for folder in ("docs", "src", "tests", "scripts", "bench", "examples"):
        found += [file for file in (ROOT / folder).rglob("*") if file.suffix in texts]
    return [file for file in found if file.is_file() and "golden" not in file.parts]


def named_in(file: Path) -> set[str]:
    """Targets in backticks, and in the code blocks of documents."""
    text = file.read_text(errors="replace")
    blocks = "".join(BLOCK.findall(text)) if file.suffix == ".md" else ""
    return {*IN_PROSE.findall(text), *IN_CODE.findall(blocks)}


def test_every_command_that_is_told_exists(capsys: pytest.CaptureFixture[str]) -> None:
    told = {
        (file.relative_to(ROOT).as_posix(), program, name)
        for file in told_of()
        for program, name in COMMAND.findall(file.read_text(errors="replace"))
    }
    assert len(told) > 50
    known = set()
    for program, main in MAINS.items():
        with pytest.raises(SystemExit):
            main(["--help"])
        known |= {(program, name) for name in HELPED.findall(capsys.readouterr().out)}
    assert [one for one in sorted(told) if one[1:] not in known] == []


def test_every_path_that_contributors_are_told_of_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    told = {name.rstrip("/") for name in PATH.findall(text)}
    assert len(told) > 40
    assert [name for name in sorted(told) if not (ROOT / name).exists()] == []


def test_every_test_and_name_that_contributors_are_told_of_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for file, name in ONE_TEST.findall(text):
        assert f"def {name}(" in (ROOT / file).read_text(), name
    for name, file in NAME_IN_FILE.findall(text):
        assert re.search(rf"^(?:def |class |async def )?{name}\b", (ROOT / file).read_text(), re.M)


def test_only_paths_of_the_repository_are_told() -> None:
    """A path that begins in the middle would not be checked."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    whole = set(PATH.findall(text))
    looks = set(re.findall(r"`([\w.-]+/[\w./-]+)`", text)) - {".venv/bin/photo-api"}
    assert looks - whole == set()


def test_documents_name_those_who_act() -> None:
    """Not 'Who needs it is refused', which leaves the reader to guess. Questions may begin so."""
    found = [
        f"{file.relative_to(ROOT)}: {sentence}"
        for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for sentence in HEADLESS.findall(BLOCK.sub("", file.read_text()))
        if not sentence.rstrip().endswith(("?", ":"))
    ]
    assert found == []


SECTION = re.compile(r"^(?=#+ )", re.M)
NAMED = re.compile(r"`([^`\n]+)`")


def test_what_is_found_and_kept_is_told_alike_in_both_languages() -> None:
    """Names, examples and tables of each section."""
    english, korean = (
        [told_alike(section) for section in SECTION.split((ROOT / page).read_text())]
        for page in ("docs/finding.md", "docs/ko/finding.md")
    )
    assert english == korean


def told_alike(section: str) -> tuple[int, list[str], set[str], list[int]]:
    """The depth of its heading, its examples, its names, and the cells of its rows."""
    blocks, text = BLOCK.findall(section), BLOCK.sub("", section)
    cells = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    return len(section) - len(section.lstrip("#")), blocks, set(NAMED.findall(text)), cells
