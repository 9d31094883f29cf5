"""What counts as a new secret when a file changes, and what does not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from photo_api.settings.loading import variables
from photo_api.settings.secrets import (
    LONGEST,
    PAIRS,
    STORE_KEYS,
    Look,
    SecretFiles,
    with_texts,
)
from photo_api.supervisor.control_channel import LONGEST as LONGEST_MESSAGE
from photo_base.environment import SettingsError, read
from photo_fleet.balancer.database_address import DATABASE_URL

OLD, NEW = "9f3c1d5e7a8b4260c1d2e3f4a5b69788", "71c04b5dd2e8f39a6be1007c2f48d935"
SEALING = "4b1f09c7e2d85a36f0917c4de8b35a62"
TOKEN, NEXT_TOKEN = "e07d5a91c3f8462bb94e1d70a6c2835f", "1f86c0d94e7b3a25d8c1609fe47b52a3"
TEXTS = {
    "DATABASE_URL": "postgresql://u:first@db/photos",
    "S3_ACCESS_KEY": "access-1",
    "S3_SECRET_KEY": "hidden-1",
    "SWIFT_PASSWORD": "a-password-for-keystone",
    "SWIFT_APPLICATION_CREDENTIAL_ID": "credential-1",
    "SWIFT_APPLICATION_CREDENTIAL_SECRET": "another-hidden-1",
    "MEMBER_PASSWORD": "a-password-for-the-balancer",
    "SWIFT_URL_KEYS": "8e5b1c7702f94d3ab6e8d1f04c9a2735",
    "SWIFT_STAGING_URL_KEYS": "d3a7f6120b9c48e5917fe2c8b05d6a43",
    "JWT_KEYS": f"a:{OLD}",
    "SECRET_KEYS": f"s:{SEALING}",
    "OPS_TOKEN": TOKEN,
    "CDN_KEYS": "c:5a0de7c1b98f4326d7e4f1a03c8b6259",
    "LOG_LOKI_AUTH": "photos:a-word-for-loki",
    "LOG_OTLP_AUTH": "a-token-for-lines",
    "LOG_NHN_APP_KEY": "app-key-1",
    "TRACE_OTLP_AUTH": "a-token-for-spans",
    "PUSHGATEWAY_AUTH": "photo-api:a-word-for-the-gateway",
}
ADDRESSES = {
    "PHOTO_API_S3_ENDPOINT": "http://127.0.0.1:1",
    "PHOTO_API_CDN": "nginx",
    "PHOTO_API_CDN_URL": "https://cdn.example.org",
}


class Files:
    """A folder of secrets, looked at by a clock that the test turns."""

    def __init__(self, folder: Path, **texts: str) -> None:
        self.folder = folder
        self.now = 0.0
        self.refused_at = float("-inf")
        for name, text in (TEXTS | texts).items():
            self.write(name, text)
        paths = {f"PHOTO_API_{name}_FILE": str(folder / name) for name in TEXTS}
        self.secrets = SecretFiles(ADDRESSES | paths)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text + "\n")

    def look(self, after: float = 1.0) -> Look:
        self.now += after
        return self.secrets.look(self.now, refused_at=self.refused_at)

    def settle(self) -> Look:
        """What two looks that agree have found."""
        self.look()
        return self.look()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_new_text_counts_when_two_looks_agree(files: Files) -> None:
    assert files.look() == Look()
    files.write("DATABASE_URL", "postgresql://u:second@db/photos")
    assert files.look() == Look(unsettled=True)
    assert files.look(0.5) == Look(unsettled=True), "the looks are too close"
    assert files.secrets.settings.database.url == TEXTS["DATABASE_URL"]
    assert files.look(0.5) == Look(["DATABASE_URL"])
    assert files.secrets.settings.database.url == "postgresql://u:second@db/photos"
    assert files.look() == Look()


def test_a_file_that_is_half_written_never_counts(files: Files) -> None:
    """Each of these pieces would be usable."""
    whole = f"a:{OLD},b:{NEW}"
    for end in range(len(whole) - 20, len(whole)):
        files.write("JWT_KEYS", whole[:end])
        assert files.look() == Look(unsettled=True)
    files.write("JWT_KEYS", whole)
    assert files.settle() == Look(["JWT_KEYS"])
    assert list(files.secrets.settings.auth.jwt_keys) == ["a", "b"]


def emptied(path: Path) -> None:
    path.write_text("")


def removed(path: Path) -> None:
    path.unlink()


def binary(path: Path) -> None:
    path.write_bytes(b"a:\xff" + OLD.encode())


def garbage(path: Path) -> None:
    path.write_text("hunter2hunter2")


def endless(path: Path) -> None:
    path.write_text("x" * 10_000_000)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [emptied, removed, binary, garbage, endless, a_folder])
def test_what_cannot_be_used_keeps_the_old_and_is_told_once(
    files: Files, damage: Callable[[Path], None]
) -> None:
    damage(files.folder / "JWT_KEYS")
    files.write("OPS_TOKEN", NEXT_TOKEN)
    assert files.look().problems == []
    look = files.look()
    assert look.changed == ["OPS_TOKEN"], "the others are not held up"
    [problem] = look.problems
    assert "PHOTO_API_JWT_KEYS" in problem
    assert "hunter2" not in problem
    assert files.look() == files.look(3600) == Look()
    assert files.secrets.settings.auth.jwt_keys == {"a": OLD}
    if (files.folder / "JWT_KEYS").is_dir():
        (files.folder / "JWT_KEYS").rmdir()
    files.write("JWT_KEYS", f"b:{NEW}")
    assert files.settle() == Look(["JWT_KEYS"])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("DATABASE_URL", "postgresql://u:p@h/db\nanother line", "must be one line"),
        ("DATABASE_URL", "postgresql://u:p\0@h/db", "must be one line"),
        ("DATABASE_URL", "postgresql://u:p@h:99999/db", "must name ports from 1 to 65535"),
        ("DATABASE_URL", "postgresql://u:p@h:5432,[::1]:x/db", "must name ports from 1 to 65535"),
        ("S3_SECRET_KEY", "hidden\thidden", "must be one line"),
    ],
)
def test_what_nothing_could_be_reached_with_is_not_taken(
    files: Files, name: str, content: str, problem: str
) -> None:
    files.refused_at = 3600
    before = dict(files.secrets.texts)
    files.write(name, content)
    look = files.settle()
    assert look.changed == []
    assert any(problem in told for told in look.problems)
    assert files.secrets.texts == before


@pytest.mark.parametrize(("public", "secret"), PAIRS)
def test_the_keys_of_the_store_change_together(files: Files, public: str, secret: str) -> None:
    files.write(public, "access-2")
    [problem] = files.settle().problems
    assert f"waiting for PHOTO_API_{secret}_FILE" in problem
    assert files.look(3600) == Look()
    assert files.secrets.texts[public] == TEXTS[public]
    files.write(secret, "hidden-2")
    assert files.settle() == Look([public, secret])
    found = files.secrets.settings
    both = (found.s3.access_key, found.s3.secret_key)
    if public not in STORE_KEYS:
        both = (found.swift.credential_id, found.swift.credential_secret)
    assert both == ("access-2", "hidden-2")


@pytest.mark.parametrize(("public", "secret"), PAIRS)
def test_a_secret_key_alone_counts_once_the_store_refuses(
    files: Files, public: str, secret: str
) -> None:
    files.refused_at = files.now
    files.write(secret, "hidden-2")
    assert files.settle().changed == [], "that refusal is from before"
    files.refused_at = files.now
    assert files.look() == Look([secret])
    assert files.secrets.texts[public] == TEXTS[public]


def test_every_secret_is_looked_at() -> None:
    assert {v.name for _, v in variables() if v.secret} - {"DATABASE_DIRECT_URL"} == set(TEXTS)


def test_all_secrets_together_fit_into_one_message() -> None:
    names = [v.name for _, v in variables() if v.secret]
    assert len(names) * (LONGEST + 50) < LONGEST_MESSAGE


def test_what_is_told_stands_for_the_files(files: Files) -> None:
    told = with_texts({"PHOTO_API_JWT_KEYS_FILE": "/gone", "PATH": "/bin"}, {"JWT_KEYS": "k"})
    assert told == {"PHOTO_API_JWT_KEYS": "k", "PATH": "/bin"}


def test_the_start_refuses_what_it_always_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        Files(tmp_path, JWT_KEYS="a:short")
    assert "32 characters" in str(refused.value)
    Files(tmp_path)
    with pytest.raises(SettingsError) as refused:
        SecretFiles(
            {"PHOTO_API_JWT_KEYS": f"a:{OLD}", "PHOTO_API_JWT_KEYS_FILE": str(tmp_path / "x")}
        )
    assert "must not be set together" in str(refused.value)


def test_a_weak_secret_is_not_taken_in_a_good_one_s_place(files: Files) -> None:
    for text, reason in (
        (f"b:{NEW[:16]},a:{OLD}", "32 characters"),
        ("b:" + "0123456789abcdef" * 2, "is not random"),
        (f"b:{SEALING},a:{OLD}", "is the same as"),
    ):
        files.write("JWT_KEYS", text)
        look = files.settle()
        assert look.changed == []
        assert reason in look.problems[0], look.problems
        assert text not in look.problems[0]
        assert files.secrets.settings.auth.jwt_keys == {"a": OLD}
    files.write("JWT_KEYS", f"b:{NEW},a:{OLD}")
    assert files.settle().changed == ["JWT_KEYS"]


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    problems: list[str] = []
    environ = {"PHOTO_FLEET_DATABASE_URL_FILE": "/dev/zero"}
    read(DATABASE_URL, environ, problems, "PHOTO_FLEET_")
    assert "bytes" in problems[0]
