"""Certificates that end, have ended, or are somebody else's: of real listeners."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.doctor.ages import certificate_due
from photo_fleet.doctor.finding import Finding, Unknown
from photo_fleet.doctor.looking import Rule, judge
from photo_fleet.doctor.looks import certificates
from photo_fleet.doctor.looks.certificates import CertificatesLook
from photo_fleet.doctor.looks.store import StoreLook, StorePlace
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer, Fleet, Service, Tls
from tests.certificates import Authority
from tests.service import free_port

RULES = (Rule("certificate-due", certificate_due),)
HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def believed(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of the system are."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))


async def listen(running: AsyncExitStack, pair: tuple[Path, Path]) -> str:
    """Show this certificate; the address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    server = await asyncio.start_server(lambda _, writer: writer.close(), HERE, 0, ssl=context)
    await running.enter_async_context(server)
    return f"https://{HERE}:{server.sockets[0].getsockname()[1]}"


async def judged(
    reach: Reach, seen: Mapping[type[Any], object] | None = None
) -> tuple[list[Finding], list[Unknown]]:
    before = Seen(reach.spec, time.time(), seen or {})
    look = await certificates.take(reach, before)
    return judge(Seen(reach.spec, time.time(), {CertificatesLook: look}), RULES)


def public(address: str) -> Reach:
    return Reach(Fleet(service=Service(public_url=address)), "fleet.toml")


@pytest.mark.usefixtures("believed")
@pytest.mark.parametrize(
    ("names", "days", "since", "level", "words"),
    [
        ((HERE,), 60, 30, None, ""),
        ((HERE,), 13, 80, "warning", "ends in 13 days, less than 14 days"),
        ((HERE,), 2.5, 80, "error", "ends in 2 days"),
        ((HERE,), 4, 3, None, ""),  # one that lives for a week
        ((HERE,), 1.9, 5, "error", "ends in 46 h"),
        ((HERE,), -1, 80, "error", "ended 24 h ago"),
        ((HERE,), 60, -5, "error", "is valid in 5 days only"),
        (("photos.example.org", "*.example.org"), 60, 30, "error", f"is not of {HERE}"),
    ],
)
async def test_what_the_public_address_shows(
    authority: Authority,
    names: tuple[str, ...],
    days: float,
    since: float,
    level: str | None,
    words: str,
) -> None:
    async with AsyncExitStack() as running:
        pair = authority.server(*names, days=days, since=since)
        findings, unknown = await judged(public(await listen(running, pair)))
    assert unknown == []
    assert [found.level for found in findings] == ([level] if level else [])
    for found in findings:
        assert words in found.evidence
        assert ", ".join(names) in found.evidence
        assert f"-servername {HERE}" in found.command


async def test_an_authority_that_this_host_does_not_know_is_no_finding(
    authority: Authority,
) -> None:
    """It may well be that of the fleet's clients; one that has ended is ill in any case."""
    async with AsyncExitStack() as running:
        address = await listen(running, authority.server(HERE, days=60, since=30))
        findings, [unknown] = await judged(public(address))
        assert findings == []
        assert "unable to get local issuer certificate" in unknown.reason
        ended = await listen(running, authority.server(HERE, days=-1, since=30))
        [found], _ = await judged(public(ended))
        assert "ended" in found.evidence


async def test_the_store_s_authority_is_the_spec_s(authority: Authority) -> None:
    async with AsyncExitStack() as running:
        address = await listen(running, authority.server(HERE, days=2, since=80))
        place = StorePlace(address, "photos", clients=True)
        spec = Fleet(service=Service(store=address, store_ca=str(authority.certificate)))
        [found], unknown = await judged(Reach(spec, "f"), {StoreLook: StoreLook((place,))})
        assert (found.level, unknown) == ("error", [])
        assert found.evidence.startswith(address)


@pytest.mark.usefixtures("believed")
async def test_nginx_goes_on_with_the_certificate_of_before(authority: Authority) -> None:
    """The file has been renewed, and nobody has reloaded it."""
    name = "photos.example.org"
    async with AsyncExitStack() as running:
        edge = await listen(running, authority.server(name, days=5, since=85))
        renewed, key = authority.server(name, days=90, since=0)
        spec = Fleet(
            service=Service(public_url=f"https://{name}.invalid"),
            balancer=Balancer(tls=Tls(str(renewed), str(key))),
        )
        spec = replace(spec, service=Service(), balancer=replace(spec.balancer, server_name=name))
        [found], unknown = await judged(Reach(spec, "f", edge=edge, places=Places()))
        assert (found.level, unknown) == ("warning", [])
        assert found.evidence.startswith("nginx of this host")
        assert "has a newer one: sudo systemctl reload" in found.fix


async def test_what_does_not_answer_or_is_no_tls_is_not_known(tmp_path: Path) -> None:
    findings, [unknown] = await judged(public(f"https://{HERE}:{free_port()}"))
    assert (findings, unknown.code) == ([], "certificate-due")
    assert "Connect" in unknown.reason
    plain = await asyncio.start_server(lambda _, writer: writer.write(b"hello\n" * 9), HERE, 0)
    async with plain:
        port = plain.sockets[0].getsockname()[1]
        findings, [unknown] = await judged(public(f"https://{HERE}:{port}"))
    assert findings == []
    nowhere = Fleet(balancer=Balancer(tls=Tls(str(tmp_path / "none.pem"), "/key")))
    findings, [unknown] = await judged(Reach(nowhere, "f", places=Places()))
    assert (findings, unknown.reason) == ([], f"{tmp_path}/none.pem: cannot be read here")


async def test_a_fleet_without_tls_has_none_to_be_looked_at() -> None:
    assert await judged(public("http://photos.example.org")) == ([], [])
