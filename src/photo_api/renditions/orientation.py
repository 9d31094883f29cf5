"""Whether browsers turn a picture by its EXIF, whatever else that says."""

from photo_api.renditions.containers import find_blocks

ORIENTATION, SHORT = 0x0112, 3
ENTRY = 12


def is_heeded(data: bytes, content_type: str) -> bool:
    """In JPEG and PNG, where it is one SHORT, as CIPA DC-008, 4.6.4 asks for."""
    if content_type not in ("image/jpeg", "image/png"):
        return False
    tiff = find_blocks(data, content_type).exif.removeprefix(b"Exif\0\0")
    little = tiff[:2] == b"II"

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "little" if little else "big")

    directory = number(4, 4)
    for at in range(directory + 2, directory + 2 + ENTRY * number(directory, 2), ENTRY):
        if number(at, 2) == ORIENTATION:
            return (number(at + 2, 2), number(at + 4, 4)) == (SHORT, 1)
    return False
