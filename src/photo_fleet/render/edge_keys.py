"""The secrets that the edge verifies URLs with, as nginx reads them."""

import re
from collections import Counter

from photo_base.environment import keys

KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
SECRET = re.compile(r"[A-Za-z0-9._~+/=-]{32,1024}", re.ASCII)
"""What nginx reads as it is, and the service takes."""

RENDERED = "# Secret. Made of PHOTO_API_CDN_KEYS by `photo-fleet edge-keys`: rotate them there."


def key_map(setting: str) -> str:
    """The file `Places.edge_keys` of the value of PHOTO_API_CDN_KEYS, `kid:secret,…`. Raises
    ValueError, which shows no secret."""
    found = keys(setting.strip())
    twice = [kid for kid, count in Counter(map(str.lower, found)).items() if count > 1]
    if twice:
        raise ValueError(
            f"{twice[0]!r} is there in small and in capital letters: nginx sees one id"
        )
    for kid, secret in found.items():
        if not KEY_ID.fullmatch(kid):
            raise ValueError(f"the id {kid!r} must have letters, digits and . _ - alone")
        if not SECRET.fullmatch(secret):
            raise ValueError(
                f"the secret of {kid!r} must have 32 or more letters, digits and ._~+/=- alone:"
                " make one with `openssl rand -hex 32`"
            )
    lines = [f'"kid:{kid}" "{secret}";' for kid, secret in found.items()]
    return "\n".join([RENDERED, *lines]) + "\n"
