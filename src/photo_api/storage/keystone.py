"""Tokens of OpenStack's identity service, by keystoneauth1, which is synchronous and takes a tenth
of a second to import: in a thread, and only where Swift is configured."""

import asyncio
import os
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import requests
from keystoneauth1.access import AccessInfo
from keystoneauth1.exceptions import ClientException, Unauthorized
from keystoneauth1.identity import v2, v3
from keystoneauth1.session import Session
from requests.adapters import HTTPAdapter

from photo_api.storage.base import StoreRefused, StoreUnavailable
from photo_api.storage.tokens import Token
from photo_base.proxies import proxy_of

TIMEOUT = 5.0
"""Seconds that a connection, and then each piece of an answer, may take."""

AT_ONCE = 2
"""Threads; one of them may be held by a service that never ends its answer."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose tokens they are. `auth_url` ends in /v2.0 or /v3, `project` is an id (a tenant's in
    version 2.0), `domain` the id of the user's domain, which version 3 alone has."""

    auth_url: str
    user: str
    password: str = field(repr=False)
    project: str
    domain: str = "default"
    authorities: str = ""


class Keystone:
    """Asks for the account's tokens, in threads of its own."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._threads = ThreadPoolExecutor(AT_ONCE, "keystone")

    def use(self, password: str) -> bool:
        """Ask with this password from now on; whether it is another."""
        changed = password != self._account.password
        self._account = replace(self._account, password=password)
        return changed

    async def fetch(self) -> Token:
        """A new token. Raises `StoreRefused`, `StoreUnavailable`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, fetch_token, self._account)

    def close(self) -> None:
        """What is asked for is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def fetch_token(account: Account) -> Token:
    """Ask for a new one. Blocks. Raises `StoreRefused` when user or password are wrong, and
    `StoreUnavailable`; neither quotes the answer."""
    with _translated():
        return _token(_access(account))


def look_at(account: Account) -> tuple[Token, list[str]]:
    """The same, and the addresses of object stores in the catalogue that comes with it."""
    with _translated():
        access = _access(account)
        found = access.service_catalog.get_endpoints_data(service_type="object-store")
        urls = [str(one.url) for several in found.values() for one in several if one.url]
        return _token(access), urls


def _access(account: Account) -> AccessInfo:
    access: AccessInfo = _plugin(account).get_access(_session(account))
    return access


def _token(access: AccessInfo) -> Token:
    if not access.auth_token:
        raise StoreUnavailable("Keystone gave no token")
    return Token(access.auth_token, _life(access))


@contextmanager
def _translated() -> Iterator[None]:
    """keystoneauth1's errors as the store's."""
    try:
        yield
    except Unauthorized:
        raise StoreRefused("Keystone refuses the user or the password (401)") from None
    except (ClientException, requests.RequestException, OSError) as error:
        told = getattr(error, "http_status", None) or type(error).__name__
        raise StoreUnavailable(f"Keystone gives no token ({told})") from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        kind = type(error).__name__
        raise StoreUnavailable(f"Keystone's answer is not one to go by ({kind})") from None


def _plugin(account: Account) -> Any:
    url, user, password, project = (
        account.auth_url,
        account.user,
        account.password,
        account.project,
    )
    if url.endswith("/v2.0"):
        return v2.Password(url, user, password, tenant_id=project)
    return v3.Password(
        url,
        username=user,
        password=password,
        user_domain_id=account.domain,
        project_id=project,
    )


def _session(account: Account) -> Session:
    """With the proxy and the authorities that requests to the store have: `requests` by itself
    reads others, and passwords from ~/.netrc."""
    own = requests.Session()
    own.trust_env = False
    if proxy := proxy_of(account.auth_url, os.environ):
        own.proxies = {"http": proxy, "https": proxy}
    own.mount("https://", _Trusting(account.authorities))
    return Session(session=own, timeout=TIMEOUT, redirect=False, collect_timing=False)


class _Trusting(HTTPAdapter):
    """Believes the system's authorities and these."""

    def __init__(self, authorities: str) -> None:
        self._context = ssl.create_default_context()
        if authorities:
            self._context.load_verify_locations(cadata=authorities)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **options)


def _life(access: AccessInfo) -> float:
    """By Keystone's own clock where it says when the token was issued."""
    if (expires := access.expires) is None:
        raise ValueError("no expiry")
    try:
        issued = access.issued
    except LookupError:  # which version 2.0 need not say
        issued = None
    began = issued.timestamp() if issued is not None else time.time()
    return expires.timestamp() - began
