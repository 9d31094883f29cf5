"""The certificates with which the fleet speaks TLS to its clients, and its store to it."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from photo_base.log_lines import one_line
from photo_fleet.balancer.metrics import expires
from photo_fleet.doctor.looks.servers import ServersLook
from photo_fleet.doctor.looks.store import StoreLook
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen

PATIENCE = 5.0
MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server at `place` (host and port) showed in a handshake for `name`. Times are epoch
    seconds. `fits`: it is one for that name (RFC 9525). `refused` says why a client with the
    system's authorities, and those that the spec names, does not believe it; empty when it does."""

    where: str
    place: str
    name: str
    names: tuple[str, ...]
    begins: float
    ends: float
    fits: bool
    refused: str = ""


@dataclass(frozen=True, slots=True)
class CertificatesLook:
    """`file_ends` is when the certificate in the file that the spec names ends, where this host has
    it. `unseen` says of addresses why nobody knows theirs."""

    shown: tuple[Shown, ...] = ()
    file: str = ""
    file_ends: float | None = None
    unseen: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked:
    """`name` is what is asked for at `host` and `port`, `authority` a PEM file besides the
    system's."""

    where: str
    host: str
    port: int
    name: str
    authority: str = ""


async def take(reach: Reach, seen: Seen) -> CertificatesLook:
    """Never raises: what was not to be seen stands in `unseen`."""
    asked = list(dict.fromkeys(_asked(reach, seen)))
    found = await asyncio.gather(*(_look(one) for one in asked))
    pairs = list(zip(asked, found, strict=True))
    file = reach.spec.balancer.tls.certificate if reach.places else ""
    ends = await asyncio.to_thread(expires, Path(file)) if file else None
    unseen = {one.where: told for one, told in pairs if isinstance(told, str)}
    if file and ends is None:
        unseen[file] = "cannot be read here"
    shown = tuple(told for told in found if isinstance(told, Shown))
    return CertificatesLook(shown, file, ends, unseen)


def _asked(reach: Reach, seen: Seen) -> Iterator[_Asked]:
    fleet = reach.spec
    public = _public_url(reach, seen)
    yield from _https(public, "")
    name = urlsplit(public).hostname or fleet.balancer.server_name.split()[0]
    if name != "_" and "*" not in name:
        for edge in _https(reach.edge, ""):
            yield _Asked(f"nginx of this host ({edge.where})", edge.host, edge.port, name)
    for address in _stores(seen):
        authority = fleet.service.store_ca
        yield from _https(address, authority if Path(authority).is_file() else "")


def _https(address: str, authority: str) -> Iterator[_Asked]:
    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme == "https" and parts.hostname:
            host, port = parts.hostname.encode("idna").decode(), parts.port or 443
            place = f"[{host}]" if ":" in host else host
            yield _Asked(f"https://{place}:{port}", host, port, host, authority)


def _public_url(reach: Reach, seen: Seen) -> str:
    if reach.spec.service.public_url:
        return reach.spec.service.public_url
    with suppress(Unseen):
        for server in seen.need(ServersLook).servers:
            if server.config and isinstance(told := server.config.get("public_url"), str) and told:
                return told[:500]
    return ""


def _stores(seen: Seen) -> list[str]:
    with suppress(Unseen):
        return [place.address for place in seen.need(StoreLook).places]
    return []


async def _look(asked: _Asked) -> Shown | str:
    """What it showed, or why nothing is known of it."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    try:
        certificate = x509.load_der_x509_certificate(await _handshake(asked, anybody))
        names = _names(certificate)
        return Shown(
            asked.where,
            f"[{asked.host}]:{asked.port}" if ":" in asked.host else f"{asked.host}:{asked.port}",
            asked.name,
            names[:MOST_NAMES],
            certificate.not_valid_before_utc.timestamp(),
            certificate.not_valid_after_utc.timestamp(),
            any(_is_of(name, asked.name) for name in names),
            await _refusal(asked),
        )
    except TimeoutError:
        return f"no answer within {PATIENCE:g} s"
    except (OSError, ValueError) as error:
        return one_line(error.strerror if isinstance(error, OSError) else error)[:200]


async def _refusal(asked: _Asked) -> str:
    believing = ssl.create_default_context()
    believing.check_hostname = False  # that is `fits`
    if asked.authority:
        believing.load_verify_locations(asked.authority)
    try:
        await _handshake(asked, believing)
    except ssl.SSLCertVerificationError as error:
        return one_line(error.verify_message)[:200]
    return ""


async def _handshake(asked: _Asked, context: ssl.SSLContext) -> bytes:
    """The server's own certificate, in DER. Raises `OSError`, `TimeoutError` among them."""
    async with asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection(
            asked.host, asked.port, ssl=context, server_hostname=asked.name
        )
    shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return shown or b""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Host names in Punycode and addresses, which clients compare; none of the subject's."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(one) for one in found.get_values_for_type(x509.IPAddress)]
    names = [*found.get_values_for_type(x509.DNSName), *addresses]
    return tuple(one_line(name)[:255] for name in names)


def _is_of(given: str, name: str) -> bool:
    """Whether a certificate's name is that of a host; `*` stands for its first label alone."""
    with suppress(ValueError):
        return ip_address(given) == ip_address(name)
    given, name = given.lower().rstrip("."), name.lower().rstrip(".")
    if given.startswith("*."):
        first, _, rest = name.partition(".")
        return bool(first) and rest == given[2:]
    return given == name
