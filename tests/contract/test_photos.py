"""/photos/…: lists, details, changes, deletion, images."""

from io import BytesIO

import httpx
import pytest
from PIL import Image

from tests.service import User, jpeg

P = {
    *("id", "owner_id", "title", "description", "filename", "original_filename", "content_type"),
    *("file_size", "created_at", "updated_at", "url"),
}


def test_a_photo_has_the_fields_of_the_contract(alice: User) -> None:
    data = jpeg(800, 600)
    photo_id = alice.upload(data, title="T", description="D")["id"]
    photo = alice.rendered(photo_id)
    assert set(photo) >= P
    assert photo["url"] == f"/photos/{photo_id}/image"
    assert (photo["title"], photo["description"]) == ("T", "D")
    assert (photo["width"], photo["height"]) == (800, 600)
    assert photo["renditions"] == "ready"
    assert photo["blurhash"]
    for url, longest in ((photo["thumbnail_url"], 320), (photo["preview_url"], 800)):
        image = httpx.get(url)
        assert image.headers["Content-Type"] == "image/webp"
        assert max(Image.open(BytesIO(image.content)).size) == longest


def test_the_list_is_newest_first_and_pages(alice: User) -> None:
    album = alice.album()["id"]
    ids = [alice.upload(album_id=album)["id"] for _ in range(4)][::-1]
    listed = alice.api.get("/photos/").json()
    assert [photo["id"] for photo in listed] == ids
    assert set(listed[0]) >= P
    first = alice.api.get("/photos/?limit=3")
    assert [photo["id"] for photo in first.json()] == ids[:3]
    following = alice.api.get(str(alice.api.base_url.join(first.links["next"]["url"])))
    assert [photo["id"] for photo in following.json()] == ids[3:]
    assert [photo["id"] for photo in alice.api.get("/photos/?skip=1&limit=2").json()] == ids[1:3]


def test_lists_give_the_same_signed_urls_for_a_while(alice: User) -> None:
    alice.rendered(alice.upload()["id"])
    first, second = (alice.api.get("/photos/").json()[0]["thumbnail_url"] for _ in range(2))
    assert first == second
    assert first.startswith("http")


def test_patch(alice: User) -> None:
    photo_id = alice.upload(title="T", description="D")["id"]
    path = f"/photos/{photo_id}"
    changed = alice.api.patch(path, json={"title": "새 제목"}).json()
    assert (changed["title"], changed["description"]) == ("새 제목", "D")
    assert alice.api.patch(path, json={"description": ""}).json()["description"] is None
    assert alice.api.patch(path, json={"title": "x" * 256}).status_code == 422
    assert alice.api.patch(path, json={"title": "a\x00"}).status_code == 422


def test_delete_takes_the_bytes_along(alice: User) -> None:
    photo = alice.upload()
    signed = alice.api.get(f"/photos/{photo['id']}/image").headers["Location"]
    assert alice.api.delete(f"/photos/{photo['id']}").status_code == 204
    assert alice.api.delete(f"/photos/{photo['id']}").status_code == 404
    assert alice.api.get(f"/photos/{photo['id']}/image").status_code == 404
    assert httpx.get(signed).status_code == 200, "until the sweep"


def test_an_image_is_a_redirect_to_a_signed_url(alice: User) -> None:
    data = jpeg()
    photo_id = alice.upload(data)["id"]
    answer = alice.api.get(f"/photos/{photo_id}/image")
    assert answer.status_code == 302
    assert answer.headers["Cache-Control"].startswith("private")
    image = httpx.get(answer.headers["Location"], headers={"Origin": "null"})
    assert image.content == data
    assert image.headers["Content-Type"] == "image/jpeg"
    assert "photo.jpg" in image.headers["Content-Disposition"]
    assert image.headers["Access-Control-Allow-Origin"] in ("*", "null")


def test_a_head_gets_a_url_that_works_for_head(alice: User) -> None:
    photo_id = alice.upload()["id"]
    answer = alice.api.head(f"/photos/{photo_id}/image")
    assert answer.status_code == 302
    assert httpx.head(answer.headers["Location"]).status_code == 200


