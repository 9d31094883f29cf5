"""Settings of a CDN that clients read photos from."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from photo_base.environment import PREFIX, choice, keys, number, optional_signed_url, setting

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""What stands in a URL as it is."""
EDGE_SECRET = re.compile(r"[A-Za-z0-9._~+/=-]{32,1024}", re.ASCII)
"""What stands in nginx's configuration as it is."""
RSA_BITS = 2048
"""CloudFront takes no others."""


def optional_keys(value: str) -> dict[str, str]:
    """As other keys, or none; an id goes into URLs."""
    found = keys(value) if value else {}
    if not all(map(KID.fullmatch, found)):
        raise ValueError("must have key ids of letters, digits, dots, hyphens and underscores")
    return found


@dataclass(frozen=True, slots=True)
class CdnSettings:
    provider: Literal["", "nginx", "cloudfront", "akamai", "nhn"] = setting(
        "CDN",
        "what stands between clients and the store for reading: `nginx` (the edge that `photo-fleet"
        " render` makes), `cloudfront`, `akamai`, `nhn` (NHN Cloud CDN); empty: nothing",
        default="",
        parse=choice("", "nginx", "cloudfront", "akamai", "nhn"),
    )
    url: str = setting(
        "CDN_URL",
        "the CDN's address in the URLs that clients get, under which an object has its key as path;"
        " needed with CDN",
        default="",
        parse=optional_signed_url,
    )
    keys: dict[str, str] = setting(
        "CDN_KEYS",
        "`kid:secret,…`, of which the first signs; nginx: 32 characters or more; akamai, nhn:"
        " hexadecimal; cloudfront: the key's id, and the private key (RSA 2048 or ECDSA P-256) as"
        " base64 of its DER; needed with CDN",
        default="",
        parse=optional_keys,
        secret=True,
    )
    digest: Literal["sha256", "sha1"] = setting(
        "CDN_DIGEST",
        "what cloudfront's signatures and akamai's tokens are made by: `sha256`, or `sha1` for what"
        " was set up so",
        default="sha256",
        parse=choice("sha256", "sha1"),
    )
    fallback: Literal["store", "stream"] = setting(
        "CDN_FALLBACK",
        "how photos are delivered while the CDN fails: by signed URLs of the `store`'s public"
        " address, or, where clients cannot reach that, as a `stream` through this server",
        default="store",
        parse=choice("store", "stream"),
    )
    probe_interval: float = setting(
        "CDN_PROBE_INTERVAL",
        "seconds between two looks at the CDN, by one instance for all; three that fail in a row,"
        " while the store is well, switch to the fallback",
        default="10",
        parse=number(0.5, 60),
    )


def private_key(secret: str) -> "RSAPrivateKey | EllipticCurvePrivateKey":
    """Of CloudFront. Raises `ValueError` for anything else, with words that complete "must"."""
    # Here alone: no other CDN needs them.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        key = load_der_private_key(base64.b64decode(secret, validate=True), None)
    except (binascii.Error, ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(
            "be a private key without a password, as base64 of its DER on one line: `openssl pkcs8"
            " -topk8 -nocrypt -in KEY.pem -outform DER | base64 -w0`"
        ) from None
    if isinstance(key, RSAPrivateKey) and key.key_size == RSA_BITS:
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise ValueError(f"be RSA of {RSA_BITS} bits or ECDSA on P-256: CloudFront takes no other")


def _of_edge(secret: str) -> None:
    if not EDGE_SECRET.fullmatch(secret):
        raise ValueError(
            "have letters, digits and ._~+/=- alone, at most 1024; `openssl rand -hex 32` makes one"
        )


def _hexadecimal(secret: str) -> None:
    if not re.fullmatch("([0-9A-Fa-f]{2})+", secret):
        raise ValueError("be hexadecimal with an even number of digits, as the CDN's console shows")


FORMS: Mapping[str, Callable[[str], object]] = {
    "nginx": _of_edge,
    "akamai": _hexadecimal,
    "nhn": _hexadecimal,
    "cloudfront": private_key,
}
"""What a secret must be, by provider."""


def contradictions(values: Mapping[str, Any]) -> Iterator[str]:
    """What does not fit."""
    provider, given = values["cdn.provider"], values["cdn.keys"]
    needed = {"CDN_URL": values["cdn.url"], "CDN_KEYS": given}
    if not provider:
        for name in (name for name, value in needed.items() if value):
            yield f"{PREFIX}{name} is set and {PREFIX}CDN is not: say which CDN it is, or remove it"
        return
    for name in (name for name, value in needed.items() if not value):
        yield f"{PREFIX}{name} must be set with {PREFIX}CDN={provider}"
    if values["cdn.digest"] == "sha1" and provider in ("nginx", "nhn"):
        yield f"{PREFIX}CDN_DIGEST=sha1 is for cloudfront and akamai: {provider} knows no choice"
    if values["delivery.mode"] == "stream":
        yield (
            f"{PREFIX}CDN={provider} redirects clients and {PREFIX}DELIVERY=stream never does:"
            f" remove one of them ({PREFIX}CDN_FALLBACK=stream streams while the CDN fails)"
        )
    if provider == "nginx" and len({kid.lower() for kid in given}) < len(given):
        yield f"{PREFIX}CDN_KEYS has ids that differ in capital letters alone: nginx sees one id"
    for kid, secret in given.items():
        try:
            FORMS[provider](secret)
        except ValueError as error:
            yield f"{PREFIX}CDN_KEYS, the secret of {kid!r}, must {error}"
