"""What is not a number is no id; answers that no route gives are like those that routes give."""

import re
import socket
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.service import Service, User

NOT_QUITE = ("{0}.0", "+{0}", " {0}", "{0}\n", "00{0}", "{0}_0", "{0} ", "{0}e0", "0x{0}")


def operations(service: Service) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, what OpenAPI says) of every route."""
    paths = httpx.get(f"{service.url}/openapi.json").json()["paths"]
    return [
        (method.upper(), path, operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


def names(operation: dict[str, Any], place: str) -> list[str]:
    """The whole numbers that it takes there."""

    def is_number(schema: dict[str, Any]) -> bool:
        return any(part.get("type") == "integer" for part in schema.get("anyOf", [schema]))

    parameters = operation.get("parameters", [])
    return [p["name"] for p in parameters if p["in"] == place and is_number(p["schema"])]


def test_a_path_names_an_object_in_one_way_only(service: Service, alice: User) -> None:
    album = alice.album()["id"]
    share = alice.api.post(f"/albums/{album}/share").json()
    photo = alice.upload(album_id=album)["id"]
    right = {
        "album_id": album, "photo_id": photo, "share_id": share["id"], "token": share["token"],
    }  # fmt: skip
    body = {"photo_ids": [photo], "title": "x", "name": "x"}
    tried, taken = 0, []
    for method, path, operation in operations(service):
        for name in names(operation, "path"):
            for form in NOT_QUITE:
                wrong = quote(form.format(right[name]), safe="")
                values = {key: str(value) for key, value in right.items()} | {name: wrong}
                url = service.url + path.format_map(values)
                answer = alice.api.request(method, url, json=None if method == "GET" else body)
                tried += 1
                if answer.status_code != 404:
                    taken.append((method, path, wrong, answer.status_code))
    assert taken == []
    assert tried > 100
    assert alice.api.get(f"/albums/{album}").status_code == 200


def test_a_number_in_a_query_is_written_in_digits(service: Service, alice: User) -> None:
    album = alice.album()["id"]
    photo = alice.upload(album_id=album)["id"]
    token = alice.api.post(f"/albums/{album}/share").json()["token"]
    values = {"album_id": album, "photo_id": photo, "token": token, "month": "2024-05"}
    tried, taken = 0, []
    for method, path, operation in operations(service):
        for name in names(operation, "query"):
            url = service.url + path.format_map(values)
            for form in (*NOT_QUITE, "٣", "", "-{0}"):
                if form == "00{0}":
                    continue
                answer = alice.api.request(method, url, params={name: form.format(1)})
                tried += 1
                if answer.status_code != 422:
                    taken.append((method, path, name, form, answer.status_code))
    assert taken == []
    assert tried > 50


def test_a_number_in_a_form_is_written_in_digits(alice: User) -> None:
    album = alice.album()["id"]
    photo = {"file": ("a.jpg", b"\xff\xd8\xff", "image/jpeg")}
    for form in ("{0}.0", "+{0}", " {0}", "{0}_0"):
        data = {"album_id": form.format(album)}
        assert alice.api.post("/photos/", data=data, files=photo).status_code == 422, form


def test_a_wrong_method_is_told_all_that_are_right(service: Service) -> None:
    by_path: dict[str, set[str]] = {}
    for method, path, _ in operations(service):
        by_path.setdefault(path, set()).add(method)
    assert len(by_path) > 15
    for path, methods in by_path.items():
        answer = httpx.request("TRACE", service.url + re.sub(r"\{.*?\}", "1", path))
        allowed = set(answer.headers.get("Allow", "").split(", "))
        assert answer.status_code == 405, path
        assert methods <= allowed, (path, allowed)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"no request at all\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_what_never_becomes_a_request_is_told_by_whom(
    service: Service, head: bytes, status: bytes
) -> None:
    address = (httpx.URL(service.url).host, httpx.URL(service.url).port)
    with socket.create_connection(address, 10) as connection:
        connection.sendall(head)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    instance = httpx.get(f"{service.url}/health").headers["X-Instance"]
    lines = answer.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert status in lines[0]
    assert [line for line in lines if line.lower().startswith(b"x-instance:")] == [
        b"x-instance: " + instance.encode()
    ]


def test_a_refused_preflight_has_the_error_body(service: Service) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for changed in (
        {},
        {"Origin": "https://front.example.org", "Access-Control-Request-Method": "TRACE"},
        {"Origin": "https://front.example.org", "Access-Control-Request-Headers": "x-foreign"},
    ):
        answer = httpx.options(f"{service.url}/api/albums/", headers=headers | changed)
        assert answer.status_code == 400
        assert set(answer.json()) == {"detail", "code", "request_id"}, changed
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
        assert "Disallowed CORS" in answer.json()["detail"]
        assert "Origin" in answer.headers["Vary"]
