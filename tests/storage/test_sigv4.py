"""Signatures equal to those in Amazon's documentation and to botocore's."""

import hmac
import time
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import parse_qs, quote, urlsplit

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import example, given, settings
from hypothesis import strategies as st

from photo_api.cloud.sigv4 import (
    MAX_EXPIRY,
    Credentials,
    KeyedDigest,
    canonical_query,
    presign,
    quote_path,
    sign_request,
)

# "Examples: Signature Calculations" and "Authenticating Requests: Using Query Parameters" in the
# Amazon S3 API reference.
AMAZON = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
MAY_24 = datetime(2013, 5, 24, tzinfo=UTC).timestamp()
HOST = "https://examplebucket.s3.amazonaws.com"


def signature(method: str, path: str, headers: dict[str, str], payload: bytes = b"") -> str:
    signed = sign_request(method, HOST + path, headers, payload, AMAZON, "us-east-1", MAY_24)
    return signed["Authorization"].rpartition("Signature=")[2]


def test_amazons_get() -> None:
    assert signature("GET", "/test.txt", {"Range": "bytes=0-9"}) == (
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_amazons_put() -> None:
    headers = {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    assert signature("PUT", "/test%24file.text", headers, b"Welcome to Amazon S3.") == (
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


def test_amazons_lifecycle_and_list() -> None:
    assert signature("GET", "/?lifecycle", {}) == (
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )
    assert signature("GET", "/?max-keys=2&prefix=J", {}) == (
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_amazons_presigned_url() -> None:
    url = presign(
        "GET",
        f"{HOST}/test.txt",
        credentials=AMAZON,
        region="us-east-1",
        now=MAY_24,
        expires_in=86400,
    )
    assert url.endswith(
        "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


DIGESTS = ("sha1", "sha256", "sha512")

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
extra_headers = st.dictionaries(
    st.sampled_from(["content-type", "content-length", "x-amz-checksum-sha256", "x-amz-meta-A"]),
    header_values,
)
credentials = st.builds(
    Credentials,
    st.text("ABCDEF0123456789", min_size=4, max_size=20),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
)
times = st.integers(0, 4_000_000_000)
endpoints = st.sampled_from(
    ["http://127.0.0.1:8333", "https://s3.example", "https://s3.example:443", "http://h:80"]
)


def botocores(signer: S3SigV4Auth, request: AWSRequest, now: int) -> AWSRequest:
    moment = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment):
        signer.add_auth(request)
    return request


def boto(credentials: Credentials) -> BotoCredentials:
    return BotoCredentials(
        credentials.access_key, credentials.secret_key, credentials.session_token
    )


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "PUT"]),
    endpoint=endpoints,
    key=keys,
    headers=extra_headers,
    query=st.dictionaries(
        st.sampled_from(["response-content-disposition", "response-cache-control", "versionId"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    ),
    credentials=credentials,
    expires_in=st.integers(1, MAX_EXPIRY),
    now=times,
)
def test_presigned_urls_are_botocores(
    method: str,
    endpoint: str,
    key: str,
    headers: dict[str, str],
    query: dict[str, str],
    credentials: Credentials,
    expires_in: int,
    now: int,
) -> None:
    url = f"{endpoint}/bucket/{quote_path(key)}"
    ours = presign(
        method,
        url,
        credentials=credentials,
        region="eu-north-1",
        now=now,
        expires_in=expires_in,
        headers=headers,
        query=canonical_query(query.items()),
    )
    signer = S3SigV4QueryAuth(boto(credentials), "s3", "eu-north-1", expires=expires_in)
    request = AWSRequest(method, url, headers=dict(headers), params=dict(query))
    theirs = botocores(signer, request, now).url
    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]
    assert parse_qs(urlsplit(ours).query, True) == parse_qs(urlsplit(theirs).query, True)


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
    endpoint=endpoints,
    key=keys,
    headers=extra_headers,
    query=st.dictionaries(keys, keys, max_size=3),
    credentials=credentials,
    payload=st.binary(max_size=50),
    now=times,
)
def test_signed_headers_are_botocores(
    method: str,
    endpoint: str,
    key: str,
    headers: dict[str, str],
    query: dict[str, str],
    credentials: Credentials,
    payload: bytes,
    now: int,
) -> None:
    url = f"{endpoint}/bucket/{quote_path(key)}?{canonical_query(query.items())}"
    ours = sign_request(method, url, headers, payload, credentials, "eu-north-1", now)
    request = AWSRequest(method, url, headers=dict(headers), data=payload)
    request.context["client_config"] = None
    signer = S3SigV4Auth(boto(credentials), "s3", "eu-north-1")
    theirs = botocores(signer, request, now).headers["Authorization"]
    assert ours["Authorization"].replace(",", ", ") == theirs


@pytest.mark.parametrize("expires_in", [0, -1, MAX_EXPIRY + 1])
def test_impossible_expiries_are_refused(expires_in: int) -> None:
    with pytest.raises(ValueError, match="lives"):
        presign(
            "GET",
            f"{HOST}/x",
            credentials=AMAZON,
            region="us-east-1",
            now=time.time(),
            expires_in=expires_in,
        )


@example(b"k" * 64, [b""], "sha256")
@example(b"k" * 65, [b"a", b"b"], "sha256")
@example(b"k" * 128, [b"a"], "sha512")
@example(b"k" * 129, [b"a"], "sha512")
@given(st.binary(max_size=200), st.lists(st.binary(), max_size=3), st.sampled_from(DIGESTS))
def test_keyed_digests_are_those_of_the_library(
    key: bytes, texts: list[bytes], digest: str
) -> None:
    keyed = KeyedDigest(key, digest)
    assert [keyed.digest(text) for text in texts] == [
        hmac.digest(key, text, digest) for text in texts
    ]


@given(keys | st.text("aZ0-._~/+ %=&:@*'\\n"))
def test_a_path_is_quoted_as_by_the_library(path: str) -> None:
    assert quote_path(path) == quote(path, safe="/")
