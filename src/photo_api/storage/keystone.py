"""Tokens for the store, of OpenStack's identity service. What is wrong with them is the store's
failure to whoever needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from photo_api.cloud.keystone import Account, NoToken, Refused, sign_in
from photo_api.storage.base import SignInRefused, StoreUnavailable
from photo_api.storage.tokens import Token
from photo_base.tasks import beside


class Keystone:
    """Asks for the account's tokens, each time in a thread that nobody's end waits for."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def use(self, account: Account) -> bool:
        """Ask as this one from now on; whether it is another."""
        changed, self._account = account != self._account, account
        return changed

    async def fetch(self) -> Token:
        """A new token. Raises `StoreRefused`, `StoreUnavailable`."""
        try:
            return await beside(partial(fetch_token, self._account), "keystone")
        except OSError:
            raise StoreUnavailable("no thread can be started to ask Keystone in") from None


def fetch_token(account: Account) -> Token:
    """Ask for a new one. Blocks. Raises `StoreRefused` when it is not who it says, and
    `StoreUnavailable`; neither quotes the answer."""
    return look_at(account, "")[0]


def look_at(account: Account, service: str = "object-store") -> tuple[Token, list[str]]:
    """The same, and the addresses of object stores in the catalogue that comes with it."""
    with _translated():
        signed = sign_in(account, service)
    return Token(signed.token, signed.life), list(signed.addresses)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise SignInRefused(str(error)) from None
    except NoToken as error:
        raise StoreUnavailable(str(error)) from None
