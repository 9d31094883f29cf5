"""Signed URLs of Amazon CloudFront, with a canned policy ("Create a signed URL using a canned
policy" in its developer guide)."""

import base64
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from photo_api.cloud.sigv4 import quote_path
from photo_api.delivery.cdn import CdnSigner, Digest
from photo_api.settings.cdn import private_key

_IN_URLS = str.maketrans("+=/", "-_~")


def policy(url: str, expires: int) -> str:
    """What is signed: the whole URL and the time, in epoch seconds, without white space."""
    return (
        f'{{"Statement":[{{"Resource":"{url}","Condition":{{"DateLessThan":'
        f'{{"AWS:EpochTime":{expires}}}}}}}]}}'
    )


def in_url(signature: bytes) -> str:
    """Base64 without characters that mean something in a URL."""
    return base64.b64encode(signature).decode().translate(_IN_URLS)


@lru_cache(maxsize=2)
def _known(secret: str) -> RSAPrivateKey | EllipticCurvePrivateKey:
    """Reading one takes longer than signing with it."""
    return private_key(secret)


def signature(text: str, secret: str, digest: Digest = "sha256") -> bytes:
    """The same each time, which of ECDSA's only the deterministic kind is (RFC 6979), in DER."""
    # CloudFront's default is SHA-1, for both kinds of keys.
    key, by = _known(secret), SHA256() if digest == "sha256" else SHA1()  # noqa: S303
    if isinstance(key, RSAPrivateKey):
        return key.sign(text.encode(), PKCS1v15(), by)
    return key.sign(text.encode(), ECDSA(by, deterministic_signing=True))


class CloudFrontSigner(CdnSigner):
    """Signs the URL of one object together with the file's name, which a function at the edge may
    tell browsers. The address of the URL is the one that clients ask for."""

    costly = True
    at_once = 16  # by RSA 5 ms

    def _query(self, key: str, named: str, expires: int, begins: int) -> str:
        kid, secret = self._current()
        name = f"filename={named}"
        resource = f"{self._url}/{quote_path(key)}?{name}"
        made = in_url(signature(policy(resource, expires), secret, self._digest))
        query = f"{name}&Expires={expires}&Signature={made}&Key-Pair-Id={kid}"
        return query if self._digest == "sha1" else f"{query}&Hash-Algorithm=SHA256"
