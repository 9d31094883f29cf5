"""OpenStack's interfaces as a scale-in asks them, with an application credential, by keystoneauth1.

Keystone, "Application Credentials" (Identity API v3). Each request is made in a thread that nobody
waits for longer than `PATIENCE`; no answer is longer than `LONGEST_ANSWER`.
"""

import asyncio
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Literal

import requests
from keystoneauth1.exceptions import (
    ClientException,
    EmptyCatalog,
    EndpointNotFound,
    NotFound,
    Unauthorized,
)
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from requests.adapters import HTTPAdapter

from photo_base.environment import Variable, optional_authorities, read, text, url
from photo_base.log_lines import shown
from photo_base.tasks import beside
from photo_fleet.balancer.database_address import Unusable

PREFIX = "OS_"
"""As OpenStack's own clients read them."""

TIMEOUT, PATIENCE = 10.0, 30.0
"""Seconds between two bytes, and for a whole answer, a new token and a redirect included."""

READS = 3
"""Times that one thing is read before nothing is known of it."""

LONGEST_ANSWER = 16 * 1024 * 1024
"""Bytes: a stack of a thousand members lists its resources in three megabytes."""

Service = Literal["orchestration", "compute", "load-balancer"]


class NoAnswer(Exception):
    """What was asked may have been done or not: the state has to be looked at."""


class Busy(NoAnswer):
    """Refused for now (409): something of it is changing."""


class Missing(NoAnswer):
    """There is no such thing (404), or not any more: what is has to be looked at too."""


class Refused(Exception):
    """Not done, and asking again does not help."""


@dataclass(frozen=True, slots=True)
class Account:
    """An application credential and where it counts. `region` may be empty."""

    auth_url: str
    credential: str
    secret: str = field(repr=False)
    region: str = ""
    interface: str = "public"
    authorities: str = ""


VARIABLES = {
    "auth_url": Variable("AUTH_URL", "Keystone's address", None, url, False),
    "credential": Variable(
        "APPLICATION_CREDENTIAL_ID", "of the credential that may scale in", None, text, False
    ),
    "secret": Variable(
        "APPLICATION_CREDENTIAL_SECRET",
        "its secret (or OS_APPLICATION_CREDENTIAL_SECRET_FILE: a file with it)",
        None,
        text,
        True,
    ),
    "region": Variable("REGION_NAME", "region, where there are several", "", text, False),
    "interface": Variable("INTERFACE", "public, internal or admin", "public", text, False),
}
AUTHORITIES = Variable("CACERT", "PEM file of authorities", "", text, False)


def account_of(environ: Mapping[str, str]) -> Account:
    """By OpenStack's own variables. Raises `Unusable`, which names all that is wrong."""
    problems: list[str] = []
    values = {name: read(one, environ, problems, PREFIX) for name, one in VARIABLES.items()}
    values["authorities"] = read(AUTHORITIES, environ, problems, PREFIX)
    try:
        optional_authorities(values["authorities"])
    except ValueError as error:
        problems.append(f"{PREFIX}{AUTHORITIES.name} {error}")
    if problems:
        raise Unusable("; ".join(problems))
    return Account(**values)


@dataclass(frozen=True, slots=True)
class Answer:
    """`at` is when it was given, by the clock of who gave it."""

    body: Any
    at: datetime


