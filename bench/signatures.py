"""What a signed URL costs, by who verifies it, as multiples of what one that is kept costs.

Run as `python -m bench.signatures`. All are measured in turns, in one process; each number is the
median of its turns.
"""

import base64
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from photo_api.delivery.base import ReadSigner
from photo_api.delivery.cdn import CdnKey
from photo_api.delivery.cloudfront import CloudFrontSigner
from photo_api.delivery.edge_auth import AkamaiSigner, NhnSigner
from photo_api.delivery.nginx_edge import NginxEdgeSigner
from photo_api.delivery.s3 import S3UrlSigner
from photo_api.delivery.swift import SwiftUrlSigner
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.swift_containers import Containers
from photo_api.storage.url_keys import UrlKeys, UrlKeySource

URL, WINDOW = "https://cdn.example.org", 3600
TURNS, EACH = 9, 400
HEXADECIMAL = "0123456789abcdef" * 4


def main() -> None:
    """Print the table."""
    signers, fresh = _signers(), count()
    taken: dict[str, list[float]] = {name: [] for name in ("kept", *signers)}
    kept = signers["S3, presigned"]
    for _ in range(TURNS):
        taken["kept"].append(_time(lambda: kept.read("photos/1/kept.jpg", filename="a.jpg")))
        for name, signer in signers.items():
            taken[name].append(_time(partial(_next, signer, fresh)))
    one = median(taken["kept"])
    print("| URL | times a kept one | characters |\n| --- | --- | --- |")
    for name, signer in signers.items():
        print(f"| {name} | {median(taken[name]) / one:.0f} | {len(_read(signer, 0))} |")


def _time(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(EACH):
        act()
    return (time.perf_counter() - began) / EACH


def _next(signer: ReadSigner, fresh: Iterator[int]) -> str:
    return _read(signer, next(fresh))


def _read(signer: ReadSigner, number: int) -> str:
    return signer.read(f"photos/1/{number}/{'0a' * 16}.jpg", filename="IMG_1234.jpg").url


def _signers() -> dict[str, ReadSigner]:
    def key(secret: str) -> Callable[[], CdnKey]:
        made = CdnKey("2026-11", secret)
        return lambda: made

    def private(made: RSAPrivateKey | EllipticCurvePrivateKey) -> str:
        der = made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return base64.b64encode(der).decode()

    s3 = S3UrlSigner(URL, "photos", "us-east-1", StaticCredentials("key", HEXADECIMAL), WINDOW)
    containers = Containers("photos", "staging", "photos")
    keys = UrlKeySource(UrlKeys(HEXADECIMAL, HEXADECIMAL))
    return {
        "S3, presigned": s3,
        "Swift, temporary URL": SwiftUrlSigner(URL, "/v1/AUTH_1", containers, keys, WINDOW),
        "NHN Cloud CDN": NhnSigner(URL, key(HEXADECIMAL), WINDOW),
        "Akamai": AkamaiSigner(URL, key(HEXADECIMAL), WINDOW),
        "nginx, with the S3 store's own": NginxEdgeSigner(URL, key(HEXADECIMAL), s3, WINDOW),
        "CloudFront, ECDSA": CloudFrontSigner(URL, key(private(new_ec(SECP256R1()))), WINDOW),
        "CloudFront, RSA": CloudFrontSigner(URL, key(private(new_rsa(65537, 2048))), WINDOW),
    }


if __name__ == "__main__":
    main()
