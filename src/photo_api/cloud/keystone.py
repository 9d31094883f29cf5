"""Tokens of OpenStack's identity service, by keystoneauth1, which is synchronous and takes a tenth
of a second to import: in a thread, and only where something asks for them."""

import io
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request

import requests
from keystoneauth1.access import AccessInfo
from keystoneauth1.exceptions import ClientException, NotFound, Unauthorized
from keystoneauth1.identity import v2, v3
from keystoneauth1.session import Session
from requests.adapters import BaseAdapter

from photo_api.cloud.timely import open_within

TIMEOUT = 6.0
"""Seconds in which an answer must have come to its end."""

LONGEST_ANSWER = 1024 * 1024
"""Bytes of it; a catalogue of many services and regions has a tenth of that."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose tokens they are. `auth_url` ends in /v2.0 or /v3. `project` is an id, which version 2.0
    calls tenant, or `project_name` a name, in version 3 one of the domain `project_domain`;
    `domain` is the user's. Domains are ids. An application credential, its id and secret, has user
    and project of its own."""

    auth_url: str
    user: str = ""
    password: str = field(default="", repr=False)
    project: str = ""
    domain: str = "default"
    project_name: str = ""
    project_domain: str = "default"
    credential: tuple[str, str] = field(default=("", ""), repr=False)
    authorities: str = ""


class NoToken(Exception):
    """Keystone did not answer, or what it answers is no token. It is not quoted."""


class Refused(NoToken):
    """Keystone says that the account is not who it says."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a request shows, for `life` seconds from when it was issued, and the addresses that the
    catalogue has of the kind of service that was asked for."""

    token: str = field(repr=False)
    life: float
    addresses: tuple[str, ...] = ()


def sign_in(account: Account, service: str = "") -> SignedIn:
    """Ask for a new token, and for the addresses of a kind of service such as `object-store`.
    Blocks for no longer than `TIMEOUT` and a look-up of the address. Raises `NoToken`."""
    with _translated(account):
        carrier = _Carrier(account.authorities)
        access: AccessInfo = _plugin(account).get_access(_session(carrier))
        token = access.auth_token or ""
        if not re.fullmatch("[!-~]+", token):  # it goes into a header
            raise NoToken("Keystone gave no token")
        urls = _addresses(access, service) if service else ()
        return SignedIn(token, _life(access, carrier.answered_at), urls)


def _addresses(access: AccessInfo, service: str) -> tuple[str, ...]:
    found = access.service_catalog.get_endpoints_data(service_type=service)
    return tuple(str(one.url) for several in found.values() for one in several if one.url)


@contextmanager
def _translated(account: Account) -> Iterator[None]:
    """keystoneauth1's errors as ours."""
    try:
        yield
    except (Unauthorized, NotFound) as error:
        # Of version 3, which says 404 of a credential that is gone, and where it is not at all.
        who = "application credential" if account.credential[0] else "user or the password"
        if isinstance(error, NotFound) and not account.credential[0]:
            raise NoToken("Keystone is not at its address (404)") from None
        raise Refused(f"Keystone refuses the {who} ({error.http_status})") from None
    except (ClientException, requests.RequestException, HTTPException, OSError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        told = getattr(error, "http_status", None) or type(cause).__name__
        raise NoToken(f"Keystone gives no token ({told})") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        kind = type(error).__name__
        raise NoToken(f"Keystone's answer is not one to go by ({kind})") from None
    except RecursionError:
        raise NoToken("Keystone's answer is not one to go by (its depth)") from None


def _plugin(account: Account) -> Any:
    url, (credential, secret) = account.auth_url, account.credential
    if credential:
        return v3.ApplicationCredential(
            url, application_credential_id=credential, application_credential_secret=secret
        )
    user, password = account.user, account.password
    project, name = account.project or None, account.project_name or None
    if url.endswith("/v2.0"):
        return v2.Password(url, user, password, tenant_id=project, tenant_name=name)
    return v3.Password(
        url,
        username=user,
        password=password,
        user_domain_id=account.domain,
        project_id=project,
        project_name=name,
        project_domain_id=account.project_domain if name else None,
    )


def _session(carrier: "_Carrier") -> Session:
    own = requests.Session()
    own.trust_env = False  # or it takes passwords from ~/.netrc
    own.mount("http://", carrier)
    own.mount("https://", carrier)
    return Session(session=own, redirect=False, collect_timing=False)


class _Carrier(BaseAdapter):
    """Carries requests as those to the store are: by the same proxy, to whom the same authorities
    vouch for. An answer ends in time, and within a length: those of `requests` itself need not."""

    def __init__(self, authorities: str) -> None:
        super().__init__()
        self._context = ssl.create_default_context()
        if authorities:
            self._context.load_verify_locations(cadata=authorities)
        self.answered_at = time.time()
        """When the last answer was given, by the clock of who gave it, where that is told."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Raises OSError and HTTPException, and `NoToken` for an answer too long."""
        headers = {str(name): str(value) for name, value in request.headers.items()}
        sent = request.body
        body = sent.encode() if isinstance(sent, str) else sent if isinstance(sent, bytes) else None
        asked = Request(str(request.url), body, headers, method=request.method)
        try:
            with open_within(asked, TIMEOUT, self._context) as opened:
                return self._answer(request, opened)
        except HTTPError as error:
            with error:
                return self._answer(request, error)

    def _answer(self, request: requests.PreparedRequest, opened: Any) -> requests.Response:
        body = opened.read(LONGEST_ANSWER + 1)
        if len(body) > LONGEST_ANSWER:
            raise NoToken(f"Keystone: an answer of over {LONGEST_ANSWER} bytes")
        if date := opened.headers["Date"]:
            self.answered_at = parsedate_to_datetime(date).timestamp()
        answer = requests.Response()
        answer.status_code, answer.raw, answer.encoding = opened.status, io.BytesIO(body), "utf-8"
        answer.headers.update(opened.headers.items())
        answer.request, answer.url = request, str(request.url)
        return answer

    def close(self) -> None:
        """Nothing is kept."""


def _life(access: AccessInfo, answered_at: float) -> float:
    """By Keystone's own clock."""
    if (expires := access.expires) is None:
        raise ValueError("no expiry")
    try:
        issued = access.issued
    except LookupError:  # which version 2.0 need not say
        issued = None
    return expires.timestamp() - (issued.timestamp() if issued is not None else answered_at)
