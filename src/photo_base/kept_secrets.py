"""Random secrets in one file, made at the first start and kept."""

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from photo_base.processes import CannotStart, write
from photo_base.whole_file import PRIVATE

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kept = TypeVar("Kept", bound="DataclassInstance")


def load_or_create(kind: type[Kept], path: Path, remedy: str) -> Kept:
    """What is in `path` for each field of the dataclass `kind`; a missing file is made with mode
    0600, of 64 hexadecimal digits each, from 32 random bytes.

    Raises `CannotStart`, which ends with `remedy`, when the file cannot be used: things depend on
    it, so it is never replaced.
    """
    make: Callable[..., Kept] = kind
    names = [item.name for item in fields(kind)]
    try:
        stored = json.loads(path.read_text())
        return make(*(_checked(name, stored[name]) for name in names))
    except FileNotFoundError:
        made = make(*(secrets.token_hex(32) for _ in names))
        write(path, json.dumps(asdict(made), indent=2) + "\n", PRIVATE)
        return made
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise CannotStart(f"{path} cannot be used ({why}); {remedy}") from None


def _checked(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) < 32:
        raise ValueError(f"{name} is too short")
    return value
