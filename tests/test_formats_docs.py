"""docs/formats.md names every accepted type and every reason of a refusal."""

import re
from pathlib import Path

from photo_api.photos.formats import ACCEPTED_TYPES
from photo_api.renditions.refusals import SENTENCES

DOCUMENT = Path(__file__).parent.parent / "docs/formats.md"
REASON = re.compile(r"^\| `(?!renditions_error)(\w+)` \|", re.M)
TYPE = re.compile(r"`(image/\w+)`")


def test_every_type_and_every_reason_is_told() -> None:
    text = DOCUMENT.read_text()
    assert set(TYPE.findall(text)) == ACCEPTED_TYPES
    assert set(REASON.findall(text)) == set(SENTENCES)
