"""Whatever a stranger or a user sends: a short answer of the documented shape and no error of ours,
and the next one is served."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.corpus import BODIES, HEADS, NUMBERS, TEXTS, TYPES
from tests.fuzzing import fuzzed
from tests.service import Service, User

LONGEST = 10_000
LONG = ("/openapi.json", "/metrics")
"""Bytes of any answer here, of which no page of photos is one."""

Target = tuple[str, str]


class Attacked:
    """Somebody with a photo in a shared album, who asks for odd things."""

    def __init__(self, user: User, service: Service) -> None:
        self.service = service
        album, self.api = user.album()["id"], user.api
        token = user.api.post(f"/albums/{album}/share").raise_for_status().json()["token"]
        self.ids = {
            "album_id": album, "photo_id": 2**40, "share_id": 2**40, "token": token,
            "month": "2024-05", "session_id": UUID(int=0),
        }  # fmt: skip
        document = httpx.get(f"{service.url}/openapi.json").json()
        self.schemas = document["components"]["schemas"]
        self.bodies: dict[Target, list[str]] = {}
        """The fields that a route with a JSON body takes."""
        self.queries: dict[Target, list[str]] = {}
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                target = (method.upper(), path)
                names = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
                self.queries[target] = names
                for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                    if kind == "application/json":
                        self.bodies[target] = self._fields(content["schema"])

    def _fields(self, schema: dict[str, Any]) -> list[str]:
        some = (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ()))
        names = [one["$ref"].rsplit("/", 1)[1] for one in some if "$ref" in one]
        assert names, schema
        return list({field: None for name in names for field in self.schemas[name]["properties"]})

    def send(self, target: Target, **request: Any) -> None:
        """And look at the answer."""
        method, path = target
        url = self.service.url + path.format_map(self.ids)
        self.judge(self.api.request(method, url, **request))

    def judge(self, answer: httpx.Response) -> None:
        about = (answer.request.method, str(answer.request.url)[:200], answer.text[:300])
        assert answer.status_code < 500, about
        assert len(answer.content) <= LONGEST or answer.url.path in LONG, about
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if answer.status_code >= 400 and answer.request.method != "HEAD":
            told = answer.json()
            assert set(told) == {"detail", "code", "request_id"}, about
            assert answer.headers["Cache-Control"] == "no-store"
            assert isinstance(told["detail"], str) or len(told["detail"]) <= 20


@pytest.fixture(scope="module")
def attacked(service: Service) -> Iterator[Attacked]:
    with service.new_user() as user:
        yield Attacked(user, service)


texts = st.sampled_from(TEXTS) | st.text(max_size=50)
numbers = st.sampled_from(NUMBERS) | st.integers().map(str) | st.floats().map(str)
scalars = st.one_of(texts.map(json.dumps), numbers, st.sampled_from(["null", "true", "{}", "[]"]))
lists = st.builds(lambda item, count: f"[{','.join([item] * count)}]", scalars, st.integers(0, 300))
values = scalars | lists | lists.map(lambda inner: f'{{"a": {inner}}}')


@fuzzed(120)
@given(data=st.data(), kind=st.sampled_from(TYPES[:1] * 9 + TYPES))
def test_fields(attacked: Attacked, data: st.DataObject, kind: str) -> None:
    target = data.draw(st.sampled_from(sorted(attacked.bodies)))
    names = st.sampled_from(attacked.bodies[target]) | texts
    given_fields = data.draw(st.lists(st.tuples(names, values), max_size=8))
    body = ",".join(f"{json.dumps(name)}:{value}" for name, value in given_fields)
    headers = {"Content-Type": kind.encode()}
    attacked.send(target, content=f"{{{body}}}".encode(errors="replace"), headers=headers)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
def test_bodies(attacked: Attacked, body: bytes) -> None:
    for target in attacked.bodies:
        attacked.send(target, content=body, headers={"Content-Type": "application/json"})


@fuzzed(60)
@given(data=st.data(), body=st.sampled_from(BODIES) | st.binary(max_size=200))
def test_bodies_of_any_type(attacked: Attacked, data: st.DataObject, body: bytes) -> None:
    target = data.draw(st.sampled_from(sorted(attacked.queries)))
    headers = {"Content-Type": data.draw(st.sampled_from(TYPES)).encode()}
    attacked.send(target, content=body, headers=headers)


@fuzzed(120)
@given(data=st.data())
def test_queries(attacked: Attacked, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(sorted(attacked.queries)))
    names = st.sampled_from([*attacked.queries[target], "x"])
    pairs = data.draw(st.lists(st.tuples(names, texts | numbers), max_size=5))
    query = "&".join(f"{name}={_quoted(text)}" for name, text in pairs)[:50_000]
    attacked.send((target[0], f"{target[1]}?{query}"))


@fuzzed(120)
@given(data=st.data(), part=texts | numbers)
def test_paths(attacked: Attacked, data: st.DataObject, part: str) -> None:
    method, path = data.draw(st.sampled_from(sorted(attacked.queries)))
    text = _quoted(part)[:50_000] or "%20"
    names = [name for name in attacked.ids if f"{{{name}}}" in path]
    changed = attacked.ids | ({data.draw(st.sampled_from(names)): text} if names else {})
    url = attacked.service.url + path.format_map(changed) + ("" if names else f"/{text}")
    attacked.judge(attacked.api.request(method, url))


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


@fuzzed(60)
@example(("Authorization", "Bearer " + "a." * 30_000))
@example(("Authorization", "Bearer " + "." * 300))
@given(
    st.tuples(
        st.sampled_from(
            [
                "Authorization",
                "Idempotency-Key",
                "X-Request-ID",
                "X-Forwarded-For",
                "Range",
                "Origin",
                "Cookie",
                "Expect",
                "Access-Control-Request-Method",
                "Accept-Encoding",
            ]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=100),
    )
)
def test_headers(attacked: Attacked, header: tuple[str, str]) -> None:
    name, value = header
    sent = {name: value.strip().encode("latin-1").replace(b"\x7f", b"")}
    for target in (("GET", "/api/photos"), ("POST", "/api/albums"), ("OPTIONS", "/api/albums")):
        attacked.send(target, headers=sent)


damaged_heads = st.builds(
    lambda head, at, junk: head[: at % (len(head) + 1)] + junk + head[at % (len(head) + 1) :],
    st.sampled_from([head for head in HEADS if len(head) < 1000]),
    st.integers(0, 1000),
    st.sampled_from([b"\r\n", b"\n", b"\r", b"\x00", b":", b" ", b"\t", b"\xff"]) | st.binary(),
)


@fuzzed(25)
@given(damaged_heads)
def test_damaged_heads(attacked: Attacked, sent: bytes) -> None:
    heads(attacked, sent)


@pytest.mark.parametrize("sent", HEADS, ids=lambda head: repr(head[:40]))
def test_heads(attacked: Attacked, sent: bytes) -> None:
    heads(attacked, sent)


def heads(attacked: Attacked, sent: bytes) -> None:
    """What is answered is HTTP, and every error is in the contract's shape."""
    address = urlsplit(attacked.service.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as client:
        try:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            answers = b"".join(iter(lambda: client.recv(65_536), b""))
        except ConnectionError:
            answers = b""  # cut, because it refused to read on
    if answers:
        head, _, body = answers.partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), head[:100]
        code = int(head.split()[1])
        assert code < 500 or b"retry-after" in head.lower(), answers[:500]
        if code >= 400:
            told, _ = json.JSONDecoder().raw_decode(body.decode())
            assert set(told) == {"detail", "code", "request_id"}
    assert httpx.get(f"{attacked.service.url}/health/live").status_code == 200
