"""A small client of the Photo API, over HTTP only."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

try:
    import httpx
except ModuleNotFoundError as error:
    told = "httpx is not installed: pip install 'photo-api[client]'"
    raise ModuleNotFoundError(told, name="httpx") from error

Json = dict[str, Any]

AT_ONCE = 1000
"""Digests or photos that one request may name."""


class PhotoApiError(Exception):
    """The service, or the store at a direct upload, refused.

    `code` is the service's stable name for it, "" if the answer had none.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}" if code else f"{status}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class PhotoApi:
    """One user's view of the service at `base_url` (without /api). Methods raise `PhotoApiError`,
    and httpx.TransportError if the service cannot be reached; none is repeated by itself."""

    def __init__(self, base_url: str, timeout: float = 30.0) -> None:
        direct = dict.fromkeys(_of_this_machine(base_url))
        self._http = httpx.Client(base_url=base_url.rstrip("/"), timeout=timeout, mounts=direct)
        # Apart from the service's own client, so that no token ever goes to the object store.
        self._store = httpx.Client(timeout=timeout, mounts=direct)
        self._refresh_token: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()
        self._store.close()

    def has_gallery(self) -> bool:
        """Whether people find a page at the service's address."""
        return self._http.get("/icon.svg").is_success

    def health(self) -> Json:
        """The answer of /health, raising unless the instance is ready."""
        return _read(self._http.get("/health"))

    def register(
        self, email: str, username: str, password: str, invitation: str | None = None
    ) -> Json:
        """A new account; `invitation` is the token of a link, where it takes one."""
        body = {"email": email, "username": username, "password": password, "token": invitation}
        return self._call("POST", "/auth/register", json=body)

    def login(self, email: str, password: str) -> Json:
        """The tokens, which this client uses from now on."""
        body = {"email": email, "password": password}
        return self._adopt(self._call("POST", "/auth/login", json=body))

    def refresh(self) -> Json:
        """New tokens for the ones of `login`, used from now on."""
        body = {"refresh_token": self._refresh_token}
        return self._adopt(self._call("POST", "/auth/refresh", json=body))

    def me(self) -> Json:
        return self._call("GET", "/auth/me")

    def change_password(self, current: str, new: str) -> None:
        """Ends all other sessions of the account."""
        body = {"current_password": current, "new_password": new}
        _check(self._http.post("/api/auth/password", json=body))

    def reset_password(self, token: str, new: str) -> None:
        """By the token of an operator's link, which works once. Ends all sessions."""
        body = {"token": token, "new_password": new}
        _check(self._http.post("/api/auth/reset-password", json=body))

    def sessions(self) -> list[Json]:
        """The newest first; the one of this client is `current`."""
        shown: list[Json] = _check(self._http.get("/api/auth/sessions")).json()
        return shown

    def end_session(self, session_id: str) -> None:
        _check(self._http.delete(f"/api/auth/sessions/{session_id}"))

    def end_other_sessions(self) -> int:
        """How many there were."""
        return int(self._call("DELETE", "/auth/sessions")["count"])

    def delete_account(self, password: str) -> None:
        """With all its photos, for good."""
        _check(self._http.request("DELETE", "/api/auth/me", json={"password": password}))

    def create_album(self, name: str, description: str | None = None) -> Json:
        return self._call("POST", "/albums/", json={"name": name, "description": description})

    def get_album(self, album_id: int) -> Json:
        return self._call("GET", f"/albums/{album_id}")

    def upload_presigned(
        self,
        album_id: int | None,
        filename: str,
        content_type: str,
        data: bytes,
        *,
        title: str | None = None,
        bind_content: bool = True,
        on_duplicate: str = "keep",
        file_modified_at: datetime | None = None,
    ) -> int:
        """Straight into the object store; answers the photo's id. With `bind_content` the URL
        accepts only these very bytes. `file_modified_at` dates a photo whose file tells no date;
        without an offset from UTC it is in this machine's time. With `on_duplicate` "reuse" bytes
        that the user has are not sent again, and their photo leaves the trash."""
        body = {
            "album_id": album_id,
            "filename": filename,
            "content_type": content_type,
            "file_size": len(data),
            "title": title,
            "on_duplicate": on_duplicate,
            "file_modified_at": _moment(file_modified_at),
        }
        if bind_content:
            body["sha256"] = sha256(data).hexdigest()
        grant = self._call("POST", "/photos/presigned-url", json=body)
        photo_id = int(grant["photo_id"])
        if not grant.get("duplicate"):
            headers = grant["upload_headers"]
            _check(self._store.put(grant["upload_url"], content=data, headers=headers))
            self._call("POST", "/photos/confirm", json={"photo_id": photo_id})
        return photo_id

    def upload_through_server(
        self,
        album_id: int | None,
        filename: str,
        content_type: str,
        data: bytes,
        *,
        title: str | None = None,
        file_modified_at: datetime | None = None,
    ) -> int:
        """As a multipart form; answers the photo's id. `file_modified_at` as for the other way."""
        modified = _moment(file_modified_at)
        given = {"album_id": album_id, "title": title or None, "file_modified_at": modified}
        fields = {name: str(value) for name, value in given.items() if value is not None}
        file = {"file": (filename, data, content_type)}
        return int(self._call("POST", "/photos/", data=fields, files=file)["id"])

    def check(self, digests: Sequence[str]) -> list[Json]:
        """Which of these files the user has, by their SHA-256 in hex, before a backup sends them:
        for each, in their order, its `status` (absent, present or trashed) and `photo_id`. Asks
        for 1,000 at a time."""
        found = list[Json]()
        for first in range(0, len(digests), AT_ONCE):
            body = {"sha256": list(digests[first : first + AT_ONCE])}
            found += self._call("POST", "/photos/check", json=body)["results"]
        return found

    def list_photos(self, skip: int = 0, limit: int = 50) -> list[Json]:
        """Newest first, at most 100."""
        answer = self._http.get("/api/photos/", params={"skip": skip, "limit": limit})
        photos: list[Json] = _check(answer).json()
        return photos

    def get_photo(self, photo_id: int) -> Json:
        return self._call("GET", f"/photos/{photo_id}")

    def get_image(self, photo_id: int, size: str = "original") -> bytes:
        """The bytes of the original; "auto": what browsers show at full size; "display": without
        metadata; "preview" or "thumbnail". What is not made yet raises with status 404."""
        path = f"/api/photos/{photo_id}/image"
        answer = _check(self._http.get(path, params={"size": size}))
        if answer.has_redirect_location:
            answer = _check(self._store.get(answer.headers["Location"]))
        return answer.content

    def delete_photo(self, photo_id: int) -> None:
        """Into the trash."""
        _check(self._http.delete(f"/api/photos/{photo_id}"))

    def list_trash(self, limit: int = 50) -> list[Json]:
        """The last deleted first, at most 100; after `purge_at` each is deleted for good."""
        answer = self._http.get("/api/photos/trash", params={"limit": limit})
        photos: list[Json] = _check(answer).json()
        return photos

    def restore(self, photo_ids: Sequence[int]) -> list[Json]:
        """Up to 1,000 photos out of the trash, with their albums; `status` of each `id` is done,
        unchanged or not_found."""
        return self._bulk("restore", photo_ids)

    def purge(self, photo_ids: Sequence[int]) -> list[Json]:
        """The same from the trash, for good."""
        return self._bulk("purge", photo_ids)

    def share(self, album_id: int, expires_in_days: int | None = None) -> Json:
        """A new share link; `token` opens the album to everyone who has it."""
        body = {} if expires_in_days is None else {"expires_in_days": expires_in_days}
        return self._call("POST", f"/albums/{album_id}/share", json=body)

    def get_shared(self, token: str) -> Json:
        return self._call("GET", f"/share/{token}")

    def _adopt(self, tokens: Json) -> Json:
        self._http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        self._refresh_token = tokens.get("refresh_token", self._refresh_token)
        return tokens

    def _bulk(self, operation: str, photo_ids: Sequence[int]) -> list[Json]:
        body = {"operation": operation, "photo_ids": list(photo_ids)}
        results: list[Json] = self._call("POST", "/photos/bulk", json=body)["results"]
        return results

    def _call(self, method: str, path: str, **options: Any) -> Json:
        return _read(self._http.request(method, f"/api{path}", **options))


def _of_this_machine(base_url: str) -> list[str]:
    """Where no proxy of the environment is asked: it would look for this machine on its own."""
    hosts = ["localhost", "127.0.0.1", "[::1]"]
    named = httpx.URL(base_url).host
    with suppress(ValueError):
        address = ip_address(named)
        if address.is_loopback:
            hosts.append(named if address.version == 4 else f"[{named}]")
    return [f"all://{host}" for host in hosts]


def _moment(moment: datetime | None) -> str | None:
    """With an offset from UTC: that of this machine, where none is told."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.astimezone()).isoformat()


def _read(answer: httpx.Response) -> Json:
    body: Json = _check(answer).json()
    return body


def _check(answer: httpx.Response) -> httpx.Response:
    if answer.status_code < 400:
        return answer
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"detail": answer.text[:200]}
    raise PhotoApiError(answer.status_code, str(body.get("code", "")), str(body.get("detail", "")))
