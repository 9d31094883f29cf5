"""What stands in a line of the log, and what never does."""

import ast
import json
import logging
import math
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import orjson
import pytest

from photo_api.contract import RELEASE
from photo_api.telemetry.events import Event
from photo_api.telemetry.logs import TextFormatter
from photo_base.log_lines import HIDDEN, LONGEST_LINE, JsonLines, redact
from tests.own_stage import ask, own_database
from tests.service import PASSWORD, Service, User, cli, eventually, jpeg, running_service

ROOT = Path(__file__).parent.parent.parent


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def of(service: Service, event: Event, **fields: Any) -> list[dict[str, Any]]:
    found = [line for line in lines_of(service.log) if line["event"] == event]
    return [line for line in found if fields.items() <= line.items()]


def address_of(user: User) -> str:
    return str(ip_address(user.api.headers["X-Forwarded-For"]))


def test_a_request_s_line_tells_who_asked_what_of_whom(service: Service, alice: User) -> None:
    answer = alice.api.get("/albums/?skip=0", headers={"X-Request-ID": "a-line"})
    [line] = eventually(lambda: of(service, Event.REQUEST, request_id="a-line"))
    assert line.pop("ms") > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("time"))
    assert re.fullmatch(r"[0-9a-f-]{36}", line.pop("boot"))
    assert line == {
        "level": "INFO",
        "event": "request",
        "logger": "photo_api.access",
        "message": "request",
        "instance": answer.headers["X-Instance"],
        "version": RELEASE,
        "process": "web-1",
        "request_id": "a-line",
        "user_id": alice.account["id"],
        "client": address_of(alice),
        "method": "GET",
        "route": "/api/albums",
        "status": 200,
        "bytes": len(answer.content),
    }


def test_a_request_s_line_names_the_route_that_took_it(service: Service) -> None:
    taken = ("/docs", "/redoc", "/openapi.json", "/api", "/health", "/metrics")
    for number, path in enumerate((*taken, "/nowhere")):
        httpx.request(
            "GET" if number % 2 else "HEAD",
            service.url + path,
            headers={"X-Request-ID": f"route-{number}"},
        )
        [line] = eventually(lambda: of(service, Event.REQUEST, request_id=f"route-{number}"))  # noqa: B023
        assert line["route"] == (path if path in taken else "unmatched")


def test_a_client_that_leaves_amid_its_upload_is_499_as_any_other(
    service: Service, alice: User
) -> None:
    address, album = urlsplit(service.url), alice.album()["id"]
    content_type = "multipart/form-data; boundary=x"
    head = (
        "POST /api/photos/ HTTP/1.1\r\nHost: a\r\nX-Request-ID: left-amid\r\n"
        f"Authorization: {alice.api.headers['Authorization']}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: 500000\r\n\r\n"
        f'--x\r\nContent-Disposition: form-data; name="album_id"\r\n\r\n{album}\r\n'
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    )
    with socket.create_connection((address.hostname or "", address.port or 0), 10) as peer:
        peer.sendall(head.encode() + jpeg())
    [line] = eventually(lambda: of(service, Event.REQUEST, request_id="left-amid"))
    assert (line["route"], line["status"], line["user_id"]) == (
        "/api/photos", 499, alice.account["id"],
    )  # fmt: skip


def test_every_line_of_a_boot_names_it(service: Service, alice: User) -> None:
    alice.rendered(alice.upload()["id"])
    processes = {"main", "web-1", "jobs"}
    eventually(lambda: {line["process"] for line in lines_of(service.log)} == processes)
    lines = lines_of(service.log)
    assert len({line["boot"] for line in lines}) == 1
    assert {line["event"] for line in lines} <= set(Event)


def test_logins_that_fail_and_are_throttled_have_names(service: Service) -> None:
    with service.new_user() as user:
        whose = {"user_id": user.account["id"], "client": address_of(user)}
        assert of(service, Event.LOGIN_SUCCEEDED, **whose)
        for _ in range(5):
            assert user.login("wrong horse battery").status_code == 401
        assert user.login("wrong horse battery").status_code == 429
        stranger = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD}
        assert user.api.post("/auth/login", json=stranger).status_code == 401
        failed = {"reason": "wrong_password", "level": "WARNING"} | whose
        assert len(of(service, Event.LOGIN_FAILED, **failed)) == 5
        assert len(of(service, Event.LOGIN_THROTTLED, **whose)) == 1
        unknown = {"reason": "unknown_account", "client": whose["client"], "user_id": None}
        [line] = of(service, Event.LOGIN_FAILED, **unknown)
        whole = {"request_id": line["request_id"], "status": 401}
        eventually(lambda: of(service, Event.REQUEST, **whole))


