"""The gallery's built files, read once for a worker: about 300 kB."""

import json
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

PAGE = "/index.html"
MANIFEST = "/.vite/manifest.json"
"""In which Vite says what each source has become."""
SHARE = "src/share.ts"
IMMUTABLE = "public, max-age=31536000, immutable"
"""For files that are named after what is in them."""
LOOK_AGAIN = "no-cache"

ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""Made beside each text at the build, the smallest first."""


REFUSED = re.compile(r";\s*q\s*=\s*0(?:\.0*)?\s*$")
"""The end of a coding's part of Accept-Encoding."""


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """One file; `encoded` by the content coding."""

    plain: bytes
    encoded: Mapping[str, bytes]
    media_type: str
    cache_control: str
    etag: str

    def best(self, accepted: str) -> tuple[bytes, str | None]:
        """The bytes for a client that sends this Accept-Encoding, and their coding."""
        offered = {
            part.partition(";")[0].strip().lower()
            for part in accepted.split(",")
            if not REFUSED.search(part)
        }
        for coding, body in self.encoded.items():
            if coding in offered:
                return body, coding
        return self.plain, None


def read_built(folder: Traversable | None = None) -> dict[str, BuiltFile]:
    """By the paths under which they are served; empty where nothing has been built."""
    folder = folder or files("photo_api.gallery").joinpath("built")
    found = dict(_walk(folder, "")) if folder.is_dir() else {}
    return {
        f"/{name}": _file(name, body, found)
        for name, body in found.items()
        if not name.endswith(tuple(ENCODINGS.values()))
    }


def share_files(built: Mapping[str, BuiltFile]) -> tuple[str, str]:
    """The addresses of the style and the script of share pages."""
    entry = json.loads(built[MANIFEST].plain)[SHARE]
    return f"/{entry['css'][0]}", f"/{entry['file']}"


def _walk(folder: Traversable, below: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _walk(item, f"{below}{item.name}/")
        elif not item.name.startswith("."):
            found.append((below + item.name, item.read_bytes()))
    return found


def _file(name: str, body: bytes, all_files: Mapping[str, bytes]) -> BuiltFile:
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if name.endswith(".webmanifest"):
        guessed = "application/manifest+json"
    text = guessed.startswith("text/") or guessed.endswith(("javascript", "json", "xml"))
    return BuiltFile(
        plain=body,
        encoded={
            coding: all_files[name + suffix]
            for coding, suffix in ENCODINGS.items()
            if name + suffix in all_files
        },
        media_type=f"{guessed}; charset=utf-8" if text else guessed,
        cache_control=IMMUTABLE if name.startswith("assets/") else LOOK_AGAIN,
        etag=f'"{sha256(body).hexdigest()[:20]}"',
    )
