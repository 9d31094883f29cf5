"""The database's address, from an argument, a variable or a file whose text may change."""

import logging
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

VARIABLE = "PHOTO_FLEET_DATABASE_URL"

log = logging.getLogger(__name__)


class Unusable(Exception):
    """The command cannot start as it is called; the text says what to change."""


class DatabaseAddress:
    """Gives the address for a new connection: what the file holds now, or held when it could last
    be used. Raises `Unusable` when it cannot be from the start."""

    def __init__(self, given: str | None, environ: Mapping[str, str]) -> None:
        self._given = given
        self._environ = environ
        self._url = _address(given, environ)
        self._told = ""

    def __call__(self) -> str:
        try:
            self._url, self._told = _address(self._given, self._environ), ""
        except Unusable as problem:
            if str(problem) != self._told:
                self._told = str(problem)
                log.warning("the database's address stays as it was: %s", problem)
        return self._url


def _address(given: str | None, environ: Mapping[str, str]) -> str:
    file = environ.get(f"{VARIABLE}_FILE")
    if given is None and file is not None:
        if environ.get(VARIABLE):
            raise Unusable(f"set only one of {VARIABLE} and {VARIABLE}_FILE")
        try:
            given = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise Unusable(f"{VARIABLE}_FILE: {file} cannot be read: {reason}") from None
    url = given if given is not None else environ.get(VARIABLE, "")
    if not url:
        raise Unusable(
            f"the registry's database is not named: set {VARIABLE} or {VARIABLE}_FILE, with the"
            " role that `photo-fleet role` creates"
        )
    if urlsplit(url).scheme not in ("postgresql", "postgres"):
        raise Unusable("the database's address must read postgresql://user:password@host:5432/name")
    return url
