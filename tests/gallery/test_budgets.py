"""How much of the page comes over the network before anything is seen, and for the viewer."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from photo_api.gallery.built_files import MANIFEST, PAGE, read_built

KIB = 1024
FIRST, VIEWER = 45 * KIB, 25 * KIB
"""Of scripts, as gzip leaves them."""
SHARED = 2 * KIB
"""The script and the style of a shared page, which is whole without."""

SHARE, SHOWS = "src/share.ts", "src/viewer/show.ts"
TEXTS = ("src/i18n/first.en.ts", "src/i18n/first.ko.ts")


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(read_built()[MANIFEST].plain)
    return told


def needed(manifest: dict[str, Any], entry: str) -> Iterator[str]:
    """The entry, and what it imports at once, and so on."""
    yield entry
    for imported in manifest[entry].get("imports", ()):
        yield from needed(manifest, imported)


def weight(manifest: dict[str, Any], entries: set[str], ending: str = ".js") -> int:
    built = read_built()
    files = {manifest[entry]["file"] for entry in entries}
    files |= {style for entry in entries for style in manifest[entry].get("css", ())}
    return sum(len(built[f"/{f}"].encoded["gzip"]) for f in files if f.endswith(ending))


def first_of(manifest: dict[str, Any]) -> set[str]:
    """What the page names, and what that needs."""
    named = re.findall(r'<script [^>]*src="/(assets/[^"]+)"', read_built()[PAGE].plain.decode())
    entries = [key for key, chunk in manifest.items() if chunk["file"] in named]
    assert len(entries) == len(named) == 1
    return set(needed(manifest, entries[0]))


def test_the_first_script_is_small(manifest: dict[str, Any]) -> None:
    first = first_of(manifest)
    texts = max(weight(manifest, {one}) for one in TEXTS)
    assert weight(manifest, first) + texts <= FIRST


def test_the_viewer_comes_when_it_is_wanted_and_is_small(manifest: dict[str, Any]) -> None:
    first = first_of(manifest)
    viewer = set(needed(manifest, SHOWS)) - first
    assert SHOWS in viewer
    assert weight(manifest, viewer) <= VIEWER


def test_a_shared_page_needs_next_to_nothing(manifest: dict[str, Any]) -> None:
    assert weight(manifest, {SHARE}) + weight(manifest, {SHARE}, ".css") <= SHARED