def test_refused_refresh_tokens_and_links_have_names(service: Service, alice: User) -> None:
    client = {"client": address_of(alice)}

    def refresh(token: str) -> int:
        return alice.api.post("/auth/refresh", json={"refresh_token": token}).status_code

    assert refresh(token_urlsafe(32)) == 401
    token = alice.login().json()["refresh_token"]
    assert alice.api.post("/auth/logout", json={"refresh_token": token}).status_code == 204
    assert refresh(token) == 401
    told = [line["reason"] for line in of(service, Event.REFRESH_REFUSED, **client)]
    assert told == ["unknown", "revoked"]
    used = alice.tokens["refresh_token"]
    assert (refresh(used), refresh(used)) == (200, 200)
    [line] = of(service, Event.REFRESH_TOKEN_REUSED, **client)
    assert (line["level"], line["reason"]) == ("INFO", "answered_again")
    assert alice.api.get(f"/share/{token_urlsafe(24)}").status_code == 404
    [line] = of(service, Event.SHARE_REFUSED, **client)
    assert (line["level"], line["reason"]) == ("WARNING", "unknown")


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_configuration_that_is_refused_is_a_line_too(form: str) -> None:
    secret = token_hex(8)
    environ = {"PHOTO_API_JWT_KEYS": f"k1:{secret}", "PHOTO_API_LOG_FORMAT": form}
    done = cli(environ, "serve")
    assert done.returncode == 2
    assert secret not in done.stderr
    found = lines_of(done.stderr)
    assert [line["event"] for line in found] == ([Event.CONFIGURATION_REFUSED] * (form == "json"))
    assert all("PHOTO_API_JWT_KEYS" in " ".join(line["problems"]) for line in found)


def test_every_event_is_told_somewhere_and_documented() -> None:
    named, free = set(), []
    for path in (ROOT / "src/photo_api").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("Event."):
                named.add(node.attr)
            if isinstance(node, ast.keyword) and node.arg == "extra":
                free += re.findall(r"'event': '[^']*'", ast.unparse(node))
    assert named == {one.name for one in Event} - {"MESSAGE"}
    assert free == [], "its name belongs into the list"
    for guide in ("docs/operations.md", "docs/ko/operations.md"):
        rows = re.findall(r"^\| `([a-z_]+)` \|", (ROOT / guide).read_text(), re.M)
        assert [row for row in rows if row in set(Event)] == [str(one) for one in Event], guide


SECRETS = [
    pytest.param(lambda: token_urlsafe(24), id="share"),
    pytest.param(lambda: token_urlsafe(32), id="refresh"),
    pytest.param(lambda: token_hex(32), id="signature"),
    pytest.param(lambda: f"eyJ{token_urlsafe(20)}.{token_urlsafe(30)}.x", id="access"),
]


@pytest.mark.parametrize("make", SECRETS)
def test_a_secret_in_an_error_s_words_is_hidden(make: Any) -> None:
    for _ in range(200):
        secret = make()
        try:
            raise ValueError(f"invalid input for query argument $1: '{secret}'")
        except ValueError:
            record = logging.LogRecord("x", 40, "", 0, "at %s", (secret,), sys.exc_info())
        record.fields = {"one": secret, "more": [f"x {secret}"], "deep": {"a": (secret,)}}
        assert secret not in TextFormatter("web-1").format(record)
        line = JsonLines(instance="10.0.0.1").format(record)
        assert secret not in line
        assert json.loads(line)["one"] == HIDDEN
        assert json.loads(line)["traceback"].startswith("Traceback")


def test_what_an_address_carries_is_hidden_and_the_rest_stays() -> None:
    hidden = {
        "http://s3/b/k?X-Amz-Signature=1a&X-Amz-Expires=9": "http://s3/b/k?[hidden]&X-Amz-Expires=9",
        "https://cdn/a?token=exp=1~hmac=2": "https://cdn/a?[hidden]",
        "postgresql://u:hunter2@h/d": "postgresql://[hidden]@h/d",
        "Authorization: Bearer abc.def": "Authorization: Bearer [hidden]",
        "GET /api/share/h4Zr3p1f0aXw/photos/1": "GET /api/share/[hidden]/photos/1",
    }
    assert {text: redact(text) for text in hidden} == hidden
    kept = [
        *("/api/share/{token}", str(uuid4()), uuid4().hex, "staging/2026/11/ab.jpg"),
        *(
            "web-1 killed by SIGKILL",
            "photo_api.renditions.decoder_pool.work",
            "token=",
            "10.0.0.1",
        ),
    ]
    assert [redact(text) for text in kept] == kept


