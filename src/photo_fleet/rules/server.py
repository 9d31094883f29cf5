"""What a running server says of its configuration, held against the spec."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from photo_api.contract import HEALTH_PATH, METRICS_PATH
from photo_base.environment import PREFIX
from photo_fleet.rules.findings import Finding, Level
from photo_fleet.spec.changes import changed, told
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.kinds import is_number
from photo_fleet.spec.settings import settings

PATIENCE = 10.0
LONGEST_ANSWER = 1_000_000
ROUNDING = 0.00101
"""Seconds."""

LEVELS: Mapping[str, Level] = {"port": "warning"}
"""A server behind a translated port is no contradiction; any other difference is one."""

REPORTED = {
    "lame_duck": ("drain", "lame_duck", "PHOTO_API_LAME_DUCK"),
    "drain_wait": ("drain", "in_flight_wait", "PHOTO_API_DRAIN_WAIT"),
    "log_flush": ("drain", "log_flush", "PHOTO_API_LOG_FLUSH"),
    "grace": ("drain", "grace", "PHOTO_API_GRACE"),
    "keep_alive": ("service", "keep_alive", "PHOTO_API_KEEP_ALIVE"),
    "pool": ("service", "pool", "PHOTO_API_DATABASE_POOL"),
    "workers": ("service", "workers", "--workers"),
    "port": ("service", "port", "--port"),
}
"""Names of the server's report: table and key of the spec, and how the server is told."""


METRICS_ACCESS = f"{PREFIX}METRICS_ACCESS"


class ProbeError(Exception):
    """The server cannot be compared; the message says why and what to do."""


def reported(url: str, token: str) -> dict[str, Any]:
    """The `config` of the server at `url`, which only the operator's token opens. Raises
    `ProbeError`."""
    place = _place(url)

    async def ask() -> dict[str, Any]:
        async with as_operator(token) as client:
            return await detailed(client, place)

    config = asyncio.run(ask()).get("config")
    if not isinstance(config, dict):
        raise ProbeError(
            f"{place} answers, but tells its configuration to nobody with this PHOTO_API_OPS_TOKEN:"
            " set the one with which the server was started"
        )
    return config


def as_operator(token: str) -> httpx.AsyncClient:
    """A client that shows this token, if there is one. It follows no redirect: the token is for the
    server alone. No answer comes compressed, so that none grows beyond its bound."""
    headers = {"Accept-Encoding": "identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return httpx.AsyncClient(headers=headers, timeout=PATIENCE, trust_env=False)


async def detailed(client: httpx.AsyncClient, place: str) -> dict[str, Any]:
    """The body of `/health/detailed` of the server at `place`, scheme and all. Raises
    `ProbeError`."""
    status, content = await fetch(client, f"{place}{HEALTH_PATH}/detailed", LONGEST_ANSWER)
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict) or "status" not in body:
        raise ProbeError(
            f"{place}{HEALTH_PATH}/detailed answered {status} and not as the service"
            " does: is it the address of an instance?"
        )
    return body


async def fetch(client: httpx.AsyncClient, url: str, most: int) -> tuple[int, bytes]:
    """Status and body, of `most` bytes at most: a longer one counts as none. Raises
    `ProbeError`."""
    try:
        async with asyncio.timeout(PATIENCE), client.stream("GET", url) as answer:
            body = bytearray()
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > most:
                    return answer.status_code, b""
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
        place = url.partition("/health")[0]
        raise ProbeError(
            f"{place} does not answer ({type(error).__name__}): is it the address of an instance?"
        ) from error
    return answer.status_code, bytes(body)


def _place(url: str) -> str:
    """Scheme, host and port; a password in the address is neither sent nor shown."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # as the resolver will
    except ValueError as error:
        raise ProbeError("the address has no usable host or no usable port") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ProbeError(
            "--probe takes the http:// or https:// address of an instance, such as"
            " http://10.0.0.1:8000"
        )
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def compare(fleet: Fleet, config: Mapping[str, Any]) -> list[Finding]:
    """A finding for each number in which the server differs from the spec."""
    findings = []
    for name, (table, key, told_by) in REPORTED.items():
        expected = getattr(getattr(fleet, table), key)
        found = config.get(name)
        if not is_the_same(found, expected):
            difference = _difference(fleet, f"{table}.{key}", told_by, expected, found)
            findings.append(replace(difference, level=LEVELS.get(name, "error")))
    return [*findings, *_access_to_metrics(fleet, config)]


def is_the_same(found: Any, expected: float) -> bool:
    """Whether it is the spec's number, which was rounded to milliseconds on its way."""
    return is_number(found) and abs(found - expected) <= ROUNDING


def _access_to_metrics(fleet: Fleet, config: Mapping[str, Any]) -> Iterator[Finding]:
    wants_token = METRICS_ACCESS in settings(fleet)
    has_token = config.get("metrics_access") == "token"
    if wants_token == has_token:
        return
    yield Finding(
        "error" if wants_token else "warning",
        "server-metrics-access",
        f"the server {'wants' if has_token else 'does not want'} the operator's token for"
        f" {METRICS_PATH}; behind a balancer of kind {fleet.balancer.kind} it"
        f" {'should' if wants_token else 'need not'}",
        "whoever reaches the balancer reads the metrics"
        if wants_token
        else "Prometheus gets 401 unless it sends the token",
        f"start the server with {METRICS_ACCESS}={'token' if wants_token else 'network'}",
    )


def _difference(fleet: Fleet, key: str, told_by: str, expected: float, found: Any) -> Finding:
    code = "server-" + key.rpartition(".")[2].replace("_", "-")
    if not is_number(found):
        return Finding(
            "error",
            code,
            f"{key} is {expected:g} in the spec; the server does not report it",
            "nobody can tell whether the spec is true for this server",
            "compare with a server of the spec's release",
        )
    way = {key: type(expected)(found)}
    return Finding(
        "error",
        code,
        f"{key} is {expected:g} in the spec and {found:g} at the server",
        "what the spec promises does not hold for this server",
        f"start the server with {told_by} {expected:g}, or set {told(changed(fleet, way), way)}",
        (way,),
    )
