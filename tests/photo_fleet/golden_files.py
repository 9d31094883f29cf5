"""Exact text: rendered files against those in `golden/`. UPDATE_GOLDEN=1 writes them anew, for a
reader to look at in the diff."""

import os
from collections.abc import Mapping
from pathlib import Path

GOLDEN = Path(__file__).with_name("golden")


def assert_golden(folder: str, rendered: Mapping[str, str]) -> None:
    """The files of `golden/<folder>` are exactly those of `rendered`."""
    kept = GOLDEN / folder
    if os.environ.get("UPDATE_GOLDEN") == "1":
        kept.mkdir(parents=True, exist_ok=True)
        for path in kept.iterdir():
            path.unlink()
        for name, text in rendered.items():
            (kept / name).write_text(text)
    assert sorted(path.name for path in kept.iterdir()) == sorted(rendered)
    for name, text in rendered.items():
        assert text == (kept / name).read_text(), f"{name} differs from {kept / name}"
