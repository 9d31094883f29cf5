"""The gallery's built files, read once for a worker: about 300 kB. All of one build, or none."""

import json
import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

log = logging.getLogger(__name__)

PAGE = "/index.html"
MANIFEST = "/.vite/manifest.json"
"""In which Vite says what each source has become."""
SHARE = "src/share.ts"
SUMS = ".sums"
"""What `sha256sum` says of all files of the build."""
PAUSES = (0.2, 0.4, 0.8, 0.0)
"""Seconds for `scripts/gallery`, which may just now put another build in place of this one."""
IMMUTABLE = "public, max-age=31536000, immutable"
"""For files that are named after what is in them."""
LOOK_AGAIN = "no-cache"

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".webmanifest": "application/manifest+json; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".png": "image/png",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""Of all that a build makes. Python's own table reads the machine's, which takes a start 10 ms."""

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


class NotWhole(Exception):
    """What is there is no build, or none that this release can serve; the text says why."""


def read_built(folder: Path | None = None) -> dict[str, BuiltFile]:
    """By the paths under which they are served; empty, and the log says why, where no whole build
    is."""
    folder = folder or Path(str(files("photo_api.gallery").joinpath("built")))
    problem = ""
    for pause in PAUSES:
        try:
            return _whole(folder)
        except (NotWhole, OSError) as error:
            problem = str(error)
        time.sleep(pause)
    log.warning("there is no gallery, only the API; mend it with: make gallery: %s", problem)
    return {}


def share_files(built: Mapping[str, BuiltFile]) -> tuple[str, str]:
    """The addresses of the style and the script of share pages. Raises `NotWhole`."""
    try:
        entry = json.loads(built[MANIFEST].plain)[SHARE]
        style, script = f"/{entry['css'][0]}", f"/{entry['file']}"
    except (ValueError, LookupError, TypeError) as error:
        raise NotWhole(f"{MANIFEST[1:]} does not say what {SHARE} has become") from error
    if not {style, script} <= built.keys():
        raise NotWhole(f"{SHARE} has become files that are not there")
    return style, script


def _whole(folder: Path) -> dict[str, BuiltFile]:
    if not folder.is_dir():
        raise NotWhole("nothing has been built")
    lines = folder.joinpath(SUMS).read_text().splitlines()
    wanted = {name.removeprefix("./"): told for told, _, name in (x.partition("  ") for x in lines)}
    found = dict(_walk(str(folder), ""))
    sums = {name: sha256(body).hexdigest() for name, body in found.items()}
    if wrong := sorted(dict(sums.items() ^ wanted.items())):
        raise NotWhole(f"{wrong[0]} is not as it was built ({len(wrong)} files in all)")
    built = {
        f"/{name}": _file(name, sums[name], found)
        for name in found
        if not name.endswith(tuple(ENCODINGS.values()))
    }
    if PAGE not in built:
        raise NotWhole(f"there is no {PAGE[1:]}")
    share_files(built)
    return built


def _walk(folder: str, below: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    with os.scandir(folder) as items:
        for item in items:
            if item.is_dir():
                found += _walk(item.path, f"{below}{item.name}/")
            elif not item.name.startswith("."):
                with open(item.path, "rb", buffering=0) as file:
                    found.append((below + item.name, file.readall()))
    return found


def _file(name: str, told: str, all_files: Mapping[str, bytes]) -> BuiltFile:
    """`told` is the sum of its bytes."""
    return BuiltFile(
        plain=all_files[name],
        encoded={
            coding: all_files[name + suffix]
            for coding, suffix in ENCODINGS.items()
            if name + suffix in all_files
        },
        media_type=MEDIA_TYPES.get(os.path.splitext(name)[1], "application/octet-stream"),
        cache_control=IMMUTABLE if name.startswith("assets/") else LOOK_AGAIN,
        etag=f'"{told[:20]}"',
    )
