"""A spec's `[logs]` and `[tracing]` become settings that the service takes, and secrets."""

from photo_api.settings.loading import load
from photo_base.embedded import EmbeddedAddresses
from photo_fleet.local_fleet.local_spec import local_spec
from photo_fleet.spec.loading import loads
from photo_fleet.spec.settings import secrets, settings

SPEC = """
[logs]
loki = "https://logs.example.org/loki"
loki_tenant = "photos"
loki_auth = true
otlp = "http://10.0.0.7:4318"
nhn = true
[tracing]
otlp = "http://10.0.0.8:4318"
otlp_auth = true
sampled = "0.5%"
strangers = "3/s"
store = false
[service]
workers = 2
"""
EMBEDDED = EmbeddedAddresses("", "", "http://127.0.0.1:1", "", "photos", "us-east-1", "", "", {})
BESIDE = {
    "PHOTO_API_DATABASE_URL": "postgresql:///photos",
    "PHOTO_API_S3_ENDPOINT": "http://127.0.0.1:8333",
    "PHOTO_API_JWT_KEYS": "k1:9f3c1d5e7a8b4260c1d2e3f4a5b69788",
    "PHOTO_API_SECRET_KEYS": "s1:7d4e0b93a1f65c28e9307b6df184c25a",
}


def test_a_fleet_s_collectors_are_settings_and_secrets_of_its_instances() -> None:
    fleet = loads(SPEC, "fleet.toml")
    found = [secret.variable for secret in secrets(fleet) if "LOG" in secret.variable]
    assert found == ["LOG_LOKI_AUTH", "LOG_NHN_APP_KEY"]
    logs = load(BESIDE | settings(fleet)).logs
    assert (logs.loki_url, logs.loki_tenant) == ("https://logs.example.org/loki", "photos")
    assert logs.otlp_url == "http://10.0.0.7:4318"


def test_a_fleet_s_tracing_is_that_of_each_worker() -> None:
    fleet = loads(SPEC, "fleet.toml")
    assert "TRACE_OTLP_AUTH" in [secret.variable for secret in secrets(fleet)]
    logs = load(BESIDE | settings(fleet)).logs
    assert logs.trace_url == "http://10.0.0.8:4318"
    assert (logs.trace_ratio, logs.trace_strangers, logs.trace_store) == (0.005, 1.5, "off")
    without = settings(loads(SPEC.replace("otlp =", "# otlp ="), "fleet.toml"))
    assert not [name for name in without if "TRACE" in name]


def test_a_fleet_on_one_machine_sends_its_lines_to_nobody() -> None:
    local = local_spec(loads(SPEC, "fleet.toml"), EMBEDDED, "http://127.0.0.1:2")
    assert not [
        name
        for name in settings(local)
        if "TRACE" in name or ("LOG_" in name and "FLUSH" not in name)
    ]
    assert not [one for one in secrets(local) if "LOG" in one.variable or "TRACE" in one.variable]
