"""Requests made to hurt, each a kind of its own. Put another here when you find one."""

import json

LONG = "a" * 200_000
WIDE = "\N{CAMERA}" * 10_001
DEEP = 50_000

TEXTS = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "\x01" * 10_000,
    "\ud800",
    "\ufeff",
    "\u202e" * 300,
    "e\N{COMBINING ACUTE ACCENT}" * 200,
    "İ",
    "Σ@ς.example",
    "'; DROP TABLE users; --",
    "%s%n{0}{x.__class__}${jndi:ldap://x}",
    "../../../../etc/passwd",
    "<script>alert(1)</script>",
    "\r\nSet-Cookie: a=b",
    "1e400",
    "NaN",
    LONG,
    WIDE,
]
"""For any field, path or query."""

NUMBERS = [
    "0",
    "-0",
    "-1",
    "1.0",
    "1e3",
    "1e400",
    "NaN",
    "Infinity",
    "-Infinity",
    str(2**53),
    str(2**63),
    str(-(2**63) - 1),
    "9" * 4301,
    "9" * 100_000,
    "0x10",
    "1_0",
    "٣",
    "true",
]
"""As they would stand in JSON, or do not."""

BODIES = [
    b"",
    b"null",
    b"0",
    b'""',
    b"[]",
    b"{",
    b"{}}",
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b'{"name": "\xff"}',
    b'{"name": "\\ud800"}',
    b'{"name": "\\u0000"}',
    b'{"name": 1, "name": "x"}',
    b'{"photo_ids": [1], "photo_ids": ["x"]}',
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b'{"name":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"photo_ids":[' + b",".join([b'""'] * 80_000) + b"]}",
    b'{"photo_ids":[' + b",".join([b"[]"] * 10_000) + b"]}",
    b"{" + b",".join(b'"k%d":1' % number for number in range(20_000)) + b"}",
    b'{"' + LONG.encode() + b'":1}',
    b" " * 250_000 + b"{}",
    b"9" * 250_000,
    b'"' + b"\\u0041" * 40_000 + b'"',
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    b"--b\r\n",
    json.dumps({"name": WIDE}).encode(),
]

TYPES = [
    "application/json",
    "application/json; charset=utf-16",
    "application/vnd.api+json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=" + "b" * 200,
    "text/plain",
    "application/json, text/html",
    "/",
    "",
]

LOGIN = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\n"

HEADS = [
    b"",
    b"\r\n\r\n",
    b"GET",
    b"GET /health HTTP/0.9\r\n\r\n",
    b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET  /health  HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\x00health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\n X: folded\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET /health HTTP/1.1\nHost: x\n\n",
    LOGIN + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    LOGIN + b"Content-Length: -1\r\n\r\n",
    LOGIN + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
    LOGIN + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    LOGIN + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    LOGIN + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    LOGIN + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    LOGIN + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"a" * 60_000 + b"\r\n\r\n",
]
"""Bytes on a connection."""
