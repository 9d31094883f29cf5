"""The random secrets of one data directory, made at its first start and kept."""

import json
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from photo_base.processes import CannotStart, write
from photo_base.whole_file import PRIVATE


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """All of them; each is 64 hexadecimal digits, made from 32 random bytes."""

    database_password: str
    s3_access_key: str
    s3_secret_key: str
    jwt_key: str
    secret_key: str


def load_or_create(path: Path) -> Secrets:
    """The secrets in `path`, which is created with mode 600 if it is missing.

    Raises `CannotStart` when the file cannot be used: it opens the data beside it, so it is
    never replaced.
    """
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        made = Secrets(*(secrets.token_hex(32) for _ in fields(Secrets)))
        write(path, json.dumps(asdict(made), indent=2) + "\n", PRIVATE)
        return made
    except (OSError, ValueError) as error:
        raise _unusable(path, str(error)) from None
    names = [item.name for item in fields(Secrets)]
    if not isinstance(stored, dict):
        raise _unusable(path, "it holds no object")
    for name in names:
        if not isinstance(stored.get(name), str) or len(stored[name]) < 32:
            raise _unusable(path, f"{name} is missing")
    return Secrets(**{name: stored[name] for name in names})


def _unusable(path: Path, why: str) -> CannotStart:
    return CannotStart(
        f"{path} cannot be used ({why}); the database beside it opens only with the password in"
        f" it, so put back a copy of the file, or move {path.parent} away to begin anew"
    )
