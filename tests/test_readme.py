"""The first session of the README is run as it stands there."""

import re
import subprocess
from pathlib import Path

from tests.service import Service, jpeg

ROOT = Path(__file__).parent.parent


def test_the_first_session_works(service: Service, tmp_path: Path) -> None:
    script = re.search(
        r"## A first session\n\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S
    )
    assert script is not None
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script[1]],
        cwd=tmp_path,
        env={"PATH": service.environ["PATH"], "API": f"{service.url}/api"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"album_name":"Dokdo"' in done.stdout
    assert (tmp_path / "thumbnail.webp").stat().st_size > 0


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs/decisions"
    listed = set(re.findall(r"\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text()))
    assert listed == {path.name for path in folder.glob("0*.md")}


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_the_map_is_the_tree() -> None:
    """Every package, every room of one, and the modules beside its rooms; nothing else."""
    drawn = MAP.search((ROOT / "README.md").read_text())
    assert drawn is not None
    assert mapped(drawn[1]) == tree(ROOT / "src") | {"self_test/", "web/"}
    assert (ROOT / "self_test").is_dir()


MAP = re.compile(r"```\n(src/photo_api/.*?)```", re.S)
NAMES = 40
"""Columns of the map's names; behind them it says what is there."""


def mapped(text: str) -> set[str]:
    """Paths below `src` that the map names, each in the folder that is indented less."""
    found, above = set(), [""]
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = line[:NAMES].removeprefix("src/").split()
        assert names, line
        paths = [above[depth] + name for name in names]
        above[depth + 1 :] = [paths[-1]]
        found.update(paths)
    return found


def tree(folder: Path) -> set[str]:
    """Packages at every depth, with a slash, and the modules of those packages of `src` that have
    rooms."""
    rooms = {file.parent for file in folder.rglob("__init__.py")}
    found = {f"{room.relative_to(folder).as_posix()}/" for room in rooms}
    for package in (room for room in rooms if room.parent == folder):
        if any(room.parent == package for room in rooms):
            modules = {file for file in package.glob("*.py") if file.name != "__init__.py"}
            found |= {module.relative_to(folder).as_posix() for module in modules}
    return found
