"""`photo-api storage check`: each fault is made, and found."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from photo_api.settings.loading import load
from photo_api.storage.swift_requests import Answer, Asked, SwiftRequests
from photo_local.keystone import USER
from tests.openstack.keystone import PASSWORD, Keystone
from tests.openstack.keystone_v2 import KeystoneV2
from tests.openstack.swift import Swift, ask
from tests.provisioning.conftest import SWIFT_SLOWLY
from tests.provisioning.running import check, init
from tests.provisioning.test_init import put_rules


def readable(bucket: str) -> str:
    """A policy by which everybody reads a bucket's objects."""
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/*"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


async def test_a_bucket_that_everybody_reads(on_s3: dict[str, str]) -> None:
    await init(on_s3)
    await put_rules(on_s3, "policy", readable(load(on_s3).s3.bucket))
    seen = await check(on_s3)
    assert (seen.code, seen.wrong) == (1, {"public"})
    assert "may read it" in seen.one("public", "wrong")


async def test_a_token_beside_the_signature(on_s3: dict[str, str]) -> None:
    """SeaweedFS does not mind; of one that does, as AWS, nothing is wrong."""
    await init(on_s3)
    assert (await check(on_s3)).states("authorization") == ["ok"]
    upstream = load(on_s3).s3.endpoint
    with strict_about_tokens(upstream) as address:
        seen = await check(on_s3, {"S3_PUBLIC_ENDPOINT": address})
    assert (seen.code, seen.states("authorization")) == (0, ["warn"])
    assert "400 InvalidArgument" in seen.one("authorization", "warn")


@contextmanager
def strict_about_tokens(upstream: str) -> Iterator[str]:
    """The store's address at which a request with two signatures gets AWS's answer."""

    class Strict(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            bearer = self.headers.get("Authorization", "").startswith("Bearer")
            if bearer and "X-Amz-Signature" in self.path:
                status, body = 400, b"<Error><Code>InvalidArgument</Code></Error>"
                headers: dict[str, str] = {}
            else:
                sent = list(self.headers.items())
                asked = httpx.request(self.command, upstream + self.path, headers=sent)
                status, body, headers = asked.status_code, asked.content, dict(asked.headers)
            self.send_response(status)
            for name, value in headers.items():
                if name not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_OPTIONS = do_HEAD = do

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Strict) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
async def test_a_container_that_everybody_reads(on_own_swift: dict[str, str], swift: Swift) -> None:
    await init(on_own_swift)
    token, account = swift.sign_in()
    name = load(on_own_swift).swift.container
    access = ".r:*,.rlistings"
    ask("POST", f"{account}/{name}", X_Auth_Token=token, X_Container_Read=access)
    seen = await check(on_own_swift)
    assert (seen.code, seen.wrong) == (1, {"public"})
    assert "may list it" in str(seen.findings)


async def test_a_rule_that_deletes_photos(on_s3: dict[str, str]) -> None:
    await init(on_s3)
    rules = (
        "<LifecycleConfiguration><Rule><ID>tidy</ID><Filter><Prefix></Prefix></Filter>"
        "<Status>Enabled</Status><Expiration><Days>365</Days></Expiration></Rule>"
        "</LifecycleConfiguration>"
    )
    await put_rules(on_s3, "lifecycle", rules)
    assert "photos get lost" in str((await check(on_s3)).findings)


@SWIFT_SLOWLY
async def test_wrong_credentials(settings: dict[str, str]) -> None:
    await init(settings)
    no, named = {"S3_SECRET_KEY": "d05b7c1e94a26f83e1907bd4c58f20a7"}, "S3_SECRET_KEY"
    if settings.get("PHOTO_API_STORE") == "swift":
        no, named = {"SWIFT_PASSWORD": "another"}, "SWIFT_USER"
    seen = await check(settings, no)
    assert (seen.code, seen.wrong) == (1, {"credentials"})
    assert named in seen.one("credentials", "wrong")
    assert "another" not in str(seen.findings)


@pytest.mark.slow
async def test_a_key_that_the_container_does_not_have(on_own_swift: dict[str, str]) -> None:
    await init(on_own_swift)
    seen = await check(on_own_swift, {"SWIFT_STAGING_URL_KEYS": "f47ac10b58cc4372a5670e02b2c3d479"})
    assert seen.wrong == {"keys", "signed-url"}
    assert "uploads, by the first key" in seen.one("signed-url", "wrong")


async def test_what_keystone_says(on_own_swift: dict[str, str], keystone: KeystoneV2) -> None:
    await init(on_own_swift)
    keystone.life = 40
    other = {"region": "KR1", "publicURL": "https://swift.example.org/v1/AUTH_other", "id": "1"}
    keystone.catalogue = [{"type": "object-store", "name": "swift", "endpoints": [other]}]
    seen = await check(on_own_swift)
    assert seen.wrong == {"token", "catalogue"}
    assert "AUTH_other" in seen.one("catalogue", "wrong")
    keystone.catalogue = []
    assert "SWIFT_PROJECT_ID" in (await check(on_own_swift)).one("catalogue", "wrong")
    keystone.status = 503
    seen = await check(on_own_swift)
    assert (seen.code, seen.wrong, seen.unknown) == (2, set(), {"credentials"})


@SWIFT_SLOWLY
async def test_a_store_at_another_address_than_clients_get(settings: dict[str, str]) -> None:
    await init(settings)
    kind = "SWIFT" if settings.get("PHOTO_API_STORE") == "swift" else "S3"
    seen = await check(settings, {f"{kind}_PUBLIC_ENDPOINT": "http://127.0.0.1:9"})
    assert (seen.code, seen.wrong) == (2, set())
    assert seen.unknown >= {"reach", "cors"}


@pytest.mark.slow
async def test_a_real_keystone(
    on_own_swift: dict[str, str], openstack: tuple[Keystone, Swift]
) -> None:
    """Its catalogue names the store; who owns the account may set all that is needed."""
    real, swift = openstack
    own = {
        "SWIFT_URL": f"{swift.url}/v1/AUTH_{real.project}",
        "SWIFT_AUTH_URL": f"{real.url}/v3",
        "SWIFT_USER": USER,
        "SWIFT_PASSWORD": PASSWORD,
        "SWIFT_PROJECT_ID": real.project,
    }
    settings = on_own_swift | {f"PHOTO_API_{key}": value for key, value in own.items()}
    assert (await init(settings)).code == 0
    seen = await check(settings)
    assert (seen.code, seen.states("catalogue"), seen.states("token")) == (0, ["ok"], ["ok"])


@pytest.mark.slow
async def test_what_only_owners_may_set_is_missed(
    on_own_swift: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From others Swift takes it, answers 204, and drops it."""
    ask = SwiftRequests.ask

    async def dropping(self: SwiftRequests, asked: Asked) -> Answer:
        return await ask(self, replace(asked, headers={}) if asked.method == "POST" else asked)

    monkeypatch.setattr(SwiftRequests, "ask", dropping)
    told = await init(on_own_swift)
    assert told.code == 1
    assert "has not taken X-Container-Meta-" in str(told.findings)
    assert "operator_roles" in str(told.findings)


@pytest.mark.needs("faketime")
def test_a_clock_that_is_wrong(on_s3: dict[str, str]) -> None:
    command = [sys.executable, "-m", "photo_api.cli", "storage", "check"]
    done = subprocess.run(
        ["faketime", "-f", "+10m", *command], env=on_s3, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    [told] = [line for line in done.stdout.splitlines() if line.startswith("wrong    clock")]
    assert "behind this one" in told
    assert 598 < float(told.split(" s ")[0].rpartition(" ")[2]) < 603
