"""`photo-api storage init` on S3: the bucket, its CORS rules and its lifecycle rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from photo_api.provisioning.findings import Finding
from photo_api.provisioning.s3_requests import BucketRequests, said
from photo_api.provisioning.s3_rules import NotRules, Plan, plan_cors, plan_lifecycle
from photo_api.storage.base import StoreUnavailable

PERMISSIONS = {"cors": "CORS", "lifecycle": "LifecycleConfiguration"}
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How it is to be. `origins` of pages that upload; `days` until what is unfinished goes.
    `exact`: what is there and not configured is taken away. `dry_run`: nothing is changed."""

    origins: Sequence[str] = ()
    days: int = 2
    exact: bool = False
    dry_run: bool = False


async def init_bucket(requests: BucketRequests, wanted: Wanted) -> list[Finding]:
    """Make what is missing, and tell of all. Raises `StoreUnavailable` while nothing answers."""
    found = [await _bucket(requests, wanted)]
    if found[0].state == "wrong":
        return found
    new = found[0].state == "planned"
    for name, plan in (
        ("cors", lambda now: plan_cors(now, wanted.origins, exact=wanted.exact)),
        ("lifecycle", lambda now: plan_lifecycle(now, wanted.days)),
    ):
        try:
            found.append(await _rules(requests, name, plan, wanted, new=new))
        except (StoreUnavailable, NotRules) as error:
            found.append(Finding(name, "unknown", str(error), "run it again"))
    return found


async def _bucket(requests: BucketRequests, wanted: Wanted) -> Finding:
    name, region = requests.bucket.name, requests.bucket.region
    answer = await requests.ask("HEAD")
    if answer.status == 200:
        return Finding("bucket", "left", f"{name} is there")
    if answer.status == 404:
        if wanted.dry_run:
            return Finding("bucket", "planned", f"{name} would be made")
        answer = await requests.ask("PUT", "", _location(region))
        if answer.status in (200, 204):
            return Finding("bucket", "made", name)
    if answer.status >= 500 or answer.status == 429:
        raise StoreUnavailable(f"bucket {name}: the store failed ({answer.status})")
    return Finding(
        "bucket",
        "wrong",
        f"{name}: the store answers {said(answer)}",
        f"make the bucket {name} in the region {region} by hand, or give this key the right to"
        " list and to create it (s3:ListBucket, s3:CreateBucket); the names of buckets are shared"
        " with others on some stores",
    )


def _location(region: str) -> bytes:
    """The region without a name of its own must not be named."""
    if region == DEFAULT_REGION:
        return b""
    inside = f"<LocationConstraint>{region}</LocationConstraint>"
    return f"<CreateBucketConfiguration>{inside}</CreateBucketConfiguration>".encode()


async def _rules(
    requests: BucketRequests,
    name: str,
    plan: Callable[[bytes | None], Plan],
    wanted: Wanted,
    *,
    new: bool,
) -> Finding:
    """`new`: there is no bucket yet."""
    current = None
    if not new:
        answer = await requests.ask("GET", f"?{name}=")
        if answer.status not in (200, 404):
            return _refused(name, said(answer), plan(None))
        current = answer.body if answer.status == 200 else None
    made = plan(current)
    if made.document is None:
        return Finding(name, "left", made.told)
    if wanted.dry_run:
        return Finding(name, "planned", made.told)
    answer = await requests.ask("PUT", f"?{name}=", made.document)
    if answer.status not in (200, 204):
        return _refused(name, said(answer), made)
    return Finding(name, "made", made.told)


def _refused(name: str, answered: str, plan: Plan) -> Finding:
    permission = PERMISSIONS[name]
    return Finding(
        name,
        "unknown" if answered.startswith(("5", "429")) and "501" not in answered else "wrong",
        f"the store answers {answered}",
        f"set by hand: {plan.told}; or run this with a key that has s3:Get{permission} and"
        f" s3:Put{permission}. A store that has no such rules for a bucket sets them for the whole"
        " server",
    )
