"""A folder of rendered files: compared and written, and nothing else in it is touched.

A manifest in the folder lists the files that are ours. It is written before them with all that is
about to be written, so that a run that breaks off leaves no file of which nobody knows.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

MANIFEST = ".photo-fleet.json"

READABLE, OWN = 0o644, 0o600


class FolderError(Exception):
    """The folder cannot be used as it is; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Differences:
    """Relative paths. `stale` are files of an earlier run that the spec no longer gives, `kept`
    those of them that somebody has changed since: they stay."""

    new: list[str]
    changed: list[str]
    stale: list[str]
    kept: list[str]

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.stale)


def compare(folder: Path, files: Mapping[str, str]) -> Differences:
    """What `write` would do. Raises FolderError."""
    ours = _read_manifest(folder)
    new, changed = [], []
    for path, text in files.items():
        found = _read(folder / path)
        if found is None:
            new.append(path)
        elif found != text.encode():
            if path not in ours:
                raise FolderError(
                    f"{folder / path} is there already and was not written by this command: move"
                    " it away, or render into another folder"
                )
            changed.append(path)
    left = [(path, _read(folder / path)) for path in sorted(ours.keys() - files.keys())]
    there = [(path, _digest(found)) for path, found in left if found is not None]
    return Differences(
        new,
        changed,
        stale=[path for path, digest in there if digest == ours[path]],
        kept=[path for path, digest in there if digest != ours[path]],
    )


def write(folder: Path, files: Mapping[str, str]) -> Differences:
    """Make the folder as `files` say; what was done. Each file is replaced as a whole, and none
    before all new ones are on the disk. Raises FolderError."""
    differences = compare(folder, files)
    digests = {path: _digest(text.encode()) for path, text in files.items()}
    manifest = _manifest(digests)
    if not differences and _read(folder / MANIFEST) == manifest:
        return differences
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder, {MANIFEST: _manifest(_read_manifest(folder) | digests)})
        _replace(
            folder, {path: files[path].encode() for path in differences.new + differences.changed}
        )
        for path in differences.stale:
            _remove(folder, path)
        _replace(folder, {MANIFEST: manifest})
    except OSError as error:
        raise FolderError(f"{error.filename or folder}: {error.strerror}") from error
    return differences


def mode_of(path: str) -> int:
    """An environment file may get a secret by a later hand."""
    return OWN if path.endswith(".env") else READABLE


def _replace(folder: Path, contents: Mapping[str, bytes]) -> None:
    written: list[tuple[str, Path]] = []
    try:
        for path, content in contents.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".rendered-", dir=place.parent)
            written.append((name, place))
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), mode_of(path))
                os.fsync(file.fileno())
        for name, place in written:
            Path(name).replace(place)
    finally:
        for name, _ in written:
            Path(name).unlink(missing_ok=True)


def _remove(folder: Path, path: str) -> None:
    (folder / path).unlink(missing_ok=True)
    for parent in list(PurePosixPath(path).parents)[:-1]:
        with suppress(OSError):  # somebody else's files are in it
            (folder / parent).rmdir()


def _read(path: Path) -> bytes | None:
    try:
        if path.exists() and not path.is_file():
            raise FolderError(f"{path} is no file: move it away, or render into another folder")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FolderError(f"{path}: {error.strerror}") from error


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def _manifest(digests: Mapping[str, str]) -> bytes:
    return (json.dumps({"files": dict(sorted(digests.items()))}, indent=1) + "\n").encode()


def _read_manifest(folder: Path) -> dict[str, str]:
    """Paths and digests of what an earlier run wrote; only paths below the folder count."""
    text = _read(folder / MANIFEST)
    if text is None:
        return {}
    try:
        files = json.loads(text)["files"]
        return {str(path): str(digest) for path, digest in files.items() if _is_below(str(path))}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FolderError(
            f"{folder / MANIFEST} cannot be read, so that nobody knows which files are rendered:"
            " render into an empty folder"
        ) from error


def _is_below(path: str) -> bool:
    return not path.startswith("/") and ".." not in PurePosixPath(path).parts
