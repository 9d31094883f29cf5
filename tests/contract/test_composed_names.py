"""Names are NFC wherever they are kept and shown: macOS sends Hangul decomposed, and in that form
browsers and Windows show syllables that have fallen apart."""

import time
import unicodedata
from typing import Any
from urllib.parse import unquote

import httpx

from tests.service import PASSWORD, Service, User, jpeg, new_address, put

WHOLE = "서울 나들이 café"
APART = unicodedata.normalize("NFD", WHOLE)
HIDDEN_BETWEEN = APART.replace("e\u0301", "e\u200b\u0301")


def test_albums(alice: User) -> None:
    for sent in (APART, HIDDEN_BETWEEN):
        texts = {"name": sent, "description": f"{sent}\n{sent}"}
        made = alice.api.post("/albums/", json=texts).raise_for_status().json()
        plain = alice.album("plain")["id"]
        changed = alice.api.patch(f"/albums/{plain}", json=texts).raise_for_status().json()
        for album in (made, changed):
            assert (album["name"], album["description"]) == (WHOLE, f"{WHOLE}\n{WHOLE}")


def test_photos_on_both_routes(alice: User) -> None:
    texts: dict[str, Any] = {"title": APART, "description": APART}
    data, sent = jpeg(), f"{APART}.jpg"
    presigned = alice.presign(alice.album()["id"], data, filename=sent, **texts)
    put(presigned, data).raise_for_status()
    alice.confirm(presigned["photo_id"]).raise_for_status()
    uploaded = alice.upload(filename=sent, **texts)
    assert uploaded["original_filename"] == f"{WHOLE}.jpg"
    for photo_id in (presigned["photo_id"], uploaded["id"]):
        photo = alice.photo(photo_id)
        assert photo["original_filename"] == f"{WHOLE}.jpg"
        assert (photo["title"], photo["description"]) == (WHOLE, WHOLE)
        image = alice.api.get(f"/photos/{photo_id}/image", follow_redirects=True)
        assert unquote(image.headers["Content-Disposition"]).endswith(f"UTF-8''{WHOLE}.jpg")
    plain = alice.upload()["id"]
    changed = alice.api.patch(f"/photos/{plain}", json=texts).json()
    assert (changed["title"], changed["description"]) == (WHOLE, WHOLE)


def test_what_visitors_see(alice: User) -> None:
    album = alice.album(APART)["id"]
    alice.upload(album_id=album, filename=f"{APART}.jpg", title=APART)
    token = alice.api.post(f"/albums/{album}/share").json()["token"]
    shared = alice.api.get(f"/share/{token}").json()
    assert shared["album_name"] == WHOLE
    [photo] = shared["photos"]
    assert (photo["title"], photo["original_filename"]) == (WHOLE, f"{WHOLE}.jpg")


def test_a_length_is_that_of_the_composed_name(alice: User) -> None:
    longest = unicodedata.normalize("NFD", "값" * 251) + ".jpg"
    assert len(longest) > 700
    assert len(alice.upload(filename=longest, title=longest)["original_filename"]) == 255
    presigned = alice.presign(alice.album(longest)["id"], jpeg(), filename=longest)
    assert presigned["photo_id"]
    answer = alice.api.post("/albums/", json={"name": f"{longest}x"})
    assert answer.status_code == 422


def test_user_names(service: Service) -> None:
    body = {"email": f"{new_address()}@example.org", "username": APART, "password": PASSWORD}
    answer = httpx.post(f"{service.url}/api/auth/register", json=body)
    assert (answer.status_code, answer.json()["username"]) == (201, WHOLE)


def test_what_is_too_long_is_refused_without_being_composed(alice: User) -> None:
    """Composing the whole of it would keep everybody waiting for as long as here."""
    text = "a" + "\u0301\u0316" * 15_000
    began = time.monotonic()
    unicodedata.normalize("NFC", text)
    usual = time.monotonic() - began
    form = {"album_id": str(alice.album()["id"]), "title": text}
    for path, body in (
        ("/albums/", {"json": {"name": "x", "description": text * 2}}),
        ("/albums/", {"json": {"name": text}}),
        ("/photos/", {"data": form, "files": {"file": ("a.jpg", jpeg())}}),
    ):
        began = time.monotonic()
        answer = alice.api.post(path, **body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
        assert time.monotonic() - began < usual / 2