@pytest.mark.s3_only("on Swift one temporary URL serves HEAD and GET")
def test_a_url_for_head_gives_no_bytes(alice: User) -> None:
    photo_id = alice.upload()["id"]
    answer = alice.api.head(f"/photos/{photo_id}/image")
    assert httpx.get(answer.headers["Location"]).status_code == 403


def test_a_range_of_the_original(alice: User) -> None:
    data = jpeg()
    photo_id = alice.upload(data)["id"]
    location = alice.api.get(f"/photos/{photo_id}/image").headers["Location"]
    part = httpx.get(location, headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, data[2:6])


def test_sizes(alice: User) -> None:
    data = jpeg(2000, 1000)
    photo_id = alice.upload(data)["id"]
    alice.rendered(photo_id)
    for size, longest in (
        ("", 2000), ("auto", 2000), ("original", 2000), ("display", 2000), ("preview", 1440),
        ("thumbnail", 320),
    ):  # fmt: skip
        asked = {"size": size} if size else {}
        image = alice.api.get(f"/photos/{photo_id}/image", params=asked, follow_redirects=True)
        expected = "image/jpeg" if longest == 2000 else "image/webp"
        assert image.headers["Content-Type"] == expected
        assert max(Image.open(BytesIO(image.content)).size) == longest


def test_an_unknown_size_is_422(alice: User) -> None:
    assert alice.api.get(f"/photos/{alice.upload()['id']}/image?size=huge").status_code == 422


def test_the_original_does_not_stand_in_for_a_thumbnail_that_cannot_be_made(alice: User) -> None:
    out = BytesIO()
    Image.effect_noise((300, 200), 99).save(out, "PNG")
    photo_id = alice.upload(out.getvalue()[:20_000])["id"]
    photo = alice.rendered(photo_id)
    assert (photo["renditions"], photo["thumbnail_url"]) == ("failed", None)
    assert photo["renditions_error"]
    answer = alice.api.get(f"/photos/{photo_id}/image?size=thumbnail")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "Retry-After" not in answer.headers
    assert alice.api.get(f"/photos/{photo_id}/image").status_code == 302


def test_a_jpeg_that_is_cut_short_is_shown_in_part(alice: User) -> None:
    data = jpeg(1000, 800)
    photo = alice.rendered(alice.upload(data[: len(data) // 2])["id"])
    assert (photo["renditions"], photo["renditions_error"]) == ("partial", "truncated")
    assert (photo["width"], photo["height"]) == (1000, 800)
    image = alice.api.get(f"{photo['url']}?size=thumbnail", follow_redirects=True)
    assert image.headers["Content-Type"] == "image/webp"


def test_a_picture_that_cannot_be_decoded_keeps_what_its_file_tells(alice: User) -> None:
    out, exif = BytesIO(), Image.Exif()
    exif[0x010F] = "Canon"
    exif.get_ifd(0x8769)[0x9003] = "2025:12:31 07:26:00"
    Image.effect_noise((300, 200), 99).save(out, "PNG", exif=exif)
    photo_id = alice.upload(out.getvalue()[:20_000])["id"]
    alice.rendered(photo_id)
    photo = alice.api.get(f"/photos/{photo_id}").json()
    assert (photo["renditions"], photo["renditions_error"]) == ("failed", "truncated")
    assert (photo["width"], photo["height"]) == (300, 200)
    assert (photo["taken_at"], photo["exif"]["camera"]) == ("2025-12-31T07:26:00", "Canon")


def test_exif_is_told(alice: User) -> None:
    image = Image.new("RGB", (60, 40), "teal")
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Canon", "EOS R6", 6
    exif.get_ifd(0x8769).update({0x9003: "2025:12:31 07:26:00", 0x9011: "+09:00"})
    out = BytesIO()
    image.save(out, "JPEG", exif=exif)
    photo = alice.rendered(alice.upload(out.getvalue())["id"])
    assert photo["taken_at"] == "2025-12-31T07:26:00+09:00"
    assert "EOS R6" in photo["exif"]["camera"]
    assert (photo["width"], photo["height"]) == (40, 60), "as it is shown"
    assert alice.api.get("/photos/").json()[0]["taken_at"] == photo["taken_at"]
