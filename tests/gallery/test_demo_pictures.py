"""What `make demo` brings, as somebody sees it who signs in with the account that it prints."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from photo_api_client.api import PhotoApi
from photo_api_client.demo import Progress, run
from tests.gallery.conftest import Visit
from tests.service import Service

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.long, pytest.mark.timeout(240)]

LARGEST = 150_000
"""Bytes of the picture that README.md shows: docs/gallery.webp."""


def test_the_demo_is_looked_at_in_the_gallery(
    gallery: Service, visit: Callable[..., Visit]
) -> None:
    with PhotoApi(gallery.url) as api:
        summary = run(api, gallery.url, Progress(io.StringIO()))
    assert (summary.gallery, len(summary.photos)) == (True, 24)
    seen = visit(viewport={"width": 1200, "height": 720})
    seen.go("/")
    seen.page.locator("input[type=email]").fill(summary.email)
    seen.page.locator("input[type=password]").fill(summary.password)
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("main img").first).to_be_visible(timeout=20_000)
    seen.page.wait_for_load_state("networkidle")
    if folder := os.environ.get("GALLERY_PICTURES"):
        whole = Image.open(io.BytesIO(seen.page.screenshot()))
        whole.save(Path(folder) / "gallery.webp", quality=80, method=6)
        assert (Path(folder) / "gallery.webp").stat().st_size < LARGEST
