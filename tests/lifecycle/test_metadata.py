"""What the cloud tells about a machine is found, checked, and never waited for beyond the limit."""

import asyncio
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from photo_api.cloud import metadata as module
from photo_api.cloud.identity import identify, own_address
from photo_api.cloud.metadata import (
    SESSION_SECONDS,
    InstanceMetadata,
    Metadata,
    NoAnswer,
    ask,
    look_up,
    look_up_late,
)
from photo_api.http_exchange import MAX_ANSWER
from photo_api.settings.instance import LifecycleSettings
from photo_api.settings.loading import load
from tests.metadata_service import black_hole, cloud_settings, raw_server, running_cloud
from tests.service import free_port

OK = b"HTTP/1.1 200 OK\r\n"


async def test_amazons_metadata_is_found() -> None:
    with running_cloud("aws") as cloud:
        found = await look_up(cloud_settings(cloud.url))
    assert found == Metadata("aws", "10.20.30.40", "eu-north-1", "i-0123456789abcdef0")


async def test_openstacks_metadata_is_found() -> None:
    with running_cloud("openstack") as cloud:
        found = await look_up(cloud_settings(cloud.url))
    assert found == Metadata("openstack", "10.20.30.40", "kr-pub-a", cloud.uuid)


async def test_a_cloud_that_speaks_both_languages_is_openstack() -> None:
    with running_cloud("both") as cloud:
        found = await look_up(cloud_settings(cloud.url))
    assert found is not None
    assert found.provider == "openstack"


async def test_without_an_address_of_the_service_none_is_asked() -> None:
    assert await look_up(cloud_settings("")) is None


LIMIT, MARGIN = 0.5, 5.0


async def waited(url: str) -> float:
    """Seconds until it is known that there is no metadata."""
    began = time.monotonic()
    assert await look_up(cloud_settings(url, metadata_timeout=LIMIT)) is None
    return time.monotonic() - began


async def test_a_machine_without_metadata_waits_no_longer_than_the_limit() -> None:
    assert await waited(f"http://127.0.0.1:{free_port()}") < LIMIT + MARGIN
    with black_hole() as url:
        assert LIMIT <= await waited(url) < LIMIT + MARGIN
    with raw_server(keep_open=True) as url:
        assert LIMIT <= await waited(url) < LIMIT + MARGIN


async def test_the_limit_holds_for_all_answers_together() -> None:
    with running_cloud() as cloud:
        cloud.delay = 0.3
        assert await waited(cloud.url) < LIMIT + MARGIN
    with raw_server(OK + b"X-Slow: yes\r\n" * 100, pause=0.05) as url:
        assert await waited(url) < LIMIT + MARGIN


