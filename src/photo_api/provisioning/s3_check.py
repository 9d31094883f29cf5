"""`photo-api storage check` on S3: nothing is changed."""

from collections.abc import Sequence
from urllib.parse import quote

from photo_api.delivery.base import StoreSigner
from photo_api.provisioning.findings import Finding
from photo_api.provisioning.looking import (
    Place,
    look_at_addresses,
    look_at_authorization,
    look_at_cors,
    nowhere,
    try_url,
    unless_unknown,
)
from photo_api.provisioning.s3_requests import BucketRequests, code_of, said
from photo_api.provisioning.s3_rules import NotRules, faults_of_lifecycle
from photo_api.storage.base import StoreUnavailable

CREDENTIALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken")


async def check_bucket(
    requests: BucketRequests, signer: StoreSigner, public: str, origins: Sequence[str], days: int
) -> list[Finding]:
    """`public` is the store's address that clients get; `days` as for `init_bucket`."""
    name, plain = quote(requests.bucket.name), requests.plain
    inner = Place(f"{requests.bucket.endpoint.rstrip('/')}/{name}", False, False)
    outer = Place(f"{public.rstrip('/')}/{name}", False, True)
    found = await look_at_addresses(plain, inner, outer)
    found += await unless_unknown("bucket", _bucket(requests))
    if found[-1].state == "ok":
        found += await unless_unknown("lifecycle", _lifecycle(requests, days))
        url = signer.read(nowhere(), filename="photo").url
        found += await unless_unknown("signed-url", try_url(plain, "at clients' address", url))
        if found[-1].state == "ok":
            found += await unless_unknown("authorization", look_at_authorization(plain, url))
        found += await unless_unknown("cors", look_at_cors(plain, outer, outer, origins))
    return found


async def _bucket(requests: BucketRequests) -> list[Finding]:
    """Credentials and bucket, which one answer tells. Raises `StoreUnavailable`."""
    name = requests.bucket.name
    answer = await requests.ask("GET", "?list-type=2&max-keys=1")
    if answer.status == 200:
        return [
            Finding("credentials", "ok", "the store takes the key"),
            Finding("bucket", "ok", f"{name} is there"),
        ]
    if answer.status == 404:
        return [
            Finding("credentials", "ok", "the store takes the key"),
            Finding("bucket", "wrong", f"there is no bucket {name}", "photo-api storage init"),
        ]
    if answer.status in (401, 403):
        fix = "give this key the right to list, read, write and delete in the bucket"
        if code_of(answer) in CREDENTIALS:
            fix = "look at PHOTO_API_S3_ACCESS_KEY and PHOTO_API_S3_SECRET_KEY"
        elif code_of(answer) == "RequestTimeTooSkewed":
            fix = "set this machine's clock by NTP"
        return [Finding("credentials", "wrong", f"the store answers {said(answer)}", fix)]
    if 300 <= answer.status < 500 and answer.status != 429:
        told = f"{name}: the store answers {said(answer)}"
        fix = "look at PHOTO_API_S3_REGION and PHOTO_API_S3_ENDPOINT"
        return [Finding("bucket", "wrong", told, fix)]
    raise StoreUnavailable(f"the store failed ({answer.status})")


async def _lifecycle(requests: BucketRequests, days: int) -> list[Finding]:
    answer = await requests.ask("GET", "?lifecycle=")
    if answer.status not in (200, 404):
        fix = "s3:GetLifecycleConfiguration for this key, or look by hand"
        return [Finding("lifecycle", "unknown", f"the store answers {said(answer)}", fix)]
    try:
        faults = list(faults_of_lifecycle(answer.body if answer.status == 200 else None, days))
    except NotRules as error:
        return [Finding("lifecycle", "unknown", str(error))]
    if faults:
        fix = "photo-api storage init adds what is missing; other rules are for you to change"
        return [Finding("lifecycle", "wrong", fault, fix) for fault in faults]
    return [Finding("lifecycle", "ok", "what is unfinished goes, photos stay")]
