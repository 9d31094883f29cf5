"""What is swept of uploads that were broken off: by kill -9, or in the middle of their parts."""

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from photo_api.maintenance import Maintenance
from photo_api.photos.upload_queries import note_object
from photo_api.settings.loading import load
from tests.own_stage import ask, at_work, database_of, holds, own_database, store_of
from tests.service import Service, User, eventually, jpeg, running_service
from tests.test_sweep import exists, let_time_pass, sweep


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture
def user(settings: dict[str, str], tmp_path: Path) -> Iterator[User]:
    """Of a service that neither sweeps nor makes renditions."""
    folder = tmp_path / "kept"
    folder.mkdir()
    with running_service(settings, folder, "--no-jobs") as service, service.new_user() as user:
        yield user


def test_a_server_upload_killed_before_its_commit_is_swept(
    settings: dict[str, str], user: User, tmp_path: Path
) -> None:
    """Its bytes are in the store, its row is not yet in the database: kill -9."""
    owner = user.account["id"]
    noted = "SELECT object_key FROM unreferenced_objects WHERE object_key LIKE $1"
    with running_service(settings, tmp_path, "--no-jobs") as doomed, asyncio.Runner() as loop:
        holder = loop.run(asyncpg.connect(settings["PHOTO_API_DATABASE_URL"]))
        album = user.album()["id"]
        loop.run(holder.execute("BEGIN; LOCK TABLE photos IN SHARE MODE"))
        sending = Thread(target=send, args=(doomed, user, album))
        sending.start()
        eventually(lambda: loop.run(holder.fetch(noted, f"photos/{owner}/%")))
        [[key]] = loop.run(holder.fetch(noted, f"photos/{owner}/%"))
        store = store_of(settings)
        eventually(lambda: loop.run(exists(store, key)))
        kill(doomed)
        loop.run(holder.execute("COMMIT"))
        loop.run(holder.close())
        sending.join()
    assert user.api.get("/photos/").json() == []
    assert holds(settings, key)
    asyncio.run(age_and_sweep(settings))
    assert not holds(settings, key)
    assert ask(settings, noted, f"photos/{owner}/%") == []


@pytest.mark.s3_only("multipart uploads; a large object's segments have tests of their own")
async def test_the_parts_of_a_broken_off_upload_are_thrown_away(
    settings: dict[str, str],
) -> None:
    """What an instance leaves behind that dies between two parts."""
    from botocore.session import Session

    bucket, key = settings["PHOTO_API_S3_BUCKET"], f"photos/1/1/{secrets.token_hex(16)}.jpg"
    s3 = Session().create_client(
        "s3",
        endpoint_url=settings["PHOTO_API_S3_ENDPOINT"],
        region_name=settings["PHOTO_API_S3_REGION"],
        aws_access_key_id=settings["PHOTO_API_S3_ACCESS_KEY"],
        aws_secret_access_key=settings["PHOTO_API_S3_SECRET_KEY"],
    )
    begun = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    s3.upload_part(Bucket=bucket, Key=key, UploadId=begun, PartNumber=1, Body=b"x" * 1000)

    def unfinished() -> list[str]:
        uploads = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [upload["Key"] for upload in uploads if upload["Key"] == key]

    assert unfinished() == [key]
    async with database_of(settings) as db:
        await note_object(db, key, -1, in_parts=True)
        await sweep(db, store_of(settings), 3600)
    assert unfinished() == []


async def test_what_else_is_looked_after_keeps_nothing_from_the_sweep(
    settings: dict[str, str],
) -> None:
    """Here the queue of jobs, which somebody holds for longer than a statement may take."""
    key, store = f"photos/1/1/{secrets.token_hex(16)}.jpg", store_of(settings)
    await store.put_bytes(key, jpeg(), content_type="image/jpeg")
    holder = await asyncpg.connect(settings["PHOTO_API_DATABASE_URL"])
    async with database_of(settings) as db:
        await note_object(db, key, -1)
        await holder.execute("BEGIN; LOCK TABLE jobs")
        maintenance = Maintenance(db, store, 0.2, load(settings).uploads, "tests")
        async with at_work(maintenance.run()), asyncio.timeout(20):
            try:
                while await exists(store, key):
                    await asyncio.sleep(0.05)
            finally:
                await holder.close()
    await store.aclose()


def send(service: Service, user: User, album: int) -> None:
    """An upload of which no answer comes back."""
    files = {"file": ("a.jpg", jpeg() + bytes(7_000_000), "image/jpeg")}
    with pytest.raises(httpx.TransportError):
        httpx.post(
            f"{service.url}/api/photos/",
            data={"album_id": str(album)},
            files=files,
            headers={"Authorization": user.api.headers["Authorization"]},
            timeout=30,
        )


def kill(service: Service) -> None:
    """As a machine that loses its power."""
    family = [service.process.pid, *(child.pid for child in service.children("photo_api"))]
    for pid in family:
        with suppress(ProcessLookupError):  # it ends with the one before it
            os.kill(pid, signal.SIGKILL)
    service.process.wait()
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in family), 5)


async def age_and_sweep(settings: dict[str, str]) -> None:
    async with database_of(settings) as db:
        await let_time_pass(db)
        await sweep(db, store_of(settings), 3600)
