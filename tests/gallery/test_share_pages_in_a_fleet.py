"""A share page that many open while the fleet grows and shrinks around them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from photo_api.contract import INSTANCE_HEADER
from tests.photo_fleet.local_stage import fleet_up
from tests.service import eventually

pytestmark = [pytest.mark.needs("nginx"), pytest.mark.long, pytest.mark.timeout(300)]

OPENED = 100
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/131"}


def test_a_share_page_is_whole_each_time_while_the_fleet_scales(tmp_path: Path) -> None:
    with fleet_up(tmp_path) as up, up.new_user() as user:
        album = user.album("Dokdo")["id"]
        photo = user.upload(album_id=album)["id"]
        user.rendered(photo)
        link = user.api.post(f"/albums/{album}/share").json()
        page, scaled = f"{up.url}/share/{link['token']}", threading.Event()

        def scale() -> None:
            for size in (3, 2):
                up.command("scale", str(size))
                eventually(lambda: len(up.serving()) == size, 60)  # noqa: B023
            scaled.set()

        names, count = set[str](), 0
        with ThreadPoolExecutor(1) as beside, httpx.Client(headers=BROWSER, timeout=20) as client:
            scaling = beside.submit(scale)
            while count < OPENED or not (scaled.is_set() or scaling.done()):
                answer = client.get(page)
                assert answer.status_code == 200, answer.text
                assert answer.text.rstrip().endswith("</html>")
                assert f"/photos/{photo}" in answer.text
                names.add(answer.headers[INSTANCE_HEADER])
                count += 1
            scaling.result()
        assert len(names) >= 3, "one that came answered, too"
        [told] = user.api.get(f"/albums/{album}/share").json()
        assert told["view_count"] == count
        logs = "".join(file.read_text(errors="replace") for file in tmp_path.rglob("*.log"))
        assert "/share/***" in logs
        assert link["token"] not in logs
