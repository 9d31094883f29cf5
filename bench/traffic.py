"""The requests of every row, for both sides."""

import itertools
import os
import secrets
from collections.abc import Iterator, Sequence

import httpx

from bench.load import json_request, request
from bench.plan import CONFIRM_PATH, PRESIGN_PATH
from bench.world import PASSWORD, World
from photo_api.db.pool import Database
from photo_api.delivery.s3 import S3UrlSigner
from photo_api.photos.upload_queries import NewPhoto, count_pending, insert_pending
from photo_api.settings.loading import Settings
from photo_api.settings.serving import UploadSettings
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store

JPEG_HEAD = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"
STAGED_SIZE = 100_000
MB = 1_000_000
LARGEST_MB = 50
BOUNDARY = "a-boundary-that-random-bytes-do-not-hold"


class Traffic:
    """Makes requests. Iterators are endless unless they take a number."""

    def __init__(self, settings: Settings, db: Database, store: S3Store, world: World) -> None:
        s3 = settings.s3
        self._uploads = settings.uploads
        self._db = db
        self._store = store
        self.world = world
        self._signer = S3UrlSigner(
            s3.endpoint,
            s3.bucket,
            s3.region,
            StaticCredentials(s3.access_key, s3.secret_key),
            settings.delivery.window,
        )
        self._file = JPEG_HEAD + os.urandom(LARGEST_MB * MB - len(JPEG_HEAD))
        self._staged_file = self._file[:STAGED_SIZE]

    @property
    def presign(self) -> bytes:
        """The request of an upload's URL."""
        return self._presign("/api/photos/presigned-url")

    @property
    def limit_presign(self) -> bytes:
        """The same for the limit, which does not look into it."""
        return self._presign(PRESIGN_PATH)

    def _presign(self, path: str) -> bytes:
        return presign_request(path, self.world.target_id, self.world.uploader.token)

    def file(self, megabytes: int) -> bytes:
        """A file that begins as a JPEG."""
        return self._file[: megabytes * MB]

    async def stage(self, number: int) -> list[int]:
        """Photos whose bytes are in the store and that wait for their confirmation."""
        owner_id, ids = self.world.uploader.id, []
        await count_pending(self._db, owner_id)
        for _ in range(number):
            secret = secrets.token_hex(16)
            photo_id = await insert_pending(self._db, *self.pending(secret))
            assert photo_id is not None
            key = f"staging/{owner_id}/{photo_id}/{secret}"
            await self._store.put_bytes(key, self._staged_file, content_type="image/jpeg")
            ids.append(photo_id)
        return ids

    def pending(self, secret: str) -> tuple[NewPhoto, str, bool, UploadSettings]:
        """The arguments with which our presign route calls `insert_pending`."""
        owner_id, album_id = self.world.uploader.id, self.world.target_id
        name, content_type = "IMG_0042.jpg", "image/jpeg"
        new = NewPhoto(owner_id, album_id, None, None, name, content_type, STAGED_SIZE, None)
        return new, secret, False, self._uploads

    def confirmations(self, photo_ids: Sequence[int], *, ours: bool) -> Iterator[bytes]:
        """One request for each; it is the same for both sides but for its path."""
        path = "/api/photos/confirm" if ours else CONFIRM_PATH
        for photo_id in photo_ids:
            yield json_request(path, {"photo_id": photo_id}, token=self.world.uploader.token)

    def logins(self) -> Iterator[bytes]:
        """Right passwords of four people in turn."""
        return itertools.cycle(
            json_request("/api/auth/login", {"email": person.email, "password": PASSWORD})
            for person in self.world.logins
        )

    def uploads(self, number: int, megabytes: int) -> Iterator[bytes]:
        """So large a photo through the server."""
        uploader = self.world.uploader
        form = upload_form(self.file(megabytes), self.world.target_id, uploader.token)
        return itertools.repeat(form, number)

    def puts(self, number: int, megabytes: int) -> Iterator[bytes]:
        """The same bytes straight into the store, each to a key of its own."""
        file = self.file(megabytes)
        for _ in range(number):
            upload = self._signer.upload(
                f"staging/{self.world.uploader.id}/0/{secrets.token_hex(16)}",
                content_type="image/jpeg",
                size=len(file),
                sha256=None,
                expires_in=self._uploads.url_ttl,
            )
            url = httpx.URL(upload.url)
            target = url.raw_path.decode()
            yield request(
                "PUT", target, host=url.netloc.decode(), headers=upload.headers, body=file
            )


def upload_form(file: bytes, album_id: int, token: str) -> bytes:
    """The request of an upload through the server."""
    about_album = 'Content-Disposition: form-data; name="album_id"'
    about_file = 'Content-Disposition: form-data; name="file"; filename="IMG_0042.jpg"'
    before = (
        f"--{BOUNDARY}\r\n{about_album}\r\n\r\n{album_id}\r\n"
        f"--{BOUNDARY}\r\n{about_file}\r\nContent-Type: image/jpeg\r\n\r\n"
    )
    return request(
        "POST",
        "/api/photos/",
        token=token,
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        body=before.encode() + file + f"\r\n--{BOUNDARY}--\r\n".encode(),
    )


def presign_request(path: str, album_id: int, token: str) -> bytes:
    """The request of an upload's URL."""
    body = {
        "album_id": album_id,
        "filename": "IMG_0042.jpg",
        "content_type": "image/jpeg",
        "file_size": STAGED_SIZE,
    }
    return json_request(path, body, token=token)
