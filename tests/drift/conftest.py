"""A group in moto, and the environment of AWS's tools."""

from collections.abc import Iterator
from typing import Any

import pytest

from photo_fleet.render.aws.template import template
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.targets import for_target
from tests.drift.moto_server import moto_server

FLEET = for_target(Fleet(), "aws")
TEMPLATE: dict[str, Any] = template(FLEET)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nobody's account; no file of credentials and no machine's role is looked for."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "secret-of-nobody",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Its address."""
    with moto_server() as address:
        yield address
