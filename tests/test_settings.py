"""Settings: documented, read, refused with a clear message, secret where they are secrets."""

import ast
import json
from itertools import combinations
from pathlib import Path

import pytest

from photo_api.settings.loading import HeldSecrets, load, table, variables
from photo_api.telemetry import log_and_crash, loki, otlp, otlp_traces
from photo_base.environment import SettingsError
from tests.service import cli

ROOT = Path(__file__).parent.parent
USABLE = {
    "PHOTO_API_DATABASE_URL": "postgresql://u:hunter2hunter2@/photos",
    "PHOTO_API_S3_ENDPOINT": "http://127.0.0.1:8333",
    "PHOTO_API_JWT_KEYS": "k1:9f3c1d5e7a8b4260c1d2e3f4a5b69788",
    "PHOTO_API_SECRET_KEYS": "s1:7d4e0b93a1f65c28e9307b6df184c25a",
}


def test_the_table_in_the_docs_is_the_generated_one() -> None:
    documented = (ROOT / "docs/settings.md").read_text()
    assert table() in documented, "run: photo-api config table, and put it into docs/settings.md"


def test_every_setting_is_read() -> None:
    """Some code outside the settings, or a property of theirs, takes each field by its name."""
    read = set()
    for path in (ROOT / "src/photo_api").rglob("*.py"):
        tree = ast.parse(path.read_text())
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    unread = [path for path, _ in variables() if path.rsplit(".", 1)[-1] not in read]
    assert unread == []


def test_the_smallest_configuration() -> None:
    settings = load(USABLE)
    assert settings.mode == "production"
    assert settings.database.pool_size == 10


