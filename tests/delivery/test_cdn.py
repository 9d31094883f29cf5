"""URLs of CDNs: by the vectors of their owners, stable for a while, and refused when anything of
them is changed or over."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from botocore.signers import CloudFrontSigner as AwsSigner
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_api.cloud.sigv4 import Credentials
from photo_api.delivery.cdn import CdnKey, Digest
from photo_api.delivery.cloudfront import CloudFrontSigner, signature
from photo_api.delivery.edge_auth import Token, token
from photo_api.delivery.nginx_edge import NginxEdgeSigner, secure_link
from photo_api.delivery.s3 import S3UrlSigner
from photo_api.delivery.windows import CLOCK_SKEW, window_within
from tests.delivery.cdns import URL, WINDOW, Cdn, private_keys, secret_of
from tests.delivery.test_s3 import NOW, Changing, Clock

CDNS = ("nginx", "akamai", "nhn", "cloudfront rsa", "cloudfront ecdsa")
HEX_KEY, EXPIRES = "00112233445566778899aabbccddeeff", 1652247396
KEY = "photos/1/42/9d2c4be07a1f.jpg"


def test_secure_link_is_that_of_nginx_s_manual() -> None:
    assert secure_link("2147483647/s/link127.0.0.1 secret") == "_e4Nc3iduzkWRm01TBBNYw"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            Token(EXPIRES, url="/photo/image/1/a.png"),
            "exp=1652247396~hmac=ee33b9228383a146538cd98c55a5681951e37721bdb1eb571f66a565a03b07c5",
        ),
        (
            Token(EXPIRES, acl=("/dir/*",)),
            "exp=1652247396~acl=%2fdir%2f*"
            "~hmac=03549c06a7d3fa3cf7649ed077875e2da4a79ffafd763f1ba810f459c10b9c60",
        ),
    ],
)
def test_tokens_of_nhn_are_those_of_its_documented_code(said: Token, expected: str) -> None:
    assert token(said, HEX_KEY, "nhn") == expected


@pytest.mark.parametrize(
    ("said", "digest", "expected"),
    [
        (
            Token(EXPIRES, url="/photo/image/1/a.png"),
            "sha256",
            "exp=1652247396~hmac=ee33b9228383a146538cd98c55a5681951e37721bdb1eb571f66a565a03b07c5",
        ),
        (
            Token(EXPIRES, url="/photo/image/1/a.png"),
            "sha1",
            "exp=1652247396~hmac=81dd5e4a87b84136112d049a4cb446448974268b",
        ),
        (
            Token(EXPIRES, acl=("/dir/*", "/b/*")),
            "sha256",
            "exp=1652247396~acl=/dir/*!/b/*"
            "~hmac=555c4e71970975c909a9897d46f302fa13705bcaad098cd70f2e8636890f98e5",
        ),
        (
            Token(
                EXPIRES,
                url="/a b/*x.png",
                ip="1.2.3.4",
                starts=1652240000,
                session="s/1",
                data="k=v",
                salt="salt",
            ),
            "sha256",
            "ip=1.2.3.4~st=1652240000~exp=1652247396~id=s%2f1~data=k%3dv"
            "~hmac=5cf997a4b373b053e26927486bd904f9884396a83685b16fa3b60a04ff51110f",
        ),
    ],
)
def test_tokens_of_akamai_are_those_of_its_own_code(
    said: Token, digest: Digest, expected: str
) -> None:
    """What EdgeAuth-Token-Python 0.3.2 makes with a given end and "Escape token input"."""
    assert token(said, HEX_KEY, "akamai", digest) == expected


RFC_6979 = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721


@pytest.mark.parametrize(
    ("digest", "expected"),
    [
        (
            "sha256",
            (
                0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
                0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
            ),
        ),
        (
            "sha1",
            (
                0x61340C88C3AAEBEB4F6D667F672CA9759A6CCAA9FA8811313039EE4A35471D32,
                0x6D7F147DAC089441BB2E2FE8F7A3FA264B9C475098FDCF6E00D7C996E1B8B7EB,
            ),
        ),
    ],
)
def test_ecdsa_signatures_are_those_of_rfc_6979(digest: Digest, expected: tuple[int, int]) -> None:
    """Appendix A.2.5, message "sample"."""
    key = secret_of(derive_private_key(RFC_6979, SECP256R1()))
    assert decode_dss_signature(signature("sample", key, digest)) == expected


def test_cloudfront_s_urls_are_those_of_aws_s_library() -> None:
    key, _ = private_keys("rsa")
    assert isinstance(key, RSAPrivateKey)
    clock = Clock()

    def current() -> CdnKey:
        return CdnKey("K2JCJMDEHXQW5F", secret_of(key))

    ours = CloudFrontSigner(URL, current, WINDOW, clock, digest="sha1")
    url = ours.read(KEY, filename="독도.jpg").url
    theirs = AwsSigner("K2JCJMDEHXQW5F", lambda text: key.sign(text, PKCS1v15(), SHA1()))
    ends = datetime.fromtimestamp(Cdn("cloudfront rsa", clock).ends(url), UTC)
    plain = f"{URL}/{KEY}?filename=%EB%8F%85%EB%8F%84.jpg"
    assert url == theirs.generate_presigned_url(plain, date_less_than=ends)


@pytest.mark.parametrize("name", CDNS)
def test_a_url_is_the_same_for_a_window_on_all_instances(name: str) -> None:
    clock = Clock()
    cdn = Cdn(name, clock)
    signer, another = cdn.signer(), cdn.signer()
    urls = []
    for _ in range(WINDOW // 10):
        urls.append(signer.read(KEY, filename="a.jpg").url)
        assert another.read(KEY, filename="a.jpg", method="HEAD").url == urls[-1]
        clock.now += 10
    assert sum(one != other for one, other in pairwise(urls)) == 1


@pytest.mark.parametrize("name", CDNS)
@given(
    passed=st.floats(0, 2 * WINDOW), key=st.from_regex(r"photos/[a-z0-9./-]{1,20}", fullmatch=True)
)
@settings(max_examples=30, deadline=None)
def test_a_url_works_at_least_a_window_and_at_most_two(name: str, passed: float, key: str) -> None:
    """Whatever the clocks say, by `CLOCK_SKEW`."""
    clock = Clock()
    clock.now += passed
    cdn = Cdn(name, clock)
    signed = cdn.signer().read(key, filename="a.jpg")
    assert signed.valid_for == WINDOW
    for skew in (-CLOCK_SKEW, 0, CLOCK_SKEW - 1):
        assert cdn.serves(signed.url, clock.now + signed.valid_for + skew)
    assert not cdn.serves(signed.url, clock.now + 2 * WINDOW + CLOCK_SKEW)


@pytest.mark.parametrize("name", CDNS)
def test_no_url_works_for_longer_than_visitors_may(name: str) -> None:
    clock, ttl = Clock(), 900
    cdn = Cdn(name, clock)
    signer = cdn.signer(window_within(ttl))
    for _ in range(2 * window_within(ttl)):
        clock.now += 1
        assert cdn.ends(signer.read(KEY, filename="a.jpg").url) + CLOCK_SKEW <= clock.now + ttl


@pytest.mark.parametrize("name", CDNS)
def test_a_new_key_signs_at_once(name: str) -> None:
    clock = Clock()
    cdn = Cdn(name, clock)
    signer = cdn.signer()
    before = signer.read(KEY, filename="a.jpg").url
    assert signer.read(KEY, filename="a.jpg").url is before
    cdn.signs = 1
    after = signer.read(KEY, filename="a.jpg").url
    assert after != before
    assert cdn.serves(before, NOW), "the CDN knows both"
    assert cdn.serves(after, NOW)
    cdn.keys[0] = cdn.keys[1]
    if not name.startswith("cloudfront"):  # which knows keys by their ids
        assert not cdn.serves(before, NOW)


CHANGES: dict[str, Callable[[str], str]] = {
    "path": lambda url: url.replace("/42/", "/43/"),
    "folder": lambda url: url.replace("/photos/", "/staging/"),
    "end": lambda url: re.sub(r"((?:[Ee]xpires|exp)=)(\d+)", lambda m: m[1] + "2" + m[2][1:], url),
    "name": lambda url: url.replace("filename=a", "filename=b"),
    "key's id": lambda url: url.replace("kid=k0", "kid=k1").replace("-Id=k0", "-Id=k1"),
    "key that is none": lambda url: url.replace("kid=k0", "kid=").replace("-Id=k0", "-Id="),
    "signature": lambda url: re.sub(
        r"((?:md5|hmac|Signature)=.{9})(.)", lambda m: m[1] + ("0" if m[2] != "0" else "1"), url
    ),
}


@pytest.mark.parametrize("name", CDNS)
@pytest.mark.parametrize("change", CHANGES)
def test_nothing_of_a_url_can_be_changed(name: str, change: str) -> None:
    cdn = Cdn(name, Clock())
    url = cdn.signer().read(KEY, filename="a.jpg").url
    assert cdn.serves(url, NOW)
    changed = CHANGES[change](url)
    if change in ("name", "key's id", "key that is none") and name in ("akamai", "nhn"):
        assert changed == url, "there is none in it"
        return
    assert changed != url
    assert not cdn.serves(changed, NOW)


def test_the_edge_s_url_ends_with_the_session_that_reads_the_store() -> None:
    clock = Clock()
    source = Changing(Credentials("key", "secret", "token one", NOW + 600))
    origin = S3UrlSigner("http://s3:8333", "b", "us-east-1", source, WINDOW, clock)
    cdn = Cdn("nginx", clock)
    signer = NginxEdgeSigner(URL, lambda: cdn.keys[0], origin, WINDOW, clock)
    first = signer.read(KEY, filename="a.jpg")
    assert first.valid_for == 600
    assert "X-Amz-Security-Token=token%20one" in first.url
    source.credentials = Credentials("key2", "secret", "token two", NOW + 6 * 3600)
    assert "token%20two" in signer.read(KEY, filename="a.jpg").url


@pytest.mark.parametrize("name", CDNS)
def test_the_cache_is_bounded_and_no_key_is_in_it(name: str) -> None:
    cdn = Cdn(name, Clock())
    small = cdn.signer(cache_bytes=50_000)
    for number in range(100):
        url = small.read(f"photos/{number}", filename="\N{CAMERA}" * 99).url
        assert cdn.keys[0].secret not in url
    assert 10_000 < small.windows.size <= 50_000
