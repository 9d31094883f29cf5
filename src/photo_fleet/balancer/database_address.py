"""The database's address, from an argument, a variable or a file whose text may change."""

import logging
from collections.abc import Mapping

from photo_base.environment import Variable, database_url, read

PREFIX = "PHOTO_FLEET_"
DATABASE_URL = Variable(
    "DATABASE_URL",
    "the registry's database, with the role that `photo-fleet role` creates, as"
    " postgresql://user:password@host:5432/name (or PHOTO_FLEET_DATABASE_URL_FILE: a file with it)",
    default=None,
    parse=database_url,
    secret=True,
)
OPTION = "--database-url"
VARIABLE = PREFIX + DATABASE_URL.name

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
    problems: list[str] = []
    if given is not None:
        environ = {VARIABLE: given}
    url: str = read(DATABASE_URL, environ, problems, PREFIX)
    if problems:
        raise Unusable(problems[0] if given is None else problems[0].replace(VARIABLE, OPTION, 1))
    return url
