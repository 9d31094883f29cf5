"""What is in the store: the keys of a bucket, with their sizes."""

import re
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
from obstore.exceptions import BaseError
from obstore.store import S3Store

STATUS = re.compile(r"status code: (\d{3})")


class CannotList(Exception):
    """The store refused, or did not answer."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and a key that may list it."""

    endpoint: str
    name: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """Containers of a Swift, and a user of its Keystone's version 3 that may list them."""

    url: str
    containers: tuple[str, ...]
    auth_url: str
    user: str
    project: str
    password: str = field(repr=False)


async def list_objects(place: Bucket | Account) -> dict[str, int]:
    """{key: bytes} of all objects. Raises `CannotList`."""
    if isinstance(place, Bucket):
        return await _list_bucket(place)
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        try:
            headers = {"X-Auth-Token": await _token(http, place)}
            found = [await _list_container(http, place, one, headers) for one in place.containers]
        except (httpx.HTTPError, LookupError) as error:
            raise CannotList(f"listing {place.url} gave {type(error).__name__}") from None
    return {key: size for one in found for key, size in one.items()}


async def _token(http: httpx.AsyncClient, account: Account) -> str:
    domain = {"id": "default"}
    who = {"name": account.user, "domain": domain, "password": account.password}
    identity = {"methods": ["password"], "password": {"user": who}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": account.project}}}}
    answer = await http.post(f"{account.auth_url}/auth/tokens", json=body)
    return answer.raise_for_status().headers["X-Subject-Token"]


async def _list_container(
    http: httpx.AsyncClient, account: Account, name: str, headers: dict[str, str]
) -> dict[str, int]:
    """Page by page, until one is empty."""
    found: dict[str, int] = {}
    while True:
        query = {"format": "json", "marker": max(found, default="")}
        answer = await http.get(f"{account.url}/{name}", params=query, headers=headers)
        page = answer.raise_for_status().json()
        if not page:
            return found
        found |= {item["name"]: item["bytes"] for item in page}


async def _list_bucket(bucket: Bucket) -> dict[str, int]:
    store = S3Store(
        bucket.name,
        endpoint=bucket.endpoint,
        # A stray AWS_ENDPOINT_URL_S3 of the environment would win otherwise.
        aws_endpoint_url_s3=bucket.endpoint,
        region=bucket.region,
        access_key_id=bucket.access_key,
        secret_access_key=bucket.secret_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": timedelta(seconds=30)},
        retry_config={"retry_timeout": timedelta(seconds=30)},
    )
    try:
        return {found["path"]: found["size"] async for page in store.list() for found in page}
    except (BaseError, OSError) as error:
        # The rest of its text may quote the signature.
        status = STATUS.search(str(error))
        told = status[1] if status else type(error).__name__
        raise CannotList(f"listing {bucket.name} gave {told}") from None
