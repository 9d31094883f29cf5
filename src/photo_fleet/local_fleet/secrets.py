"""What all instances of one local fleet must share and nobody else may know."""

import json
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from photo_base.processes import CannotStart, write
from photo_base.whole_file import PRIVATE


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Each is 64 hexadecimal digits, made from 32 random bytes."""

    jwt_key: str
    secret_key: str
    ops_token: str


def load_or_create(path: Path) -> Secrets:
    """The secrets in `path`, which is made with mode 0600 at the first start.

    Raises `CannotStart` when the file cannot be used: tokens and share links depend on it, so it is
    never replaced.
    """
    try:
        stored = json.loads(path.read_text())
        return Secrets(**{item.name: _checked(stored[item.name]) for item in fields(Secrets)})
    except FileNotFoundError:
        made = Secrets(*(secrets.token_hex(32) for _ in fields(Secrets)))
        write(path, json.dumps(asdict(made), indent=2) + "\n", PRIVATE)
        return made
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotStart(
            f"{path} cannot be used ({type(error).__name__}); put back a copy of it, or move it"
            " away, which invalidates all tokens and share links"
        ) from None


def _checked(value: object) -> str:
    if not isinstance(value, str) or len(value) < 32:
        raise ValueError("too short")
    return value
