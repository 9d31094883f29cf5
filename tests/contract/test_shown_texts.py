"""Texts that people show each other hold nothing that hides or turns round what stands beside it.
Clients send such characters unawares, so they are left out and not refused."""

from typing import Any
from urllib.parse import unquote

import asyncpg
import httpx

from tests.service import User, jpeg, put

SENT = "\u202eDok\u200bdo\u2066 \x1b❤️ می‌خواهم\ufeff"
SHOWN = "Dokdo ❤️ می‌خواهم"


def shown(answer: httpx.Response, *fields: str) -> list[str]:
    body = answer.raise_for_status().json()
    return [body[field] for field in fields]


def test_albums(alice: User) -> None:
    texts = {"name": SENT, "description": f"{SENT}\n{SENT}"}
    expected = [SHOWN, f"{SHOWN}\n{SHOWN}"]
    made = alice.api.post("/albums/", json=texts)
    assert shown(made, "name", "description") == expected
    plain = alice.api.post("/albums/", json={"name": "plain"}).json()
    changed = alice.api.patch(f"/albums/{plain['id']}", json=texts)
    assert shown(changed, "name", "description") == expected


def test_photos(alice: User) -> None:
    texts: dict[str, Any] = {"title": SENT, "description": f"{SENT}\n{SENT}"}
    expected = [SHOWN, f"{SHOWN}\n{SHOWN}", f"{SHOWN}.jpg"]
    name, data = f"{SENT}.jpg", jpeg()
    presigned = alice.presign(alice.album()["id"], data, filename=name, **texts)
    put(presigned, data).raise_for_status()
    alice.confirm(presigned["photo_id"]).raise_for_status()
    for photo in (presigned["photo_id"], alice.upload(filename=name, **texts)["id"]):
        found = alice.api.get(f"/photos/{photo}")
        assert shown(found, "title", "description", "original_filename") == expected
    photo = alice.upload()["id"]
    changed = alice.api.patch(f"/photos/{photo}", json=texts)
    assert shown(changed, "title", "description") == expected[:2]


def test_what_only_hides_is_blank(alice: User) -> None:
    photo = alice.upload(title="Sunrise", description="The east island")["id"]
    blank = {"title": "\u200b", "description": "\u2060\u202e"}
    changed = alice.api.patch(f"/photos/{photo}", json=blank)
    assert shown(changed, "title", "description") == [None, None]
    for name in ("\u200b\u200b", "\u061c", "\u2800", "\u0301\u0301", " \u3164", "\ufffc\U0001d159"):
        answer = alice.api.post("/albums/", json={"name": name})
        assert (answer.status_code, "can be seen" in answer.text) == (422, True)
    for name in ("🏝", "é", "독도", "?"):
        assert alice.album(name)["name"] == name


async def test_a_file_name_of_the_release_before_reaches_no_header(
    alice: User, stack: dict[str, Any]
) -> None:
    photo = alice.upload()["id"]
    connection = await asyncpg.connect(stack["database_url"])
    await connection.execute(
        "UPDATE photos SET original_filename = $2 WHERE id = $1", photo, f"{SENT}.jpg"
    )
    await connection.close()
    answer = alice.api.get(f"/photos/{photo}/image", follow_redirects=True)
    assert unquote(answer.headers["Content-Disposition"]).endswith(f"UTF-8''{SHOWN}.jpg")