@pytest.mark.parametrize("name", USABLE)
def test_what_must_be_given_is_named(name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({key: value for key, value in USABLE.items() if key != name})
    assert [name in problem for problem in refused.value.problems] == [True]


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("PHOTO_API_DATABASE_POOL", "many", "DATABASE_POOL"),
        ("PHOTO_API_DATABASE_POOL", "", "a whole number between 1 and 500"),
        ("PHOTO_API_DATABASE_POOL", "0", "between 1 and 500"),
        ("PHOTO_API_LAME_DUCK", "", "a number between"),
        ("PHOTO_API_MODE", "prod", "production, development"),
        ("PHOTO_API_DATABASE_URL", "mysql://x", "postgresql://"),
        ("PHOTO_API_DATABASE_URL", "postgresql://u@h/d?sslmode=verify_full", "sslmode of"),
        ("PHOTO_API_S3_ENDPOINT", "127.0.0.1:8333", "http://"),
        ("PHOTO_API_S3_ENDPOINT", "https://s3.example.org/photos/", "must not name the bucket"),
        ("PHOTO_API_S3_ENDPOINT", "https://photos.s3.example.org", "must not name the bucket"),
        ("PHOTO_API_S3_PUBLIC_ENDPOINT", "https://cdn.example.org/photos", "the bucket"),
        *(("PHOTO_API_S3_BUCKET", name, "a bucket's name") for name in ("", "..", "a/b", "사진들")),
        ("PHOTO_API_S3_ENDPOINT", "http://127.0.0.1:83333", "a port from 1 to 65535"),
        ("PHOTO_API_S3_ENDPOINT", "http://127.0.0.1:0", "a port from 1 to 65535"),
        ("PHOTO_API_LOG_LOKI_URL", "http://lo ki:3100", "such as https://"),
        ("PHOTO_API_PUSHGATEWAY", "http://[::::]", "such as https://"),
        ("PHOTO_API_TRACE_OTLP_URL", "http://[::1", "such as https://"),
        ("PHOTO_API_S3_ACCESS_KEY", "only-one", "set together"),
        ("PHOTO_API_S3_CA_FILE", "/no/such/file", "must name a PEM file"),
        ("PHOTO_API_S3_CA_FILE", "/etc/passwd", "must name a PEM file"),
        ("PHOTO_API_JWT_KEYS", "k1:short", "32 characters"),
        ("PHOTO_API_JWT_KEYS", "k1:" + "change-me-" * 4, "not random"),
        ("PHOTO_API_JWT_KEYS", "k1:" + "0123456789abcdef" * 2, "not random"),
        ("PHOTO_API_JWT_KEYS", "k1:" + "7c1f9a02e4b8d365" * 2, "not random"),
        ("PHOTO_API_JWT_KEYS", "k1:" + "31415926535897932384626433832795", "128 bits"),
        ("PHOTO_API_OPS_TOKEN", "b7e151628aed2a6a", "128 bits"),
        ("PHOTO_API_OPS_TOKEN", "9f3c1d5e7a8b4260c1d2e3f4a5b69788", "is the same as"),
        ("PHOTO_API_TRUSTED_PROXIES", "10.0.0.0/8,0.0.0.0/0", "nearly everybody"),
        ("PHOTO_API_TRUSTED_PROXIES", "::/0", "nearly everybody"),
        ("PHOTO_API_TRUSTED_PROXIES", "fe80::%eth0/64", "has a zone"),
        ("PHOTO_API_JWT_KEYS", "k1:" + "a" * 32, "not random"),
        ("PHOTO_API_SECRET_KEYS", "s1:" + "0123456789" * 4 + ",s1:" + "9876543210" * 4, "twice"),
        ("PHOTO_API_TRUSTED_PROXIES", "10.0.0.1/8", "TRUSTED_PROXIES"),
        ("PHOTO_API_CORS_ORIGINS", "front.example.org", "not an origin"),
        ("PHOTO_API_CORS_ORIGINS", "https://front.example.org:*", "has any port"),
        ("PHOTO_API_CORS_ORIGINS", "https://front.example.org/app", "not an origin"),
        ("PHOTO_API_CORS_ORIGINS", "https://front .example.org", "not an origin"),
        ("PHOTO_API_CORS_ORIGINS", "https://front.example.org:70000", "not an origin"),
        ("PHOTO_API_LAMEDUCK", "15", "not a setting"),
        ("PHOTO_API_URL_WINDOW_FILE", "/x", "not a setting"),
    ],
)
def test_a_wrong_value_is_refused_with_a_reason(name: str, value: str, word: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(USABLE | {name: value})
    assert word in str(refused.value)


def test_origins_are_taken_in_any_spelling_and_kept_in_that_of_browsers() -> None:
    written = "https://Front.Example.org:443, https://front.example.org/, https://사진.한국:8443"
    known = load(USABLE | {"PHOTO_API_CORS_ORIGINS": written}).http.cors_origins
    assert known == ("https://front.example.org", "https://xn--vf4bi0o.xn--3e0b707e:8443")


DOORS = {
    "PHOTO_API_JWT_KEYS": "k1:%s",
    "PHOTO_API_SECRET_KEYS": "s1:%s",
    "PHOTO_API_OPS_TOKEN": "%s",
    "PHOTO_API_S3_SECRET_KEY": "%s",
    "PHOTO_API_DATABASE_URL": "postgresql://u:%s@/photos",
    "PHOTO_API_DATABASE_DIRECT_URL": "postgresql:///photos?user=u&password=%s",
    "PHOTO_API_LOG_LOKI_AUTH": "123456:%s",
    "PHOTO_API_LOG_NHN_APP_KEY": "%s",
    "PHOTO_API_PUSHGATEWAY_AUTH": "photo-api:%s",
    "PHOTO_API_CDN_KEYS": "c1:%s",
}
CDN = {"PHOTO_API_CDN": "nginx", "PHOTO_API_CDN_URL": "https://cdn.example.org"}


@pytest.mark.parametrize(("one", "other"), list(combinations(DOORS, 2)))
def test_no_secret_opens_two_doors(one: str, other: str) -> None:
    """Whatever its case, and what is put before it."""
    secret = "3e7f90c1b2d4a5866f1e0d9c8b7a4352"
    environ = USABLE | {"PHOTO_API_S3_ACCESS_KEY": "a", "PHOTO_API_S3_SECRET_KEY": "b"}
    environ |= {one: DOORS[one] % secret, other: DOORS[other] % f"x{secret.upper()}"}
    environ |= CDN if "PHOTO_API_CDN_KEYS" in (one, other) else {}
    with pytest.raises(SettingsError) as refused:
        load(environ)
    [problem] = refused.value.problems
    assert "is the same as" in problem
    assert one in problem
    assert other in problem
    assert secret not in problem.lower()


def test_what_development_does_not_refuse_is_told_by_name_alone() -> None:
    """A database's password may be short, but nobody's guess."""
    taken = "photo-api-development-secret-0123456789"
    environ = USABLE | {
        "PHOTO_API_MODE": "development",
        "PHOTO_API_DATABASE_URL": "postgresql://u:postgres@/photos",
        "PHOTO_API_JWT_KEYS": f"k1:{taken}",
        "PHOTO_API_OPS_TOKEN": taken.upper(),
        "PHOTO_API_S3_ACCESS_KEY": "a",
        "PHOTO_API_S3_SECRET_KEY": "x7Kp2mQz",
    }
    faults = HeldSecrets(load(environ)).faults
    key = "PHOTO_API_JWT_KEYS, the secret of 'k1',"
    assert faults.weak.keys() == {key, "PHOTO_API_OPS_TOKEN"}
    assert faults.guessable.keys() == {"PHOTO_API_DATABASE_URL, its password,"}
    assert faults.same == ((key, "PHOTO_API_OPS_TOKEN"),)
    assert not [word for word in (taken, "postgres", "x7Kp") if word in repr(faults).casefold()]


@pytest.mark.parametrize(
    "name",
    [
        *("LOG_LOKI_URL", "LOG_OTLP_URL", "LOG_NHN_URL", "TRACE_OTLP_URL", "PUSHGATEWAY"),
        *("S3_ENDPOINT", "S3_PUBLIC_ENDPOINT", "SWIFT_URL", "SWIFT_PUBLIC_ENDPOINT"),
        *("CDN_URL", "SWIFT_AUTH_URL", "PUBLIC_URL", "METADATA_URL", "AUTOSCALING_URL"),
    ],
)
def test_no_address_holds_a_secret(name: str) -> None:
    """They are shown, and put into URLs that clients get."""
    with pytest.raises(SettingsError) as refused:
        load(USABLE | {f"PHOTO_API_{name}": "https://photo-api:3e7f90c1b2d4@10.0.0.7"})
    assert "must not hold a secret" in str(refused.value)
    assert "3e7f90c1b2d4" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("LOG_LOKI_URL", loki.PATH),
        ("LOG_OTLP_URL", otlp.PATH),
        ("LOG_NHN_URL", log_and_crash.PATH),
        ("TRACE_OTLP_URL", otlp_traces.PATH),
        ("PUSHGATEWAY", "/metrics"),
    ],
)
def test_what_is_added_to_the_address_of_a_sink_is_not_in_it(name: str, path: str) -> None:
    """It would be there twice, and all that is sent would meet 404."""
    for slash in ("", "/"):
        with pytest.raises(SettingsError, match=f"must not end with {path}, which is added"):
            load(USABLE | {f"PHOTO_API_{name}": f"https://10.0.0.7/x{path}{slash}"})
    load(USABLE | {f"PHOTO_API_{name}": "https://10.0.0.7/x"})


