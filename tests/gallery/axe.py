"""What axe finds wrong for people who use a keyboard, a screen reader, or see less."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]

ASK = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    return violations.flatMap(({ id, nodes }) =>
        nodes.map(({ target, failureSummary }) => `${id}: ${target}: ${failureSummary}`));
}"""


@cache
def _source() -> str:
    file = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        # npm's packages come with whatever runs Node.
        subprocess.run([ROOT / "scripts" / "gallery", "node"], check=True, capture_output=True)
    return file.read_text()


def faults(page: Page) -> list[str]:
    """Of what the page shows now; by all of axe's rules, best practices too."""
    # As the debugger's own code, which the page's policy lets through and does not know of.
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_source())
    found: Any = page.evaluate(ASK)
    return list(found)
