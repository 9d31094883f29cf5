"""Photos as cameras make them, and the list of somebody who has a few."""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from tests.service import User

NORTH, EAST = (37.0, 33.0, 59.4), (126.0, 58.0, 40.8)


def photograph(width: int, height: int, hue: int, taken: str = "2024:05:12 15:30:00") -> bytes:
    """A JPEG with the camera's settings, its place, and when it was taken in Seoul."""
    light = Image.linear_gradient("L").resize((width, height))
    flat = [Image.new("L", light.size, level) for level in (hue, 150)]
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "EOS R6"
    times = {0x9003: taken, 0x9011: "+09:00"}
    settings = {0x829A: 1 / 200, 0x829D: 1.8, 0x8827: 100, 0x920A: 35}
    exif.get_ifd(0x8769).update(times | settings)
    exif.get_ifd(0x8825).update({1: "N", 2: NORTH, 3: "E", 4: EAST})
    out = BytesIO()
    Image.merge("HSV", (*flat, light)).convert("RGB").save(out, "JPEG", quality=90, exif=exif)
    return out.getvalue()


@dataclass
class Photographs:
    """Photos of one user, the last one taken first, as a timeline has them."""

    owner: User
    files: list[bytes]
    ids: list[int]

    def name(self, index: int) -> str:
        return f"Photo {index}.jpg"


def take(owner: User, sizes: list[tuple[int, int]]) -> Photographs:
    """Photos of these sizes, one a day, in one album, once they can be shown."""
    days = range(12, 12 - len(sizes), -1)
    files = [
        photograph(*size, hue=40 * day % 256, taken=f"2024:05:{day:02} 15:30:00")
        for day, size in zip(days, sizes, strict=True)
    ]
    taken = Photographs(owner, files, [])
    album = owner.album("Seoul")["id"]
    for index, file in enumerate(files):
        answer = owner.post_photo(file, album, filename=taken.name(index)).raise_for_status()
        taken.ids.append(answer.json()["id"])
    for photo_id in taken.ids:
        owner.rendered(photo_id)
    return taken
