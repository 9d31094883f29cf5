"""What documents, messages and comments name is there: the targets of make, and files."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAKEFILE = ROOT / "Makefile"
IN_PROSE = re.compile(r"`make ([a-z][a-z-]*)")
IN_CODE = re.compile(r"^\s*(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)", re.M)
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
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    texts = {".md", ".py", ".toml", ".txt", ".html", ".lua", ""}
    files = [ROOT / name for name in listed]
    return [file for file in files if file.suffix in texts and file.is_file()]


def named_in(file: Path) -> set[str]:
    """Targets in backticks, and in the code blocks of documents."""
    text = file.read_text(errors="replace")
    blocks = "".join(BLOCK.findall(text)) if file.suffix == ".md" else ""
    return {*IN_PROSE.findall(text), *IN_CODE.findall(blocks)}
