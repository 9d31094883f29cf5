"""What closes SeaweedFS to the machine's other users: only its S3 port answers without a
certificate or token that this start made and only the store's own account can read."""

import secrets
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from photo_base.processes import write
from photo_base.whole_file import PRIVATE

VALID = timedelta(days=3650)
CLOCK_SKEW = timedelta(days=1)
GRPC_SERVERS = ("master", "volume", "filer", "s3", "admin", "worker", "mq")
FILES = ("security.toml", "ca.pem", "cert.pem", "key.pem")
TOKENS_LAST = 60
"""Seconds in which a part of an object has to come in once it was begun. SeaweedFS's own ten are
too few where many large ones are written to a busy disk: it answers 500 then."""
SIGNED = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")


def close_store(folder: Path) -> None:
    """Write `FILES`: `security.toml`, which SeaweedFS reads in its working directory `folder`, and
    the certificates that it names: new ones, whose authority is forgotten at once, and new keys.

    gRPC and the master's and the admin's HTTP want a certificate of that authority, the filer's and
    the volumes' HTTP a token. Raises `CannotStart`.
    """
    ca, cert, key = FILES[1:]
    for name, text in zip((ca, cert, key), _certificates(), strict=True):
        write(folder / name, text, PRIVATE)
    pair = f'cert = "{cert}"\nkey = "{key}"\n'
    sections = [f'[{name}]\nkey = "{secrets.token_urlsafe(32)}"\n' for name in SIGNED]
    sections[0] += f"expires_after_seconds = {TOKENS_LAST}\n"  # of what writes to a volume
    sections += ['[cors.allowed_origins]\nvalues = ""\n', f'[grpc]\nca = "{ca}"\n']
    sections += [f"[grpc.{name}]\n{pair}" for name in (*GRPC_SERVERS, "client")]
    sections += [f'[https.{name}]\n{pair}ca = "{ca}"\n' for name in ("master", "admin")]
    write(folder / FILES[0], "\n".join(sections), PRIVATE)


def _certificates() -> tuple[str, str, str]:
    """An authority's certificate, a certificate by it for both ends, and the latter's key."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name("SeaweedFS authority")
    root = _builder(issuer, issuer, authority).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    places = x509.SubjectAlternativeName(
        [x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("localhost")]
    )
    leaf = _builder(_name("SeaweedFS"), issuer, key).add_extension(places, critical=False)
    ca, cert = (item.sign(authority, hashes.SHA256()) for item in (root, leaf))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return _pem(ca), _pem(cert), private.decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALID)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
