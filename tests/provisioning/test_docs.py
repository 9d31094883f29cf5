"""docs/storage.md tells of all that is looked at and tried."""

import re
from pathlib import Path

from photo_api.provisioning.proof.proving import ATTACKS

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/storage.md"


def rows(heading: str) -> set[str]:
    """Codes in the first column of the section's tables."""
    section = GUIDE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {
        code
        for line in section.splitlines()
        if line.startswith("| `")
        for code in re.findall(r"`([^`]+)`", line.split("|")[1])
    }


def test_every_attack_is_told_of() -> None:
    assert rows("Prove it") == {attack.code for attack in ATTACKS}


def test_every_code_is_told_of() -> None:
    sources = (ROOT / "src/photo_api/provisioning").glob("*.py")
    text = "\n".join(path.read_text() for path in sources)
    codes = set(re.findall(r'Finding\(\s*"([a-z-]+)"', text))
    codes |= set(re.findall(r'unless_unknown\("([a-z-]+)"', text))
    states = {"ok", "left", "made", "planned", "warn", "wrong", "unknown"}
    assert rows("Set up, and look") == codes | states
