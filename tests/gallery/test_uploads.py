"""Files on their way into the gallery: how they are picked, what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.chromium import LAN_NAME
from tests.gallery.administering import let_have
from tests.gallery.conftest import Visit
from tests.gallery.uploading import MEGABYTE, Open, drop, names, panel, photo, pick, title
from tests.service import Service, User, jpeg

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

PASTE = """name => {
  const canvas = document.createElement("canvas")
  canvas.width = 90
  canvas.height = 60
  canvas.toBlob(blob => {
    const data = new DataTransfer()
    data.items.add(new File([blob], name, {type: "image/png"}))
    const about = {clipboardData: data, bubbles: true, cancelable: true}
    document.body.dispatchEvent(new ClipboardEvent("paste", about))
  })
}"""


def test_files_are_picked_dropped_and_pasted(visit: Open, uploader: User, tmp_path: Path) -> None:
    seen = visit(user=uploader)
    seen.go("/")
    one = photo(tmp_path / "a.jpg")
    pick(seen, one, photo(tmp_path / "b.jpg"))
    title(seen, "2 photos uploaded")
    # What was uploaded is in the timeline, which nobody has loaded again.
    expect(seen.page.locator("main .tile")).to_have_count(2, timeout=15_000)

    folder = tmp_path / "Jeju"
    for name in ("c.jpg", "deep/d.jpg", "deep/deeper/e.JPG"):
        photo(folder / name)
    (folder / "notes.txt").write_text("no photo")
    (folder / ".DS_Store").write_text("nothing")
    drop(seen.page, folder)
    title(seen, "5 photos uploaded")
    expect(panel(seen)).to_contain_text("1 file is no photo and was left out: notes.txt")
    seen.page.evaluate(PASTE, "pasted.png")
    title(seen, "6 photos uploaded")

    # A folder of its own kind of input, and the same files once more.
    (folder / "f.jpg").write_bytes(one.read_bytes())
    uploader.api.delete(f"/photos/{photo_id(uploader, 'b.jpg')}").raise_for_status()
    pick(seen, tmp_path / "b.jpg")
    expect(panel(seen)).to_contain_text("1 was in the trash and is restored")
    seen.page.locator("input[webkitdirectory]").set_input_files(folder)
    expect(panel(seen)).to_contain_text("4 were here already and were not sent again")
    every = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.JPG", "pasted.png"]
    assert names(uploader) == every
    seen.picture("uploaded")

    album = uploader.album("Jeju")
    seen.go(f"/albums/{album['id']}")
    drop(seen.page, one, photo(tmp_path / "g.jpg"))
    title(seen, "1 photo uploaded")
    inside = uploader.api.get(f"/albums/{album['id']}").json()["photos"]
    assert sorted(each["original_filename"] for each in inside) == ["a.jpg", "g.jpg"]
    assert photo_dates(uploader, "g.jpg") == "file_modified_at"


def photo_id(user: User, name: str) -> int:
    listed = user.api.get("/photos/", params={"limit": 100}).json()
    found: int = next(each["id"] for each in listed if each["original_filename"] == name)
    return found


def photo_dates(user: User, name: str) -> str:
    source: str = user.photo(photo_id(user, name))["date_source"]
    return source


def test_on_plain_http_digests_are_counted_too(
    visit: Open, gallery: Service, uploader: User, tmp_path: Path
) -> None:
    """There browsers give pages neither SHA-256 nor locks."""
    seen = visit(
        user=uploader, service=replace(gallery, url=gallery.url.replace("127.0.0.1", LAN_NAME))
    )
    seen.go("/")
    assert (
        seen.page.evaluate("[isSecureContext, !!crypto.subtle, !!navigator.locks]") == [False] * 3
    )
    files = [photo(tmp_path / "a.jpg", 200_000), photo(tmp_path / "b.jpg")]
    pick(seen, *files)
    title(seen, "2 photos uploaded")
    (tmp_path / "copy.jpg").write_bytes(files[0].read_bytes())
    before = len(seen.requested)
    pick(seen, tmp_path / "copy.jpg")
    expect(panel(seen)).to_contain_text("1 was here already and was not sent again")
    assert not any("presigned" in url for url in seen.requested[before:])


@pytest.mark.parametrize(
    ("size", "language", "said"),
    [
        (
            "desktop",
            "en",
            {
                "drawing.bmp": "This kind of image is not taken",
                "letter.jpg": "By its content this is no photo",
                "nothing.jpg": "The file is empty.",
                "huge.jpg": "Too large: 53 MB, and 52.4 MB are allowed.",
                "much.jpg": "No room: 300 kB of 1 MB are used, and this needs 900 kB.",
            },
        ),
        (
            "phone",
            "ko",
            {
                "drawing.bmp": "지원하지 않는 이미지 형식입니다.",
                "letter.jpg": "이름과 달리 내용이 사진이 아닙니다.",
                "nothing.jpg": "빈 파일입니다.",
                "huge.jpg": "파일이 너무 큽니다. 53MB이며 52.4MB까지 됩니다.",
                "much.jpg": "1MB 중 300kB를 사용했고, 이 파일은 900kB입니다.",
            },
        ),
    ],
)
def test_what_is_refused_says_why(
    visit: Open,
    gallery: Service,
    uploader: User,
    tmp_path: Path,
    size: str,
    language: str,
    said: dict[str, str],
) -> None:
    let_have(gallery, uploader, MEGABYTE)
    seen = visit(user=uploader, size=size, language=language)
    # The API's own refusals are lines of the browser's console.
    seen.expected.append("status of 413")
    seen.go("/")
    fits = photo(tmp_path / "fits.jpg", 300_000)
    (tmp_path / "drawing.bmp").write_bytes(b"BM" + jpeg())
    (tmp_path / "letter.jpg").write_bytes(b"%PDF-1.7" + b"x" * 1_000)
    (tmp_path / "nothing.jpg").touch()
    huge = photo(tmp_path / "huge.jpg")
    with huge.open("r+b") as file:
        file.truncate(53 * MEGABYTE)
    pick(seen, fits)
    expect(panel(seen).locator("li.done")).to_have_count(1, timeout=15_000)
    pick(seen, *(tmp_path / name for name in list(said)[:4]))
    photo(tmp_path / "much.jpg", 900_000)
    for name, why in said.items():
        if name == "much.jpg":
            pick(seen, tmp_path / name)
        row = panel(seen).get_by_role("listitem").filter(has_text=name)
        expect(row).to_contain_text(why, timeout=15_000)
    seen.picture("refused")
    assert names(uploader) == ["fits.jpg"]
    accessible(seen)

    # There is room now, and the one that had none is tried again.
    let_have(gallery, uploader, 5 * MEGABYTE)
    panel(seen).get_by_role("listitem").filter(has_text="much.jpg").get_by_role(
        "button"
    ).first.click()
    expect(panel(seen).locator("li.done")).to_have_count(2, timeout=15_000)
    assert names(uploader) == ["fits.jpg", "much.jpg"]


def accessible(seen: Visit) -> None:
    """By what axe finds."""
    script = Path("web/node_modules/axe-core/axe.min.js").read_text()
    seen.page.evaluate(script)
    told = seen.page.evaluate("async () => (await axe.run('section.panel')).violations")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in told] == []
