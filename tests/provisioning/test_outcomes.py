"""What an answer proves: each judgement is seen to hold, to fail, and to be unsure."""

import pytest

from photo_api.provisioning.proof.outcomes import (
    Outcome,
    all_of,
    fresh,
    header,
    refused,
    served,
    taken,
)
from photo_api.storage.plain_requests import PlainAnswer


def answer(status: int, body: bytes = b"", **headers: str) -> PlainAnswer:
    return PlainAnswer(status, {key.replace("_", "-"): one for key, one in headers.items()}, body)


@pytest.mark.parametrize(
    ("status", "no", "yes"),
    [
        (200, "fails", "holds"),
        (204, "fails", "holds"),
        (401, "holds", "fails"),
        (403, "holds", "fails"),
        (404, "holds", "fails"),
        (412, "holds", "fails"),
        (408, "unknown", "unknown"),
        (429, "unknown", "unknown"),
        (498, "unknown", "unknown"),
        (500, "unknown", "unknown"),
        (503, "unknown", "unknown"),
        (307, "unknown", "unknown"),
    ],
)
def test_refused_or_taken(status: int, no: str, yes: str) -> None:
    assert refused(answer(status), "x").state == no
    assert taken(answer(status), "x").state == yes


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (206, b"abc", "holds"),
        (200, b"abc", "fails"),
        (206, b"abd", "fails"),
        (404, b"abc", "fails"),
        (503, b"", "unknown"),
    ],
)
def test_served(status: int, body: bytes, state: str) -> None:
    assert served(answer(status, body), b"abc", "x", 206).state == state


def test_headers() -> None:
    found = answer(200, content_disposition='inline; filename="photo.jpg"')
    assert header(found, "Content-Disposition", "inline", "photo.jpg").state == "holds"
    assert header(found, "Content-Disposition", "attachment").state == "fails"
    assert header(found, "Content-Type", "image/jpeg").state == "fails"


@pytest.mark.parametrize(
    "left",
    [
        "x-delete-at",
        "content-encoding",
        "content-disposition",
        "cache-control",
        "expires",
        "x-object-meta-evil",
        "x-amz-meta-evil",
        "x-amz-tagging-count",
        "x-static-large-object",
        "x-symlink-target",
    ],
)
def test_what_an_upload_carried_is_seen(left: str) -> None:
    ours = {"content-type": "image/jpeg", "content-length": "3", "etag": "x", "x-timestamp": "1"}
    assert fresh(ours, "image/jpeg", "x").state == "holds"
    found = fresh(ours | {left: "1"}, "image/jpeg", "x")
    assert (found.state, left in found.seen) == ("fails", True)
    assert fresh(ours | {"content-type": "text/html"}, "image/jpeg", "x").state == "fails"


def test_all_of() -> None:
    holds, fails, unknown = (Outcome(state, state) for state in ("holds", "fails", "unknown"))
    assert all_of([holds, unknown, fails]) is fails
    assert all_of([holds, unknown]) is unknown
    assert all_of([holds, holds]) == holds
