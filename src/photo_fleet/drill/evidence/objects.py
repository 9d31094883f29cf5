"""What is in the store: the keys of a bucket, with their sizes."""

import re
from dataclasses import dataclass, field
from datetime import timedelta

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


async def list_objects(bucket: Bucket) -> dict[str, int]:
    """{key: bytes} of all objects. Raises `CannotList`."""
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
