"""Photos to upload: JPEGs that decode, each like no other, of whatever size is wanted."""

import base64
import hashlib
import random
from dataclasses import dataclass, field

SMALLEST, LARGEST = 2_000, 200_000
"""Bytes of the photos that a load uploads."""

_LONGEST_COMMENT = 65_533
_SEGMENT_HEAD = 4
_AFTER_APP0 = 20
"""Where comments may stand: behind the start of image and the JFIF header."""

_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1td"
    "hbWGkJ6jq62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSk"
    "pKSkpKSkpKSkpKSkpKSkpKSkpKT/wAARCAAwAEADASIAAhEBAxEB/8QAFwABAQEBAAAAAAAAAAAAAAAAAgMEBf/EABYQ"
    "AAMAAAAAAAAAAAAAAAAAAAABAv/EABcBAQEBAQAAAAAAAAAAAAAAAAIEBgP/xAAWEQEBAQAAAAAAAAAAAAAAAAACAAH/"
    "2gAMAwEAAhEDEQA/AOEoGoKKBKC3VAumoGoKKBqAaqkumoGoKKBqAaqkumoGoKKBKAaqkuxqBKCqgSgWqzRdNQNQUUDU"
    "A1VJdNQNQUUDUA1VRdNQJQVUCUHPVUl2NQJQUUDUC1WaLpqBqCigagGqpLpqBqCigagGqpLpqBKCigagGqpLv//Z"
)
"""64 × 48 pixels of a colour gradient."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is uploaded, and the digest (hex) that a download must have."""

    data: bytes = field(repr=False)
    sha256: str


def picture(name: str, chance: random.Random, size: int | None = None) -> Picture:
    """A photo that has `name`, of at most 60,000 characters, in a comment and about `size` bytes,
    by default something between `SMALLEST` and `LARGEST`, most of them small."""
    if size is None:
        size = round(SMALLEST * (LARGEST / SMALLEST) ** chance.random())
    comments = [name.encode()]
    missing = size - len(_JPEG) - _SEGMENT_HEAD - len(comments[0])
    while missing > _SEGMENT_HEAD:
        length = min(missing - _SEGMENT_HEAD, _LONGEST_COMMENT)
        comments.append(chance.randbytes(length))
        missing -= length + _SEGMENT_HEAD
    segments = b"".join(map(_comment, comments))
    data = _JPEG[:_AFTER_APP0] + segments + _JPEG[_AFTER_APP0:]
    return Picture(data, hashlib.sha256(data).hexdigest())


def _comment(text: bytes) -> bytes:
    return b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text


def is_rendition(data: bytes) -> bool:
    """Whether it has the form in which the service keeps thumbnails and previews: WebP, which no
    photo of a load is."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"