class Cloud:
    """Asks as this account; it has one token at a time, and gets another when that is refused."""

    def __init__(self, account: Account) -> None:
        self._account = account
        own = requests.Session()
        own.auth = _as_it_is
        for scheme in ("http://", "https://"):
            own.mount(scheme, _BoundedAnswers())
        self._session = Session(
            v3.ApplicationCredential(
                account.auth_url,
                application_credential_id=account.credential,
                application_credential_secret=account.secret,
            ),
            session=own,
            verify=account.authorities or True,
            timeout=TIMEOUT,
        )

    async def get(self, service: Service, path: str) -> Answer:
        """Asked a few times. Raises `NoAnswer`, `Missing`, `Refused`."""
        for last in (*[False] * (READS - 1), True):
            try:
                return await self.ask(service, "GET", path)
            except NoAnswer as error:
                if last or isinstance(error, Missing):
                    raise
        raise AssertionError

    async def ask(
        self, service: Service, method: str, path: str, body: object | None = None
    ) -> Answer:
        """The same of any request. One that writes is never repeated here: after `NoAnswer` its
        caller looks at what is."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await beside(partial(self._ask, service, method, path, body), "openstack")
        except (TimeoutError, OSError) as error:
            raise NoAnswer(f"no answer from {service} ({type(error).__name__})") from None

    def _ask(self, service: Service, method: str, path: str, body: object | None) -> Answer:
        try:
            place = self._place(service)
            answer = self._session.request(
                place + path, method, json=body, authenticated=True, raise_exc=False, log=False
            )
        except (Unauthorized, NotFound) as error:  # 404: a credential that is gone
            raise Refused(
                f"Keystone refuses the application credential ({error.http_status}): see"
                " OS_AUTH_URL, OS_APPLICATION_CREDENTIAL_ID and its secret"
            ) from None
        except (ClientException, requests.RequestException, OSError) as error:
            raise NoAnswer(f"no answer from {service} ({type(error).__name__})") from None
        return _read(f"{service}: {method} {path}", answer)

    def _place(self, service: Service) -> str:
        account = self._account
        try:
            found = self._session.get_endpoint(
                service_type=service,
                interface=account.interface,
                region_name=account.region or None,
            )
        except (EndpointNotFound, EmptyCatalog):
            found = None
        if not found:
            raise Refused(
                f"Keystone's catalogue has no {service} with the interface"
                f" {account.interface!a} and the region {account.region or 'of any name'!a}:"
                " see OS_REGION_NAME and OS_INTERFACE"
            )
        # Octavia's has no version, or has the one that all its paths begin with.
        return (
            re.sub(r"/v2(\.0)?$", "", found.rstrip("/"))
            if service == "load-balancer"
            else found.rstrip("/")
        )


def _read(asked: str, answer: requests.Response) -> Answer:
    status = answer.status_code
    try:
        body = json.loads(answer.content) if answer.content else {}
    except (ValueError, RecursionError):
        body = {}
    if status == 404:
        raise Missing(f"{asked}: 404")
    told = f"{asked}: {status} {_words(body)}".rstrip()
    if status == 409:
        raise Busy(told)
    if status == 429 or status >= 500:
        raise NoAnswer(told)
    if status >= 300:
        raise Refused(told)
    if not isinstance(body, dict):
        raise NoAnswer(f"{asked}: an answer that is no object")
    return Answer(body, _moment(answer.headers.get("Date", "")))


def _words(body: Any) -> str:
    """Why, in the words of Octavia (`faultstring`), Heat (`error`) or Nova (by kind of fault)."""
    if not isinstance(body, dict):
        return ""
    inner = next((one for one in body.values() if isinstance(one, dict)), {})
    told = body.get("faultstring") or inner.get("message") or ""
    return shown(str(told)[:300])


def _moment(date: str) -> datetime:
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """In place of a password from ~/.netrc, which `requests` would look for."""
    return request


class _BoundedAnswers(HTTPAdapter):
    """`requests` reads answers of any length."""

    def send(
        self, request: requests.PreparedRequest, *places: Any, **how: Any
    ) -> requests.Response:
        """Raises `NoAnswer` for one that is too long."""
        how["stream"] = True
        answer = super().send(request, *places, **how)
        body = answer.raw.read(LONGEST_ANSWER + 1, decode_content=True)
        if len(body) > LONGEST_ANSWER:
            answer.raw.close()
            raise NoAnswer(f"an answer of over {LONGEST_ANSWER} bytes")
        answer.raw.release_conn()
        answer.raw = io.BytesIO(body)
        return answer
