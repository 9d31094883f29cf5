"""Signers for all CDNs, and what each would say of a URL, written from its documentation alone."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from photo_api.delivery.cdn import CdnKey, CdnSigner
from photo_api.delivery.cloudfront import CloudFrontSigner
from photo_api.delivery.edge_auth import AkamaiSigner, NhnSigner
from photo_api.delivery.nginx_edge import NginxEdgeSigner
from photo_api.delivery.s3 import S3UrlSigner
from photo_api.delivery.windows import CACHE_BYTES
from photo_api.storage.credentials import StaticCredentials

URL = "https://cdn.example.org/pictures"
WINDOW = 3600
UNRESERVED = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey


def secret_of(key: PrivateKey) -> str:
    """As the setting has it."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(der).decode()


@cache
def private_keys(kind: str) -> tuple[PrivateKey, PrivateKey]:
    if kind == "ecdsa":
        return new_ec(SECP256R1()), new_ec(SECP256R1())
    return new_rsa(65537, 2048), new_rsa(65537, 2048)


def secrets_of(name: str) -> list[str]:
    """Two keys that a CDN of this name would take."""
    if name.startswith("cloudfront"):
        return [secret_of(key) for key in private_keys(name.partition(" ")[2])]
    return ["9f3c1d5e7a8b4260c1d2e3f4a5b69788", "71c04b5dd2e8f39a6be1007c2f48d935"]


@dataclass
class Cdn:
    """One with two keys, of which it knows both and the service signs with `signs`."""

    name: str
    clock: Callable[[], float]
    signs: int = 0
    keys: list[CdnKey] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = [CdnKey(f"k{n}", secret) for n, secret in enumerate(secrets_of(self.name))]

    def signer(self, window: int = WINDOW, cache_bytes: int = CACHE_BYTES) -> CdnSigner:
        def current() -> CdnKey:
            return self.keys[self.signs]

        if self.name == "nginx":
            source = StaticCredentials("key", "secret")
            origin = S3UrlSigner("http://s3:8333", "b", "us-east-1", source, window)
            return NginxEdgeSigner(URL, current, origin, window, self.clock, cache_bytes)
        kinds = {"akamai": AkamaiSigner, "nhn": NhnSigner}
        kind = kinds.get(self.name, CloudFrontSigner)
        return kind(URL, current, window, self.clock, cache_bytes)

    def serves(self, url: str, now: float) -> bool:
        """Whether the CDN gives what is at this URL at that time."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if self.name == "nginx":
            return self._by_secure_link(parts.path, parts.query, query, now)
        if self.name.startswith("cloudfront"):
            return self._by_policy(url, query, now)
        return self._by_token(parts.path, query, now)

    def ends(self, url: str) -> int:
        """Its last second."""
        query = dict(parse_qsl(urlsplit(url).query))
        token = query.get("token") or query.get("__token__") or ""
        return int(
            query.get("expires") or query.get("Expires") or token.split("~")[0].split("=")[1]
        )

    def _by_secure_link(self, path: str, raw: str, query: dict[str, str], now: float) -> bool:
        secret = dict(self.keys).get(query["kid"])
        name = dict(pair.split("=", 1) for pair in raw.split("&"))["filename"]
        stores = raw.partition(f"&filename={name}&")[2]
        text = f"{query['expires']}{unquote(path)} {name} {stores} {secret}"
        made = base64.b64encode(hashlib.md5(text.encode()).digest(), b"-_").decode()
        is_ours = secret is not None and made.rstrip("=") == query["md5"]
        return is_ours and int(query["expires"]) > now

    def _by_token(self, path: str, query: dict[str, str], now: float) -> bool:
        shown = (query.get("token") or query["__token__"]).split("~")
        made = shown.pop().removeprefix("hmac=")
        escaped = "".join(
            chr(byte) if byte in UNRESERVED else f"%{byte:02x}" for byte in path.encode()
        )
        text = "~".join([*shown, f"url={escaped}"]).encode()
        right = {
            hmac.new(bytes.fromhex(key.secret), text, "sha256").hexdigest() for key in self.keys
        }
        return made in right and int(dict(one.split("=") for one in shown)["exp"]) > now

    def _by_policy(self, url: str, query: dict[str, str], now: float) -> bool:
        resource = url.partition("Expires=")[0].rstrip("?&")
        condition = {"DateLessThan": {"AWS:EpochTime": int(query["Expires"])}}
        statement = {"Statement": [{"Resource": resource, "Condition": condition}]}
        text = json.dumps(statement, separators=(",", ":")).encode()
        made = base64.b64decode(query["Signature"].translate(str.maketrans("-_~", "+=/")))
        kid, kind = query["Key-Pair-Id"], self.name.partition(" ")[2]
        known = dict(zip(("k0", "k1"), private_keys(kind), strict=True))
        if kid not in known or query["Hash-Algorithm"] != "SHA256":
            return False
        try:
            public = known[kid].public_key()
            if isinstance(known[kid], RSAPrivateKey):
                public.verify(made, text, PKCS1v15(), SHA256())  # type: ignore[call-arg, arg-type]
            else:
                public.verify(made, text, ECDSA(SHA256()))  # type: ignore[call-arg, arg-type]
        except InvalidSignature:
            return False
        return int(query["Expires"]) > now
