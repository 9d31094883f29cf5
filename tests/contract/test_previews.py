"""What programs look at: previews of links, search engines, and clients that ask with HEAD."""

import json
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.service import Service, User

BOTS = [
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984",
    "facebookexternalhit/1.1;line-poker/1.0",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "TelegramBot (like TwitterBot)",
    "WhatsApp/2.23.20.0 A",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    "Mozilla/5.0 (compatible; Yeti/1.1; +https://naver.me/spd)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (Linux; Android 6.0.1) Chrome/99 Mobile Safari/537.36 (compatible; GoogleOther)",
    "Mozilla/5.0 (compatible; Google-InspectionTool/1.0;)",
    "Mozilla/5.0 (compatible; YandexImages/3.0; +http://yandex.com/bots)",
    "APIs-Google (+https://developers.google.com/webmasters/APIs-Google.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Perplexity-User/1.0)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
]
PEOPLE = [
    "Mozilla/5.0 (Linux; Android 9; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/120.0 Mobile Safari",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 KAKAOTALK 10.4.5",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari Line/13.16.0",
    "Mozilla/5.0 (Linux; Android 12) Chrome/100.0 Mobile Safari [Pinterest/Android] DaumApps/1",
    "Mozilla/5.0 (Linux; Android 14) Chrome/120.0 Mobile NAVER(inapp; search; 1010; 12.3.1)",
]


@pytest.fixture(scope="module")
def shared(service: Service) -> tuple[User, int, str]:
    user = service.new_user()
    album = user.album()["id"]
    return user, album, user.api.post(f"/albums/{album}/share").json()["token"]


def views(shared: tuple[User, int, str]) -> int:
    user, album, _ = shared
    count: int = user.api.get(f"/albums/{album}/share").json()[0]["view_count"]
    return count


def test_people_are_counted_and_programs_are_not(
    service: Service, shared: tuple[User, int, str]
) -> None:
    url, before = f"{service.url}/api/share/{shared[2]}", views(shared)
    for agent in BOTS:
        assert httpx.get(url, headers={"User-Agent": agent}).status_code == 200
    for name in ("Sec-Purpose", "Purpose", "X-Moz"):
        httpx.get(url, headers={name: "prefetch"})
    answer = httpx.head(url)
    assert (answer.status_code, answer.content) == (200, b"")
    assert views(shared) == before
    for agent in PEOPLE:
        httpx.get(url, headers={"User-Agent": agent})
    assert views(shared) == before + len(PEOPLE)


def test_nothing_of_a_share_is_for_search_engines(
    service: Service, shared: tuple[User, int, str]
) -> None:
    for path in (shared[2], f"{shared[2]}/photos/7/image", "nobody"):
        answer = httpx.get(f"{service.url}/api/share/{path}")
        assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "X-Robots-Tag" not in httpx.get(f"{service.url}/api/").headers


def test_whatever_answers_get_answers_head(service: Service, alice: User) -> None:
    album, photo = alice.album()["id"], alice.upload()["id"]
    token = alice.api.post(f"/albums/{album}/share").json()["token"]
    given = {"{album_id}": str(album), "{photo_id}": str(photo), "{token}": token}
    paths = httpx.get(f"{service.url}/openapi.json").json()["paths"]
    reads = [path for path, operations in paths.items() if "get" in operations]
    for path in [*reads, "/docs", "/redoc", "/openapi.json", "/docs-assets/favicon.png", "/api"]:
        for name, value in given.items():
            path = path.replace(name, value)
        got, head = (alice.api.request(method, service.url + path) for method in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers.get("Content-Type") == got.headers.get("Content-Type"), path
    assert "HEAD" in alice.api.request("TRACE", "/photos/").headers["Allow"]


DOCUMENT = """
import json
from fastapi import FastAPI
from photo_api.app import add_routes
from photo_api.http.docs import openapi_document
app = FastAPI(openapi_url=None)
add_routes(app)
print(json.dumps(openapi_document(app)))
"""


def document(seed: str) -> dict[str, Any]:
    made = subprocess.run(
        [sys.executable, "-W", "error", "-c", DOCUMENT],
        env={"PYTHONHASHSEED": seed},
        capture_output=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(made.stdout)
    return found


def test_operations_have_ids_of_their_own_in_every_run() -> None:
    documents = [document(seed) for seed in ("1", "2")]
    assert documents[0] == documents[1]
    assert len({json.dumps(one) for one in documents}) == 1, "also their order"
    operations = [
        (method, operation["operationId"])
        for path in documents[0]["paths"].values()
        for method, operation in path.items()
    ]
    assert len({name for _, name in operations}) == len(operations)
    assert all(name.endswith(f"_{method}") for method, name in operations)