def test_a_secret_is_known_by_its_name_too() -> None:
    said = "hunter2 and more"
    for text in (
        *(f'{{"email": "a@b", "password": "{said}"}}', f"{{'new_password': '{said}'}}"),
        *(
            f"connect(password='{said}')",
            f'{{\\"refresh_token\\": \\"{said}\\"}}',
            f'client_secret="{said}"',
        ),
        *("host=h password=hunter2 dbname=d", "postgresql://u:hun/ter2@h/d", "pg://u:a@hunter2@h"),
        *("Cookie: session=hunter2; a=hunter2", "X-Auth-Token: hunter2", "authorization: hunter2"),
        "e" * 300_000 + f" password='{said}' " + "e" * 300,
    ):
        for shown in (redact(text), redact(text.upper())):
            assert "unter2" not in shown.lower(), shown
            assert HIDDEN in shown
    assert redact("password: too short, the token's check failed = no") == (
        "password: too short, the token's check failed = no"
    )


def test_what_is_looked_at_for_secrets_has_an_end() -> None:
    """Each in a fraction of a second, not in the minutes of a pattern that goes back and forth."""
    for one in (
        "a",
        "a-",
        "?a-",
        "&",
        "://x",
        "://x:",
        "bearer ",
        "Aa",
        'token="',
        "password",
        "'",
    ):
        began = time.process_time()
        redact(one * (3_000_000 // len(one)))
        assert time.process_time() - began < 20, one


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def test_nothing_that_is_logged_costs_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    """For logging would write what it was given as it is: many lines, no JSON, with secrets."""
    secret = token_urlsafe(32)
    deep: list[Any] = []
    for _ in range(3000):
        deep = [deep]
    for fields in (
        *({"deep": deep}, {"bad": Unspeakable()}, {"keys": {(1, 2): 3, b"a": 4, secret: 5}}),
        *({"int": 10**5000}, {"in": [{"bad": Unspeakable()}]}),
    ):
        for words in (("at %s %s %s", secret), ("at %d", secret), ("%s", Unspeakable())):
            record = logging.LogRecord("x", 40, "", 0, words[0], (words[1],), None)
            record.fields = fields
            for formatter in (JsonLines(), TextFormatter("web-1")):
                handler = logging.StreamHandler()
                handler.setFormatter(formatter)
                handler.emit(record)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 30
    assert not any(secret in line or "Logging error" in line for line in lines)
    assert all(json.loads(line)["level"] == "ERROR" for line in lines[::2])


def test_nothing_that_is_logged_forges_a_line_or_moves_a_terminal() -> None:
    evil = "a\n12:00:01 INFO web-1 request\r\x1b[31m\x9b2J\x7f\x00\u202e\u2066\u2028\x85\ud800쌍👍"
    record = logging.LogRecord("x", 40, "", 0, evil, None, None)
    record.fields = {"email": evil, evil: [evil]}
    line = JsonLines().format(record)
    text = TextFormatter("web-1").format(record)
    for one in (line, text):
        assert len(one.splitlines()) == 1
        assert one.isprintable()
        assert "쌍👍" in one
    told = json.loads(line)
    for value in (told["message"], told["email"]):
        assert value.replace("\n", "").isprintable(), "nor what a reader makes of JSON"


NOBODY = """
import logging, sys, threading, warnings
from photo_base.log_lines import JsonLines, log_to_stderr
class Gone:
    def __del__(self): raise ValueError(sys.argv[1])
log_to_stderr(JsonLines())
warnings.warn(sys.argv[1])
thread = threading.Thread(target=lambda: int(sys.argv[1]))
thread.start()
thread.join()
Gone()
int(sys.argv[1])
"""


def test_what_nobody_catches_is_a_line_like_all_others() -> None:
    secret = token_urlsafe(32)
    done = subprocess.run(
        [sys.executable, "-c", NOBODY, secret], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert secret not in done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["level"] for line in told] == ["WARNING", "ERROR", "ERROR", "ERROR"]
    assert all("ValueError" in line["traceback"] for line in told[1:])


def test_a_line_has_an_end() -> None:
    """Less than the 256 KiB that Loki takes, and still JSON with what matters."""
    record = logging.LogRecord("x", 40, "", 0, "쌍" * 200_000, None, None)
    record.fields = {
        "event": "request",
        "ids": list(range(100_000)),
        **{f"k{n}": "y" * 9000 for n in range(90)},
    }
    text = JsonLines(instance="10.0.0.1", boot="b").format(record)
    assert len(text.encode()) <= LONGEST_LINE
    line = json.loads(text)
    assert (line["cut"], line["instance"], line["event"]) == (True, "10.0.0.1", "request")


def test_a_line_is_json_whatever_its_fields_are() -> None:
    """For one that no collector can read it would refuse those that come with it."""
    record = logging.LogRecord("x", 40, "", 0, "lone \ud800 surrogate", None, None)
    record.fields = {"nan": math.nan, "inf": -math.inf, "big": 2**70, "set": {1}, "at": object}
    line = orjson.loads(JsonLines().format(record).encode(errors="replace"))
    assert (line["nan"], line["inf"], line["set"]) == ("nan", "-inf", [1])


@pytest.fixture(scope="module")
def talkative(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """It tells everything, to standard error and to a file."""
    folder = tmp_path_factory.mktemp("talkative")
    more = {"PHOTO_API_LOG_LEVEL": "DEBUG", "PHOTO_API_LOG_SINK": str(folder / "sink")}
    with (
        own_database(stack, environ | more) as settings,
        running_service(settings, folder) as own,
    ):
        yield own


def flood(service: Service, secret: str) -> None:
    """The secret in every place of a request that a client can choose."""
    places = ("User-Agent", "Referer", "Cookie", "X-Request-ID", "Idempotency-Key", "traceparent")
    more = ("X-Forwarded-For", "Origin", "Range", "If-None-Match", "Content-Type", "Accept")
    paths = ["/{}", "/api/{}", "/api/share/{}", "/api/share/{}/photos/1/image", "/api/photos/{}"]
    paths += ["/api/photos/?cursor={}", "/api/albums/1?token={}", "/docs?{}", "/api/%00{}"]
    bodies = ({"refresh_token": secret}, {"email": secret, "password": secret}, {"name": secret})
    with httpx.Client(base_url=service.url, timeout=30) as client:
        for path in paths:
            for method in ("GET", "POST", "DELETE"):
                client.request(method, path.format(secret))
        for name in (*places, *more, "Authorization", "Host"):
            for value in (secret, f"Bearer {secret}", f"x={secret}; y", f"id-{secret}"):
                client.get("/api/albums/", headers={name: value})
        for path in ("login", "register", "refresh", "logout"):
            for body in bodies:
                client.post(f"/api/auth/{path}", json=body)
            client.post(f"/api/auth/{path}", content=f'{{"refresh_token": "{secret}')
    address = urlsplit(service.url)
    for raw in (
        f"{secret} / HTTP/1.1\r\n\r\n",
        f"GET /{secret} HTTP/9\r\n\r\n",
        f"{secret}\r\n\r\n",
    ):
        with socket.create_connection((address.hostname or "", address.port or 0), 10) as peer:
            peer.sendall(raw.encode())
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass


def everything_that_is_secret(user: User) -> list[str]:
    """Of somebody who shares an album and is about to upload a photo."""
    album = user.album()["id"]
    share = user.api.post(f"/albums/{album}/share").json()
    photo = user.upload(jpeg(), album)
    image = user.api.get(f"/photos/{photo['id']}/image", follow_redirects=False)
    urls = [user.presign(album, jpeg())["upload_url"], image.headers["Location"]]
    signatures = [parse_qs(urlsplit(url).query)["X-Amz-Signature"][0] for url in urls]
    return [
        share["token"],
        *signatures,
        *map(str, (user.tokens["access_token"], user.tokens["refresh_token"])),
    ]


def test_no_secret_reaches_a_line_wherever_a_client_puts_it(talkative: Service) -> None:
    with talkative.new_user() as user:
        secrets = everything_that_is_secret(user)
        for secret in secrets:
            flood(talkative, secret)
            user.post_photo(album_id=1, filename=f"{secret}.jpg", description=secret)
            user.api.post("/albums/", json={"name": secret, "description": secret})
        # What nobody expects: every statement about these fails from now on.
        ask(talkative.environ, "ALTER TABLE shares RENAME TO elsewhere")
        ask(talkative.environ, "ALTER TABLE refresh_tokens RENAME TO elsewhere_too")
        for secret in secrets:
            flood(talkative, secret)
        spoken = [*secrets, user.email, user.password, talkative.environ["PHOTO_API_OPS_TOKEN"]]
    lines = eventually(lambda: [one for one in lines_of(talkative.log) if "traceback" in one])
    assert any(line["message"] == "unhandled error" for line in lines)
    written = Path(talkative.environ["PHOTO_API_LOG_SINK"])
    eventually(lambda: written.read_text().count("\n") >= talkative.log.count("\n{") - 50)
    for text in (talkative.log, written.read_text()):
        for secret in spoken:
            assert secret not in text
        assert {line["event"] for line in lines_of(text)} <= set(Event)


def test_no_page_tells_the_next_where_it_was_opened(service: Service) -> None:
    for path in ("/health", "/api/share/x", "/docs", "/nowhere"):
        answer = httpx.get(f"{service.url}{path}")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