def test_one_role_may_have_two_addresses() -> None:
    load(USABLE | {"PHOTO_API_DATABASE_DIRECT_URL": "postgresql://u:hunter2hunter2@b/photos"})


def test_one_loki_may_be_asked_both_ways() -> None:
    load(USABLE | {f"PHOTO_API_LOG_{name}_AUTH": "u:hunter2hunter2" for name in ("LOKI", "OTLP")})


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load({"PHOTO_API_DATABASE_POOL": "x", "PHOTO_API_MODE": "y"})
    assert len(refused.value.problems) == 2 + len(USABLE)


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(USABLE["PHOTO_API_JWT_KEYS"] + "\n")
    environ = {key: value for key, value in USABLE.items() if key != "PHOTO_API_JWT_KEYS"}
    settings = load(environ | {"PHOTO_API_JWT_KEYS_FILE": str(file)})
    assert settings.auth.jwt_keys == {"k1": "9f3c1d5e7a8b4260c1d2e3f4a5b69788"}
    with pytest.raises(SettingsError, match="cannot be read"):
        load(environ | {"PHOTO_API_JWT_KEYS_FILE": str(tmp_path / "missing")})
    with pytest.raises(SettingsError, match="together"):
        load(USABLE | {"PHOTO_API_JWT_KEYS_FILE": str(file)})
    file.write_bytes(b"\xff\xfe k1:hunter2")
    with pytest.raises(SettingsError, match=r"file .*keys cannot be read: not text$"):
        load(environ | {"PHOTO_API_JWT_KEYS_FILE": str(file)})


def test_a_refusal_never_shows_a_secret() -> None:
    with pytest.raises(SettingsError) as refused:
        load(USABLE | {"PHOTO_API_JWT_KEYS": "k1:hunter2", "PHOTO_API_SECRET_KEYS": "hunter2"})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("command", [["serve"], ["worker"], ["migrate"], ["config", "check"]])
def test_nothing_starts_without_addresses(command: list[str]) -> None:
    """A typo on one machine must not make a private, empty service."""
    done = cli({"PATH": "/usr/bin", "PHOTO_API_DATABSE_URL": "postgresql://x"}, *command)
    assert done.returncode == 2
    assert "PHOTO_API_DATABASE_URL must be set" in done.stderr
    assert "PHOTO_API_DATABSE_URL is not a setting" in done.stderr


def test_config_check_for_machines() -> None:
    assert json.loads(cli(USABLE, "config", "check", "--json").stdout)["ok"] is True
    refused = cli({}, "config", "check", "--json")
    assert (refused.returncode, json.loads(refused.stdout)["ok"]) == (2, False)


def test_development_mode_takes_simple_secrets() -> None:
    simple = {"PHOTO_API_MODE": "development", "PHOTO_API_JWT_KEYS": "k1:" + "a" * 32}
    assert load(USABLE | simple).mode == "development"


