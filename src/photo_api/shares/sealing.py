"""Encryption of what the owner must see again, with keys that are not in the database."""

import hashlib
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12


class Sealer:
    """AES-256-GCM; `context` (such as a row's id) is bound to the text, so that sealed values
    cannot be swapped between rows."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._ciphers = {
            kid: AESGCM(hashlib.sha256(b"seal:" + secret.encode()).digest())
            for kid, secret in keys.items()
        }
        self._kid = next(iter(keys))

    def seal(self, text: str, context: bytes) -> tuple[str, bytes]:
        """(key id, nonce and ciphertext)."""
        nonce = os.urandom(NONCE)
        return self._kid, nonce + self._ciphers[self._kid].encrypt(nonce, text.encode(), context)

    def unseal(self, kid: str, sealed: bytes, context: bytes) -> str | None:
        """The text, or None when its key is gone or the value is not genuine."""
        cipher = self._ciphers.get(kid)
        if cipher is None:
            return None
        try:
            return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], context).decode()
        except InvalidTag:
            return None
