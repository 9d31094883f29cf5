"""The S3 access key of the machine's own role, from the EC2 metadata service."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from photo_api.cloud.metadata import InstanceMetadata, NoAnswer, json_object
from photo_api.cloud.sigv4 import Credentials


async def fetch_role_credentials(metadata: InstanceMetadata) -> Credentials:
    """The present key of the machine's role. Raises `NoAnswer`."""
    path = "iam/security-credentials/"
    try:
        roles = await metadata.get(path)
        answer = await metadata.get(path + quote(roles.split("\n")[0])) if roles else None
        if answer is None:
            raise NoAnswer("the machine has no role")
        return _parse(json_object(answer))
    except (ValueError, KeyError, TypeError) as error:
        # Only the kind: a message could quote the answer, which holds the key.
        raise NoAnswer(type(error).__name__) from None


def _parse(found: Mapping[str, Any]) -> Credentials:
    access_key, secret_key, token = (
        found[name] for name in ("AccessKeyId", "SecretAccessKey", "Token")
    )
    if not all(isinstance(value, str) for value in (access_key, secret_key, token)):
        raise TypeError
    expires = datetime.fromisoformat(found["Expiration"])
    return Credentials(access_key, secret_key, token, expires.timestamp())
