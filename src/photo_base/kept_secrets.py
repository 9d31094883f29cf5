"""Random secrets in one file, made at the first start and kept."""

import json
import secrets
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from photo_base.processes import CannotStart, write
from photo_base.whole_file import PRIVATE

Kept = TypeVar("Kept")


def load_or_create(kind: type[Kept], path: Path, remedy: str) -> Kept:
    """What is in `path` for each field of the dataclass `kind`; a missing file is made with mode
    0600, of 64 hexadecimal digits each, from 32 random bytes.

    Raises `CannotStart`, which ends with `remedy`, when the file cannot be used: things depend on
    it, so it is never replaced.
    """
    names = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    try:
        stored = json.loads(path.read_text())
        kept = {name: _checked(name, stored[name]) for name in names}
    except FileNotFoundError:
        kept = {name: secrets.token_hex(32) for name in names}
        write(path, json.dumps(kept, indent=2) + "\n", PRIVATE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise CannotStart(f"{path} cannot be used ({why}); {remedy}") from None
    return kind(**kept)


def _checked(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) < 32:
        raise ValueError(f"{name} is too short")
    return value
