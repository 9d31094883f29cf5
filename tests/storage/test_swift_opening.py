"""The store on Swift as it is opened by settings: new secrets while it runs, what it signs by, and
whom it believes over TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from photo_api.cloud.keystone import Account
from photo_api.settings.loading import Settings, load
from photo_api.settings.secrets import LiveSettings
from photo_api.storage import swift_opening
from photo_api.storage.base import StoreRefused, StoreUnavailable
from photo_api.storage.keystone import fetch_token
from photo_api.storage.opening import follow_store
from photo_api.storage.swift_containers import Containers
from photo_api.storage.swift_requests import Asked, SwiftRequests
from photo_api.storage.tokens import Token, Tokens
from photo_api.storage.url_keys import UrlKeySource
from tests.certificates import Authority
from tests.openstack.account import account_of, on_swift
from tests.openstack.keystone_v2 import KeystoneV2, in_a_thread
from tests.openstack.swift import Swift

pytestmark = pytest.mark.needs("memcached")

BASE = {
    "PHOTO_API_DATABASE_URL": "postgresql://u:hunter2hunter2@/photos",
    "PHOTO_API_JWT_KEYS": "k1:9f3c1d5e7a8b4260c1d2e3f4a5b69788",
    "PHOTO_API_SECRET_KEYS": "s1:7d4e0b93a1f65c28e9307b6df184c25a",
}
NEW_KEY = "4be1a97c0d5f4e2c8b6f13d2a7095c8e"


@pytest.fixture
def keystone(swift: Swift) -> Iterator[KeystoneV2]:
    with in_a_thread(KeystoneV2(swift.sign_in)) as keystone:
        yield keystone


@pytest.fixture
def settings(swift: Swift, containers: Containers, keystone: KeystoneV2) -> Settings:
    return load(on_swift(BASE, swift, containers, keystone))


async def test_a_new_password_is_used_at_once(
    settings: Settings, swift: Swift, keystone: KeystoneV2
) -> None:
    live = LiveSettings(settings)
    refusals: list[str] = []
    live.refused = refusals.append
    async with follow_store(live) as (_, store):
        await store.ping()
        await asyncio.sleep(1.1)
        keystone.password = "the next password"
        swift.forget()
        with pytest.raises(StoreRefused):
            await store.ping()
        assert refusals
        assert set(refusals) == {"store"}
        changed = replace(settings.swift, password=keystone.password)
        live.change(replace(settings, swift=changed))
        await store.ping()


async def test_a_new_key_of_urls_signs_at_once(settings: Settings) -> None:
    live = LiveSettings(settings)
    async with follow_store(live) as (keys, _):
        assert isinstance(keys, UrlKeySource)
        changed = replace(settings.swift, url_keys=(NEW_KEY, *settings.swift.url_keys))
        live.change(replace(settings, swift=changed))
        assert keys.current().photos == NEW_KEY
        assert keys.current().staging == settings.swift.staging_url_keys[0]


@pytest.mark.parametrize(
    ("allowed", "digest"),
    [
        ('["sha1", "sha256", "sha512"]', "sha256"),
        ('["sha512", "sha1"]', "sha512"),
        ('["sha1"]', "sha1"),
        ("null", "sha256"),
    ],
)
async def test_urls_are_signed_by_what_the_store_takes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, allowed: str, digest: str
) -> None:
    async def info(_: SwiftRequests) -> bytes:
        return f'{{"tempurl": {{"allowed_digests": {allowed}}}}}'.encode()

    monkeypatch.setattr(SwiftRequests, "info", info)
    async with follow_store(LiveSettings(settings)) as (keys, _):
        assert isinstance(keys, UrlKeySource)
        assert keys.current().digest == digest


async def test_a_store_that_is_away_at_the_start_is_asked_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swift_opening, "ASK_AGAIN", (0.05, 0.05))
    answers: list[bytes] = []

    async def info(_: SwiftRequests) -> bytes:
        if not answers:
            raise StoreUnavailable("away")
        return answers[0]

    monkeypatch.setattr(SwiftRequests, "info", info)
    async with follow_store(LiveSettings(settings)) as (keys, _):
        assert isinstance(keys, UrlKeySource)
        assert keys.current().digest == "sha256"
        answers.append(b'{"tempurl": {"allowed_digests": ["sha512"]}}')
        async with asyncio.timeout(5):
            while keys.current().digest != "sha512":
                await asyncio.sleep(0.01)


async def test_a_digest_of_the_settings_is_not_asked_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(SwiftRequests, "info")
    chosen = replace(settings, swift=replace(settings.swift, digest="sha1"))
    async with follow_store(LiveSettings(chosen)) as (keys, _):
        assert isinstance(keys, UrlKeySource)
        assert keys.current().digest == "sha1"


@asynccontextmanager
async def over_tls(authority: Authority, port: int) -> AsyncIterator[int]:
    """Carries what comes over TLS to a port of this machine; its own port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.server("127.0.0.1"))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, theirs[1]), pump(theirs[0], writer))

    server = await asyncio.start_server(carry, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def port_of(url: str) -> str:
    return url.split("/")[2].partition(":")[2]


async def test_an_authority_of_the_settings_is_believed_by_both(
    swift: Swift, keystone: KeystoneV2, containers: Containers, tmp_path: Path
) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    believed = ours.certificate.read_text()
    token, url = swift.sign_in()

    async def fetch() -> Token:
        return Token(token, 3600)

    async with (
        over_tls(ours, int(port_of(url))) as swift_port,
        over_tls(ours, int(port_of(keystone.url))) as keystone_port,
    ):
        url = url.replace("http:", "https:").replace(port_of(url), str(swift_port))
        auth = keystone.url.replace("http:", "https:")
        account = account_of(keystone)
        account = replace(account, auth_url=auth.replace(port_of(auth), str(keystone_port)))
        requests = SwiftRequests(url, Tokens(fetch), believed)
        assert (await requests.ask(Asked("HEAD", containers.photos))).status == 204
        await requests.aclose()
        for authorities in (theirs.certificate.read_text(), ""):
            requests = SwiftRequests(url, Tokens(fetch), authorities)
            with pytest.raises(StoreUnavailable, match="its certificate is refused"):
                await requests.ask(Asked("HEAD", containers.photos))
            wrong = replace(account, authorities=authorities)
            with pytest.raises(StoreUnavailable, match="SSL"):
                await asyncio.to_thread(fetch_token, wrong)
        trusting = replace(account, authorities=believed)
        assert (await asyncio.to_thread(fetch_token, trusting)).value


async def test_both_go_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 204 It\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async def fetch() -> Token:
        return Token("token", 3600)

    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://user:word@127.0.0.1:{port}")
    requests = SwiftRequests("http://swift.invalid/v1/AUTH_x", Tokens(fetch))
    assert (await requests.ask(Asked("HEAD", "photos"))).status == 204
    await requests.aclose()
    account = Account("http://keystone.invalid/v3", "user", "password", "1234")
    with pytest.raises(StoreUnavailable):  # there is no token in such an answer
        await asyncio.to_thread(fetch_token, account)
    proxy.close()
    assert asked[0].startswith("HEAD http://swift.invalid/v1/AUTH_x/photos HTTP/1.1")
    assert asked[1].startswith("POST http://keystone.invalid/v3/auth/tokens HTTP/1.1")
    for request in asked:
        assert "proxy-authorization: basic dxnlcjp3b3jk" in request.lower()