SWIFT = {
    "PHOTO_API_STORE": "swift",
    "PHOTO_API_SWIFT_URL": "https://swift.example.org/v1/AUTH_1234",
    "PHOTO_API_SWIFT_URL_KEYS": "8e5b1c7702f94d3ab6e8d1f04c9a2735",
    "PHOTO_API_SWIFT_STAGING_URL_KEYS": "d3a7f6120b9c48e5917fe2c8b05d6a43",
    "PHOTO_API_SWIFT_AUTH_URL": "https://keystone.example.org/v3",
    "PHOTO_API_SWIFT_USER": "photo-api",
    "PHOTO_API_SWIFT_PASSWORD": "a password of it",
    "PHOTO_API_SWIFT_PROJECT_ID": "1234",
}


def test_swift_needs_its_own_addresses_and_none_of_s3() -> None:
    usable = {name: value for name, value in USABLE.items() if "S3_" not in name}
    settings = load(usable | SWIFT)
    assert settings.swift.url == "https://swift.example.org/v1/AUTH_1234"
    with pytest.raises(SettingsError) as refused:
        load(usable | {"PHOTO_API_STORE": "swift"})
    told = {problem.split()[0] for problem in refused.value.problems}
    assert told == SWIFT.keys() - {"PHOTO_API_STORE"}


CREDENTIAL = {
    "PHOTO_API_SWIFT_APPLICATION_CREDENTIAL_ID": "4f2a",
    "PHOTO_API_SWIFT_APPLICATION_CREDENTIAL_SECRET": "what Keystone has made",
}
WHO = ("USER", "PASSWORD", "PROJECT_ID")


def without(*names: str) -> dict[str, str]:
    gone = {f"PHOTO_API_SWIFT_{name}" for name in names}
    return {name: value for name, value in (USABLE | SWIFT).items() if name not in gone}


def test_a_project_by_its_name_or_an_application_credential_will_do() -> None:
    settings = load(without("PROJECT_ID") | {"PHOTO_API_SWIFT_PROJECT_NAME": "photos"})
    assert (settings.swift.project, settings.swift.project_name) == ("", "photos")
    settings = load(without(*WHO) | CREDENTIAL)
    assert settings.swift.credential_id == "4f2a"
    assert "what Keystone has made" not in str(HeldSecrets(settings).faults)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        (without("PROJECT_ID"), "PHOTO_API_SWIFT_PROJECT_ID must be set"),
        (without() | {"PHOTO_API_SWIFT_PROJECT_NAME": "photos"}, "set one of them"),
        *((without(*WHO) | {name: "x"}, "must be set") for name in CREDENTIAL),
        (without() | CREDENTIAL, "of its own: remove"),
        (
            without(*WHO) | CREDENTIAL | {"PHOTO_API_SWIFT_AUTH_URL": "https://id.example/v2.0"},
            "needs a Keystone of version 3",
        ),
    ],
)
def test_who_swift_cannot_be_asked_as(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(environ)
    [problem] = refused.value.problems
    assert reason in problem


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("URL", "https://swift.example.org", "must end with /v1/"),
        ("URL", "https://swift.example.org/v1/", "must end with /v1/"),
        ("URL", "https://swift.example.org/v1/..", "must end with /v1/"),
        ("URL", "https://swift.example.org/v1/AUTH_1234%2fphotos", "must end with /v1/"),
        ("URL", "https://swift.example.org/v1/AUTH_사진", "must end with /v1/"),
        ("URL", "https://swift.example.org//v1/AUTH_1234", "must end with /v1/"),
        ("PUBLIC_ENDPOINT", "https://swift.example.org/v1/AUTH_1234", "without a path"),
        ("AUTH_URL", "https://keystone.example.org", "must end with /v3 or /v2.0"),
        ("CONTAINER", "a/b", "without a slash"),
        ("CONTAINER", "..", "not . or .."),
        ("STAGING_CONTAINER", ".", "not . or .."),
        ("STAGING_CONTAINER", "photos", "another container"),
        ("URL_KEYS", "short", "32 ASCII characters"),
        ("URL_KEYS", "8e5b1c7702f94d3ab6e8d1f04c9a2735," * 2, "two different ones"),
        ("URL_KEYS", "0123456789abcdef0123456789abcdef", "is not random"),
        ("STAGING_URL_KEYS", SWIFT["PHOTO_API_SWIFT_URL_KEYS"], "other keys"),
        ("SEGMENT_SIZE", "1000", "between"),
        ("DIGEST", "md5", "must be one of"),
    ],
)
def test_what_swift_cannot_be_used_with(name: str, value: str, reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(USABLE | SWIFT | {f"PHOTO_API_SWIFT_{name}": value})
    assert reason in str(refused.value)
    assert "KEYS" not in name or value not in str(refused.value)
