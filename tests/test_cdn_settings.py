"""Settings of a CDN: what is refused, with what to do, and what two keys of CloudFront need."""

import base64
import json
from secrets import token_hex

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from photo_api.settings.key_dates import date_of
from photo_api.settings.loading import load
from photo_api.settings.secrets import LONGEST
from photo_base.environment import SettingsError
from tests.delivery.cdns import private_keys, secret_of
from tests.test_settings import USABLE

GOOD = "5a0de7c1b98f4326d7e4f1a03c8b6259"
CDN = {"PHOTO_API_CDN_URL": "https://cdn.example.org/x", "PHOTO_API_CDN_KEYS": f"2026-11:{GOOD}"}


def problems(**settings: str) -> list[str]:
    changed = {f"PHOTO_API_{name}": value for name, value in settings.items()}
    with pytest.raises(SettingsError) as refused:
        load(USABLE | CDN | changed)
    assert GOOD not in str(refused.value)
    return refused.value.problems


@pytest.mark.parametrize("provider", ["nginx", "akamai", "nhn"])
def test_a_cdn_is_an_address_and_keys(provider: str) -> None:
    cdn = load(USABLE | CDN | {"PHOTO_API_CDN": provider}).cdn
    assert (cdn.provider, cdn.url, cdn.keys) == (
        provider,
        "https://cdn.example.org/x",
        {"2026-11": GOOD},
    )
    assert (cdn.fallback, cdn.digest) == ("store", "sha256")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://cdn.example.org:443/a/", "https://cdn.example.org/a"),
        ("http://cdn.example.org:80", "http://cdn.example.org"),
        ("http://cdn.example.org:443/a", "http://cdn.example.org:443/a"),
        ("http://[::1]:8080/a:80", None),
        ("https://[::1]:8443/a", "https://[::1]:8443/a"),
    ],
)
def test_its_address_is_kept_as_browsers_ask_for_it(given: str, kept: str | None) -> None:
    if kept is None:
        assert "as browsers write it" in " ".join(problems(CDN="nginx", CDN_URL=given))
    else:
        found = load(USABLE | CDN | {"PHOTO_API_CDN": "nginx", "PHOTO_API_CDN_URL": given})
        assert found.cdn.url == kept


def der(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    made = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(made).decode()


PEM = base64.b64encode(b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqG\n").decode()


ADDRESSES_NOBODY_ASKS_FOR = (
    *(
        "cdn.example.org/a/../b",
        "cdn.example.org/./a",
        "cdn.example.org//a",
        "cdn.example.org/a%2fb",
    ),
    *("cdn.example.org/a?", 'cdn.example.org/"a', "cdn.example.org/a\\b", "cdn.example.org/é"),
    *("CDN.example.org", "사진.example.org", "*.example.org"),
)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"CDN": "fastly"}, "one of , nginx, cloudfront, akamai, nhn"),
        ({}, "CDN_URL is set and PHOTO_API_CDN is not"),
        ({"CDN": "nginx", "CDN_URL": ""}, "CDN_URL must be set with PHOTO_API_CDN=nginx"),
        ({"CDN": "nginx", "CDN_KEYS": ""}, "CDN_KEYS must be set with PHOTO_API_CDN=nginx"),
        ({"CDN": "nginx", "CDN_URL": "cdn.example.org"}, "such as https://"),
        ({"CDN": "nginx", "CDN_URL": "https://u:p@cdn.example.org"}, "must not hold a secret"),
        ({"CDN": "nginx", "CDN_URL": "https://cdn.example.org/?a=b"}, "such as https://"),
        *[
            ({"CDN": "cloudfront", "CDN_URL": f"https://{rest}"}, "must be as browsers write it")
            for rest in ADDRESSES_NOBODY_ASKS_FOR
        ],
        ({"CDN": "nginx", "CDN_KEYS": f"a:{GOOD},A:{GOOD[::-1]}"}, "in capital letters alone"),
        ({"CDN": "nginx", "CDN_KEYS": f"a:{token_hex(600)}"}, "at most 1024"),
        ({"CDN": "nginx", "CDN_KEYS": "k:short"}, "32 characters or more"),
        ({"CDN": "nginx", "CDN_KEYS": "a b:" + GOOD}, "key ids of letters"),
        ({"CDN": "nginx", "CDN_KEYS": "a&b:" + GOOD}, "key ids of letters"),
        ({"CDN": "nginx", "CDN_KEYS": "k:" + '$ecret"; ' * 4}, "letters, digits and"),
        ({"CDN": "nginx", "CDN_KEYS": "k:" + "0123456789abcdef" * 2}, "not random"),
        ({"CDN": "akamai", "CDN_KEYS": "k:" + "x" + GOOD[1:]}, "hexadecimal"),
        ({"CDN": "nhn", "CDN_KEYS": "k:" + GOOD + "0"}, "even number of digits"),
        ({"CDN": "cloudfront"}, "as base64 of its DER on one line: `openssl pkcs8"),
        ({"CDN": "cloudfront", "CDN_KEYS": f"K1:{base64.b64decode(PEM).decode()}"}, "not PEM, but"),
        ({"CDN": "cloudfront", "CDN_KEYS": f"K1:{PEM}"}, "as base64 of its DER on one line"),
        (
            {
                "CDN": "cloudfront",
                "CDN_KEYS": f"K1:{der(ed25519.Ed25519PrivateKey.generate())}",
            },
            "RSA of 2048 bits or ECDSA on P-256",
        ),
        (
            {
                "CDN": "cloudfront",
                "CDN_KEYS": f"K1:{der(ec.generate_private_key(ec.SECP384R1()))}",
            },
            "RSA of 2048 bits or ECDSA on P-256",
        ),
        ({"CDN": "nginx", "CDN_DIGEST": "sha1"}, "nginx knows no choice"),
        ({"CDN": "nginx", "DELIVERY": "stream"}, "PHOTO_API_CDN_FALLBACK=stream streams"),
        ({"CDN": "nginx", "CDN_FALLBACK": "none"}, "must be one of store, stream"),
        ({"CDN": "nginx", "OPS_TOKEN": GOOD.upper()}, "is the same as"),
    ],
)
def test_what_no_cdn_could_use_is_refused(settings: dict[str, str], word: str) -> None:
    assert word in " ".join(problems(**settings))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_two_keys_of_cloudfront_fit_into_a_secret(kind: str) -> None:
    ids = ("K2JCJMDEHXQW5F", "K36X4X2EO997HM")
    keys = dict(zip(ids, map(secret_of, private_keys(kind)), strict=True))
    text = ",".join(f"{kid}:{secret}" for kid, secret in keys.items())
    assert len(json.dumps(text)) <= LONGEST
    found = load(USABLE | CDN | {"PHOTO_API_CDN": "cloudfront", "PHOTO_API_CDN_KEYS": text})
    assert found.cdn.keys == keys
    assert found.dated_keys()["cdn"] == {}, "its ids are CloudFront's own"


def test_the_id_of_the_key_that_signs_may_hold_its_date() -> None:
    keys = load(USABLE | CDN | {"PHOTO_API_CDN": "nginx"}).dated_keys()["cdn"]
    assert [date_of(kid) for kid in keys] == [date_of("2026-11-01")]
