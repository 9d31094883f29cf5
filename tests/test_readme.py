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
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"
