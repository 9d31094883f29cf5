"""Tokens of Akamai's EdgeAuth ("Auth Token 2.0 Verification") and of NHN Cloud CDN, which are
hexadecimal HMACs over fields that the token itself shows.

As of Akamai's EdgeAuth-Token-Python and NHN Cloud's "Auth Token authentication access control".
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_letters, digits
from typing import Literal
from urllib.parse import quote_plus

from photo_api.cloud.sigv4 import KeyedDigest, quote_path
from photo_api.delivery.cdn import CdnSigner, Digest

DELIMITER, ACL_DELIMITER = "~", "!"
_PLAIN = f"{ascii_letters}{digits}-._/".encode()
_ESCAPED = re.compile("%[0-9A-F]{2}")


def escaped(text: str, kept: str = "") -> str:
    """As both write it: a URL's escapes in lower case, "~" among what is escaped; "*" may be
    `kept`."""
    if not text.encode().translate(None, _PLAIN):
        return text.replace("/", "%2f")
    quoted = quote_plus(text, safe=kept).replace(DELIMITER, "%7e")
    return _ESCAPED.sub(lambda found: found[0].lower(), quoted)


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. Of `acl` and `url` one is given; `salt` and `url` are signed, but not
    shown. All times are in epoch seconds."""

    expires: int
    url: str = ""
    acl: tuple[str, ...] = ()
    ip: str = ""
    starts: int = 0
    session: str = ""
    data: str = ""
    salt: str = ""


def token(
    said: Token,
    key: str,
    provider: Literal["akamai", "nhn"],
    digest: Digest = "sha256",
) -> str:
    """The token by the hexadecimal `key`. NHN keeps "*" and escapes the paths of an acl; Akamai
    escapes "*", and an acl never."""
    kept = "*" if provider == "nhn" else ""
    acl = ACL_DELIMITER.join(said.acl)
    fields = {
        "ip": escaped(said.ip, kept),
        "st": str(said.starts or ""),
        "exp": str(said.expires),
        "acl": escaped(acl, kept) if provider == "nhn" else acl,
        "id": escaped(said.session, kept),
        "data": escaped(said.data, kept),
    }
    shown = [f"{name}={value}" for name, value in fields.items() if value]
    hidden = [("url", escaped(said.url, kept)), ("salt", said.salt)]
    signed = shown + [f"{name}={value}" for name, value in hidden if value]
    made = _keyed(key, digest).digest(DELIMITER.join(signed).encode())
    return DELIMITER.join([*shown, f"hmac={made.hex()}"])


@lru_cache(maxsize=4)
def _keyed(key: str, digest: Digest) -> KeyedDigest:
    return KeyedDigest(bytes.fromhex(key), digest)


class AkamaiSigner(CdnSigner):
    """Signs the path of one object as `__token__`."""

    def _query(self, key: str, named: str, expires: int, begins: int) -> str:
        said = Token(expires, url=quote_path(f"{self._path}/{key}"))
        return f"__token__={token(said, self._current().secret, 'akamai', self._digest)}"


class NhnSigner(CdnSigner):
    """Signs the path of one object as `token`."""

    def _query(self, key: str, named: str, expires: int, begins: int) -> str:
        said = Token(expires, url=quote_path(f"{self._path}/{key}"))
        return f"token={token(said, self._current().secret, 'nhn')}"
