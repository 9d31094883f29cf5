"""The instance's own member in the pool of a cloud's load balancer: how it is taken out, and put
back.

Spoken is Neutron's LBaaS v2, as NHN Cloud documents it ("Network > Load Balancer > API v2 Guide":
Member, Pool, Load Balancer; "API v2 Preparations": tokens). Any change of a member has the balancer
start anew: sessions stay, and for under a second it takes no new one ("Console Guide").
"""

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request

from photo_api.cloud.keystone import Account, NoToken, Refused, sign_in
from photo_api.cloud.timely import open_within
from photo_api.settings.member import MemberSettings

TIMEOUT = 5.0
"""Seconds in which an answer must have come to its end."""
LONGEST_ANSWER = 1024 * 1024
"""Bytes of it; a member has 300."""
MOST_PAGES = 20
PAUSE = 0.5
"""Seconds between two looks."""
SETTLED = "ACTIVE"

_ID = re.compile("[A-Za-z0-9-]{1,64}")


class NotNow(Exception):
    """Nothing is known, or the balancer cannot be changed for the moment: look again."""


class NotAtAll(Exception):
    """It will not do, however often it is asked."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance listens, by which its member is found."""

    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the balancer has it; `up` is what its administrator wants."""

    id: str
    up: bool


class Pool:
    """One pool of the balancer, asked as the user of these settings. Blocks."""

    def __init__(self, settings: MemberSettings) -> None:
        self._network = f"{settings.network_url}/v2.0/lbaas"
        self._pool = f"pools/{settings.pool}"
        self._account = Account(
            auth_url=settings.auth_url,
            user=settings.user,
            password=settings.password,
            project=settings.project,
            domain=settings.domain,
            authorities=settings.authorities,
        )
        self._context = ssl.create_default_context()
        if settings.authorities:
            self._context.load_verify_locations(cadata=settings.authorities)
        self._token = ""

    def find(self, place: Place) -> list[Member]:
        """The members of this place: one, or none, or several that an operator has entered, as for
        two spellings of an address. Raises `NotNow`, `NotAtAll`."""
        query: dict[str, str] = {"address": place.address, "protocol_port": str(place.port)}
        found: list[Member] = []
        for _ in range(MOST_PAGES):
            answer = self._ask("GET", f"{self._pool}/members?{urlencode(query)}")
            with _as_documented():
                # A balancer that knows no filter tells of all.
                found += [_member(item) for item in answer["members"] if _is_at(item, place)]
                marker = _next_marker(answer)
            if not marker:
                return found
            query["marker"] = marker
        raise NotAtAll(f"the pool has more than {MOST_PAGES} pages of members")

    def change(self, member: Member, up: bool) -> None:
        """Ask for it; it takes effect later. Raises `NotNow`, `NotAtAll`."""
        body = {"member": {"admin_state_up": up}}
        self._ask("PUT", f"{self._pool}/members/{member.id}", body)

    def settled(self) -> bool:
        """Whether every balancer of the pool has done what it was asked for. Raises `NotNow`,
        `NotAtAll`."""
        answer = self._ask("GET", self._pool)
        with _as_documented():
            ids = [_id(item["id"]) for item in answer["pool"]["loadbalancers"]]
        for one in ids:
            answer = self._ask("GET", f"loadbalancers/{one}")
            with _as_documented():
                if answer["loadbalancer"]["provisioning_status"] != SETTLED:
                    return False
        return True

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"X-Auth-Token": self._signed_in(), "Accept": "application/json"}
        if data:
            headers["Content-Type"] = "application/json"
        asked = Request(f"{self._network}/{path}", data, headers, method=method)
        try:
            with open_within(asked, TIMEOUT, self._context) as opened:
                text = opened.read(LONGEST_ANSWER + 1)
        except HTTPError as error:
            with error:
                raise self._refusal(error.code) from None
        except (OSError, HTTPException) as error:
            cause = error.reason if isinstance(error, URLError) else error
            raise NotNow(f"the load balancer's API does not answer ({_kind(cause)})") from None
        if len(text) > LONGEST_ANSWER:
            raise NotAtAll(f"an answer of over {LONGEST_ANSWER} bytes")
        with _as_documented():
            return json.loads(text)

    def _signed_in(self) -> str:
        try:
            self._token = self._token or sign_in(self._account).token
        except Refused as error:
            raise NotAtAll(str(error)) from None
        except NoToken as error:
            raise NotNow(str(error)) from None
        return self._token

    def _refusal(self, status: int) -> Exception:
        if status == 401:  # void before its time: the next look has another
            self._token = ""
            return NotNow("the load balancer's API refuses the token (401)")
        if status == 409:
            return NotNow("the load balancer is being changed (409)")
        if status == 404:
            return NotNow("there is no such pool, or the member has just gone (404)")
        if status == 429 or status >= 500:
            return NotNow(f"the load balancer's API cannot ({status})")
        return NotAtAll(f"the load balancer's API refuses it ({status})")


def bring(
    pool: Pool, place: Place, *, up: bool, until: float, sleep: Callable[[float], None] = time.sleep
) -> Member | None:
    """Have the balancer send to this place, or nothing more; a member of it, or None where the
    balancer has none. What counts is what it says afterwards: an answer that was lost, and a change
    that waits for another, are seen at the next look. Raises `NotNow` when it is not so `until`, on
    the monotonic clock, and `NotAtAll`."""
    asked = False
    while True:
        try:
            members = pool.find(place)
            if not members:
                return None
            others = [member for member in members if member.up != up]
            if not others and pool.settled():
                return members[0]
            if others:
                pool.change(others[0], up)
                asked = True
            reason = "the load balancer has not done it yet" if asked else "it is being changed"
        except NotNow as error:
            reason = str(error)
        if time.monotonic() + PAUSE >= until:
            raise NotNow(reason)
        sleep(PAUSE)


@contextmanager
def _as_documented() -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        kind = type(error).__name__
        raise NotNow(f"the load balancer's answer is not one to go by ({kind})") from None


def _is_at(item: Mapping[str, Any], place: Place) -> bool:
    port = item["protocol_port"]
    if not isinstance(port, int):
        raise TypeError("protocol_port")
    return ip_address(item["address"]) == ip_address(place.address) and port == place.port


def _member(item: Mapping[str, Any]) -> Member:
    up = item["admin_state_up"]
    if not isinstance(up, bool):
        raise TypeError("admin_state_up")
    return Member(_id(item["id"]), up)


def _id(value: str) -> str:
    """It goes into an address."""
    if not _ID.fullmatch(value):
        raise ValueError("id")
    return value


def _next_marker(answer: Mapping[str, Any]) -> str:
    """Where the next page begins, by Neutron's link to it; empty at the end."""
    for link in answer.get("members_links", ()):
        if link["rel"] == "next":
            return str(parse_qs(urlsplit(link["href"]).query)["marker"][0])
    return ""


def _kind(error: object) -> str:
    return type(error).__name__
