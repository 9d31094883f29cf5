"""What users, jobs and dependencies do shows in the metrics of the instance that served them."""

from collections.abc import Callable

import httpx
import pytest

from tests.metrics.scraping import scrape
from tests.own_stage import ask
from tests.service import Service, User, eventually, free_port, jpeg, put

Increase = Callable[..., float]


@pytest.fixture
def increase(service: Service) -> Increase:
    """By how much a sum has grown since the test began."""
    before = scrape(service.url)

    def grown(name: str, **labels: str) -> float:
        return scrape(service.url).total(name, **labels) - before.total(name, **labels)

    return grown


def test_uploads_through_the_server(alice: User, increase: Increase) -> None:
    data = jpeg()
    alice.upload(data)
    alice.upload(data, on_duplicate="reuse")
    assert alice.post_photo(b"no image at all, by its bytes" * 9).status_code == 400
    assert alice.post_photo(jpeg(), album_id=10**12).status_code == 404
    name, way = "photo_api_uploads_total", {"way": "server"}
    eventually(lambda: increase(name, **way) == 4)
    for result in ("ok", "duplicate", "not_an_image", "not_found"):
        assert increase(name, **way, result=result) == 1, result
    assert increase("photo_api_uploaded_bytes_total", **way) == 2 * len(data)
    assert increase("photo_api_storage_call_duration_seconds_count", operation="put") >= 2


def test_direct_uploads(alice: User, increase: Increase) -> None:
    data = jpeg()
    begun = alice.presign(alice.album()["id"], data)
    assert alice.confirm(begun["photo_id"]).status_code == 409
    assert put(begun, data).is_success
    for _ in range(2):
        assert alice.confirm(begun["photo_id"]).is_success
    name = "photo_api_confirms_total"
    eventually(lambda: increase(name) == 3)
    assert increase(name, result="not_uploaded") == 1
    assert increase(name, result="ok") == 2
    assert increase("photo_api_presigned_uploads_total", result="ok") == 1
    assert increase("photo_api_uploads_total", way="direct", result="ok") == 1, "and once for both"
    assert increase("photo_api_uploaded_bytes_total", way="direct") == len(data)


def test_uploads_beyond_a_quota(alice: User, service: Service, increase: Increase) -> None:
    bounded = "UPDATE users SET quota_bytes = $2 WHERE id = $1 RETURNING id"
    ask(service.environ, bounded, alice.account["id"], 10)
    asked = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 11}
    assert alice.api.post("/photos/presigned-url", json=asked).status_code == 413
    assert alice.post_photo(jpeg()).status_code == 413
    beyond = {"result": "quota_exceeded"}
    eventually(lambda: increase("photo_api_presigned_uploads_total", **beyond) == 1)
    eventually(lambda: increase("photo_api_uploads_total", way="server", **beyond) == 1)
    ask(service.environ, bounded, alice.account["id"], None)


def test_logins_and_tokens(service: Service, increase: Increase) -> None:
    with service.new_user() as somebody:
        assert somebody.login("not this one, certainly").status_code == 401
        for _ in range(3):
            somebody.album()
    httpx.get(f"{service.url}/api/albums")
    httpx.get(f"{service.url}/api/albums", headers={"Authorization": "Bearer x.y.z"})
    eventually(lambda: increase("photo_api_logins_total", result="invalid_credentials") == 1)
    assert increase("photo_api_logins_total", result="ok") == 1
    checks = "photo_api_token_checks_total"
    assert increase(checks, result="missing") == 1
    assert increase(checks, result="unauthenticated") == 1
    assert increase(checks, result="ok") >= 1
    assert increase(checks, result="ok") + increase(checks, result="cached") == 3


def test_share_views_and_signed_urls(service: Service, alice: User, increase: Increase) -> None:
    album = alice.album()["id"]
    photo = alice.upload(album_id=album)["id"]
    alice.rendered(photo)
    token = alice.api.post(f"/albums/{album}/share").json()["token"]
    link = f"{service.url}/api/share/{token}"
    httpx.get(link)
    httpx.get(link)
    httpx.head(link)
    httpx.get(f"{service.url}/api/share/{'x' * 32}")
    for _ in range(2):
        image = httpx.get(f"{link}/photos/{photo}/image?size=thumbnail")
        assert image.status_code == 302
    name = "photo_api_share_views_total"
    eventually(lambda: increase(name) == 4)
    assert increase(name, by="person", result="ok") == 2
    assert increase(name, by="program", result="ok") == 1
    assert increase(name, result="not_found") == 1
    urls = "photo_api_read_urls_total"
    assert increase(urls, readers="visitors", source="signed") >= 1
    assert increase(urls, readers="visitors", source="cached") >= 1
    assert scrape(service.url).total("photo_api_url_cache_bytes", readers="visitors") > 0


def test_jobs(service: Service, alice: User, increase: Increase) -> None:
    good, bad = alice.upload(), alice.upload(jpeg()[:-200])
    urls = alice.rendered(good["id"])
    made = "SELECT thumbnail_bytes, preview_bytes FROM photos WHERE id = $1"
    [sizes] = ask(service.environ, made, good["id"])
    files = (httpx.get(urls[f"{name}_url"]).content for name in ("thumbnail", "preview"))
    assert tuple(sizes) == tuple(map(len, files))
    alice.rendered(bad["id"])
    name = "photo_api_job_duration_seconds_count"
    eventually(lambda: increase(name, kind="renditions") >= 2, 20)
    assert increase(name, kind="renditions", result="done") >= 1
    eventually(lambda: increase("photo_api_cpu_seconds_total", process="jobs") > 0)


def test_the_fleet(service: Service) -> None:
    names = {"photo_api_fleet_photos", "photo_api_fleet_instances"}
    eventually(lambda: names <= scrape(service.url).names(), 30)
    eventually(lambda: scrape(service.url).total("photo_api_fleet_instances") >= 1, 30)


def test_dependencies(service: Service) -> None:
    def complete() -> bool:
        now = scrape(service.url)
        checked = now.total("photo_api_health_checks_total", check="storage", result="ok")
        return bool(checked and now.total("photo_api_database_connections", process="jobs"))

    eventually(complete, 20)
    now = scrape(service.url)
    assert now.total("photo_api_health_checks_total", check="database", result="ok") > 0
    assert {name for name in now.names() if name == "photo_api_breaker_open"}
    assert now.total("photo_api_breaker_open") == 0
    assert now.total("photo_api_database_waiting") == 0
    assert now.total("photo_api_log_lines_lost_total") == 0
    assert now.total("photo_api_resident_memory_bytes", process="web") > 1e7


def test_a_store_that_is_away(start_service: Callable[..., Service]) -> None:
    service = start_service(S3_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    with service.new_user() as user:
        album = user.album()["id"]
        statuses = {user.post_photo(jpeg(), album).status_code for _ in range(6)}
    assert statuses == {503}
    eventually(lambda: scrape(service.url).total("photo_api_breaker_open") >= 1)
    now = scrape(service.url)
    calls = "photo_api_storage_call_duration_seconds_count"
    assert now.total(calls, operation="put", result="unavailable") >= 1
    assert now.total("photo_api_uploads_total", way="server", result="failed") == 6
    checks = {"check": "storage", "result": "unavailable"}
    eventually(lambda: scrape(service.url).total("photo_api_health_checks_total", **checks), 20)
    # Which the store does not decide; ready it is once its job worker runs, too.
    eventually(lambda: scrape(service.url).total("photo_api_ready") == 1, 20)
    assert scrape(service.url).total("photo_api_check_ok", check="storage") == 0
