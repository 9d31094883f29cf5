"""A spec with a CDN: settings that the service takes, the secret, and who knows the keys' age."""

import pytest

from photo_api.settings.loading import load
from photo_fleet.render.alert import NOMINAL
from photo_fleet.render.alerts import alerts
from photo_fleet.rules.checks import check
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import SpecError, loads
from photo_fleet.spec.settings import absent, secrets, settings
from tests.delivery.cdns import secrets_of

SPEC = """
[service]
public_url = "https://photos.example.org"
store = "https://s3.example.org"
[balancer]
networks = ["10.0.0.0/8"]
[cdn]
provider = "{provider}"
url = "https://cdn.example.org"
fallback = "stream"
"""
SECRETS = {
    "DATABASE_URL": "postgresql:///photos",
    "S3_ACCESS_KEY": "photos",
    "S3_SECRET_KEY": "591785b794601e212b260e25925636fd",
    "JWT_KEYS": "k1:9f3c1d5e7a8b4260c1d2e3f4a5b69788",
    "SECRET_KEYS": "s1:7d4e0b93a1f65c28e9307b6df184c25a",
    "OPS_TOKEN": "b7e151628aed2a6abf7158809cf4f3c7",
}


@pytest.mark.parametrize("provider", ["nginx", "akamai", "nhn", "cloudfront"])
def test_it_is_all_that_the_service_needs(provider: str) -> None:
    fleet = loads(SPEC.format(provider=provider), "fleet.toml")
    secret = secrets_of("cloudfront ecdsa" if provider == "cloudfront" else provider)[1]
    held = SECRETS | {"CDN_KEYS": f"2026-11:{secret}"}
    assert {one.variable for one in secrets(fleet)} == held.keys()
    assert not [one.code for one in check(fleet) if one.code.startswith("cdn")]
    found = load(settings(fleet) | {f"PHOTO_API_{name}": text for name, text in held.items()}).cdn
    assert (found.provider, found.url, found.fallback) == (
        provider,
        "https://cdn.example.org",
        "stream",
    )
    told = "".join(
        alert.expression for alert in alerts(fleet, NOMINAL) if alert.name == "AgeUnknown"
    )
    assert ('keys="cdn"' in told) == (provider != "cloudfront"), "whose ids have no date"


def test_without_one_nothing_is_said_of_it() -> None:
    assert not [name for name in settings(Fleet()) | absent(Fleet()) if "CDN" in name]
    assert not [secret for secret in secrets(Fleet()) if "cdn" in secret.name]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("provider", "fastly"),
        ("url", "cdn.example.org"),
        ("url", "https://u:word@cdn.example.org"),
        ("url", "https://cdn.example.org/?a=b"),
        ("url", "https://cdn.example.org/a/../b"),
        ("url", "https://cdn.example.org//a"),
        ("url", "https://CDN.example.org"),
        ("digest", "md5"),
        ("fallback", "none"),
    ],
)
def test_what_the_service_would_refuse_is_refused_before(key: str, value: str) -> None:
    with pytest.raises(SpecError, match=rf"cdn\.{key} = "):
        loads(f'[cdn]\n{key} = "{value}"', "fleet.toml")
