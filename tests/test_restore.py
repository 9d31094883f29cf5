"""docs/restore.md, carried out: the database comes back from a dump, the store has gone on."""

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from photo_local.postgres import _binary
from tests.own_stage import ask, own_bucket, own_database
from tests.service import User, cli, eventually, jpeg, put, running_service, serving


@pytest.fixture
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    own = own_bucket(stack, environ) | {"PHOTO_API_SWEEP_INTERVAL": "1"}
    with own_database(stack, own) as settings:
        yield settings


def tool(name: str, *arguments: str) -> None:
    done = subprocess.run([_binary(name), *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def titles(user: User) -> dict[str | None, int]:
    return {photo["title"]: photo["id"] for photo in user.api.get("/photos/").json()}


def content(user: User, photo_id: int) -> bytes:
    return user.api.get(f"/photos/{photo_id}/image", follow_redirects=True).content


def bulk(user: User, operation: str, photo_id: int) -> None:
    body = {"operation": operation, "photo_ids": [photo_id]}
    assert user.api.post("/photos/bulk", json=body).raise_for_status().json()["changed"] == 1


NOTED = "SELECT FROM unreferenced_objects WHERE object_key = $1"
"""A file that the sweep has not deleted yet."""


def test_what_was_acknowledged_after_the_backup_comes_back(
    settings: dict[str, str], tmp_path: Path
) -> None:
    url, dump = settings["PHOTO_API_DATABASE_URL"], str(tmp_path / "photo-api.dump")
    old, begun, newer = jpeg(), jpeg(), jpeg(90, 60)
    with running_service(settings, tmp_path) as before, before.new_user() as user:
        album = user.album()["id"]
        user.upload(old, album, title="old")
        deleted, purged = (user.upload(album_id=album, title="deleted")["id"] for _ in range(2))
        presigned = user.presign(album, begun, title="begun")
        put(presigned, begun).raise_for_status()
        trashed = content(user, deleted)
        lost = ask(settings, "SELECT object_key FROM photos WHERE id = $1", purged)[0][0]
        for one in (deleted, purged):
            user.api.delete(f"/photos/{one}").raise_for_status()
        tool("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={url}")
        user.confirm(presigned["photo_id"]).raise_for_status()
        bulk(user, "restore", deleted)
        bulk(user, "purge", purged)
        eventually(lambda: not ask(settings, NOTED, lost), 30)
        was = user.photo(user.upload(newer, album, title="newer")["id"])
        refused = cli(settings, "reconcile", "--restored", "--adopt", "--force")
        assert refused.returncode == 1
        assert "Stop the instances first" in refused.stderr
        key = ask(settings, "SELECT object_key FROM photos WHERE id = $1", was["id"])[0][0]

    tool("pg_restore", "--clean", "--if-exists", "--no-owner", f"--dbname={url}", dump)
    # The dump is from last night.
    ask(settings, "UPDATE instances SET heartbeat_at = heartbeat_at - interval '8 hours'")
    # What the dump would hold of an upload whose bytes were there and whose row was not.
    ask(settings, "INSERT INTO unreferenced_objects VALUES ($1, now())", key)
    done = cli(settings, "reconcile", "--restored", "--adopt", "--force", "--json")
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert sorted(report["adopted"]) == [presigned["photo_id"], was["id"]]
    assert report["missing_originals"] == [lost], "which was in the trash, and is gone for good"

    with serving(settings, tmp_path / "after.log") as after:
        eventually(after.is_healthy, 30)
        user.api = httpx.Client(base_url=f"{after.url}/api", headers=user.api.headers, timeout=30)
        back = titles(user)
        assert set(back) == {"old", "begun", None}, "a title is in the database alone"
        found = user.rendered(back[None])
        assert {name: content(user, number) for name, number in back.items()} == {
            "old": old, "begun": begun, None: newer,
        }  # fmt: skip
        assert (found["id"], found["width"]) == (was["id"], 90)
        stored, created = map(datetime.fromisoformat, (found["created_at"], was["created_at"]))
        assert timedelta(0) <= created - stored < timedelta(minutes=1)
        assert [photo["id"] for photo in user.api.get(f"/albums/{album}").json()["photos"]] == [
            back["old"], back["begun"],
        ]  # fmt: skip
        trash = {photo["id"] for photo in user.api.get("/photos/trash").json()}
        assert trash == {deleted, purged}, "as when the dump was made"
        bulk(user, "restore", deleted)
        assert content(user, deleted) == trashed
        assert [photo["id"] for photo in user.api.get(f"/albums/{album}").json()["photos"]] == [
            back["old"], deleted, back["begun"],
        ]  # fmt: skip
        assert user.upload(album_id=album)["id"] > was["id"]