HTML = OK + b"Content-Length: 27\r\n\r\n<html>Please log in</html>\n"
HOSTILE = {
    "a login page": HTML,
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "nothing": b"",
    "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,
    "an endless head": OK + b"X-Pad: x\r\n" * 20_000,
    "an endless body": OK + b"\r\n" + b"1" * (MAX_ANSWER + 1),
    "a body announced too long": OK + b"Content-Length: 100000\r\n\r\n" + b"1" * 100_000,
    "a body cut short": OK + b"Content-Length: 30\r\n\r\n{",
    "no number for a length": OK + b"Content-Length: many\r\n\r\n",
    "bad chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    "endless chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"9\r\nendlessly\r\n" * 9000,
    "not UTF-8": OK + b"Content-Length: 2\r\n\r\n\xff\xfe",
    "deep JSON": OK + b"Content-Length: 60000\r\n\r\n" + b"[" * 60_000,
    "other JSON": OK + b"Content-Length: 2\r\n\r\n[]",
    "a number for an id": OK + b"Content-Length: 10\r\n\r\n" + b'{"uuid":1}',
    "a token that breaks a header": OK + b"Content-Length: 5\r\n\r\na\r\nb:",
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_is_no_metadata_is_not_believed(answer: bytes) -> None:
    with raw_server(answer) as url:
        assert await look_up(cloud_settings(url)) is None


@pytest.mark.parametrize("kind", [name for name in HOSTILE if "endless" in name or "long" in name])
async def test_an_answer_without_bound_is_not_read_on(kind: str) -> None:
    refused = pytest.raises(NoAnswer, match=r"ValueError|RemoteProtocolError")
    with raw_server(HOSTILE[kind], keep_open=True) as url, refused:
        await ask("GET", url)


async def test_a_login_page_is_no_session_token() -> None:
    with raw_server(HTML) as url, pytest.raises(NoAnswer, match="no session token"):
        await InstanceMetadata(url).get("instance-id")


async def test_an_address_and_a_region_that_cannot_be_are_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_cloud() as cloud:
        for address in ("10.20.30", "example.org", "0.0.0.0", "fe80::1%x y"):
            cloud.address, cloud.region = address, "eu-north-1/../\n"
            found = await look_up(cloud_settings(cloud.url))
            assert found == Metadata("aws", None, None, cloud.instance_id)
    assert "no valid address: '10.20.30'" in caplog.text
    assert "no valid region: 'eu-north-1/../'" in caplog.text


async def test_without_a_valid_instance_id_there_is_no_metadata() -> None:
    with running_cloud() as cloud:
        cloud.instance_id = "i-1 or 1=1"
        assert await look_up(cloud_settings(cloud.url)) is None


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with running_cloud() as cloud:
        assert await look_up(cloud_settings(cloud.url)) is not None


async def test_answers_in_chunks_and_without_a_length_are_read() -> None:
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with raw_server(chunked) as url:
        assert (await ask("GET", url)).body == "abcde"
    with raw_server(OK + b"\r\nabcde") as url:
        assert (await ask("GET", url)).body == "abcde"


async def test_a_session_token_is_used_until_shortly_before_its_end() -> None:
    now = 1000.0
    with running_cloud() as cloud:
        service = InstanceMetadata(cloud.url, clock=lambda: now)
        for _ in range(3):
            await service.get("instance-id")
        assert len(cloud.tokens) == 1
        now += SESSION_SECONDS - 30
        await service.get("instance-id")
        assert len(cloud.tokens) == 2


async def test_a_forgotten_session_is_begun_anew() -> None:
    with running_cloud() as cloud:
        service = InstanceMetadata(cloud.url)
        await service.get("instance-id")
        cloud.tokens.clear()
        assert await service.get("instance-id") == cloud.instance_id
        assert await service.get("no/such/item") is None
        cloud.status = 500
        with pytest.raises(NoAnswer, match="500"):
            await service.get("instance-id")


async def test_the_fake_answers_nothing_without_a_session_token() -> None:
    with running_cloud() as cloud:
        url = f"{cloud.url}/latest/meta-data/instance-id"
        assert (await ask("GET", url)).status == 401
        assert (await ask("GET", url, {"X-aws-ec2-metadata-token": "guessed"})).status == 401
        assert (await ask("PUT", f"{cloud.url}/latest/api/token")).status == 400


@pytest.fixture
def lifecycle(environ: dict[str, str]) -> LifecycleSettings:
    return load({key: value for key, value in environ.items() if key != "PATH"}).lifecycle


def test_what_is_configured_comes_before_what_the_metadata_tells(
    lifecycle: LifecycleSettings,
) -> None:
    metadata = Metadata("aws", "10.20.30.40", "eu-north-1", "i-1")
    told = identify(lifecycle, metadata=metadata)
    assert (told.instance, told.region) == ("10.20.30.40", "eu-north-1")
    configured = replace(lifecycle, instance_ip="10.1.1.1", region="cellar")
    own = identify(configured, metadata=metadata)
    assert (own.instance, own.region) == ("10.1.1.1", "cellar")
    assert identify(lifecycle, "a-boot", metadata).boot_id == "a-boot"


@pytest.mark.parametrize("metadata", [None, Metadata("openstack", None, None, "a-uuid")])
def test_where_nothing_tells_the_own_address_does(
    lifecycle: LifecycleSettings, metadata: Metadata | None
) -> None:
    found = identify(lifecycle, metadata=metadata)
    assert (found.instance, found.region) == (own_address(), None)


def test_looking_up_imports_no_http_client() -> None:
    """It is in the way of every start."""
    code = "import sys, photo_api.cloud.notices; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"http.client", "urllib.request", "email", "httpx", "obstore", "asyncpg", "fastapi"}
    assert not heavy & set(done.stdout.split())


async def test_metadata_that_are_away_for_long_are_asked_for_where_a_group_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would terminate a machine that does not hear of it."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(module, "LATEST", 0.05)
    with running_cloud("aws") as cloud:
        cloud.status = 503
        settings = cloud_settings(cloud.url)
        assert await look_up_late(replace(settings, autoscaling_group="")) is None
        waiting = asyncio.create_task(look_up_late(settings))
        await asyncio.sleep(0.3)
        cloud.status = 200
        found = await asyncio.wait_for(waiting, 20)
    assert found is not None
    assert found.provider == "aws"
