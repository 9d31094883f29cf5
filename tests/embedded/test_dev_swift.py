"""`photo-api dev` with STORE=swift: a real Swift and a real Keystone in place of SeaweedFS."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from photo_base.processes import CannotStart
from photo_local.dev import Options
from photo_local.ports import free_port
from tests.embedded.servers import all_gone, eventually
from tests.embedded.test_dev import Dev, refusal, starting
from tests.embedded.test_dev_photos import by_command, image
from tests.service import User, jpeg, put

pytestmark = [pytest.mark.needs("memcached"), pytest.mark.timeout(240)]
PROCESSES = ("keystone_server", "memcached", "swift-object-server", "swift-proxy-server")


@contextmanager
def serving(data: Path, **environ: str) -> Iterator[Dev]:
    own = {"STORE": "swift", "SWIFT_PORT": str(free_port()), **environ}
    with starting(data, **own) as dev:
        assert eventually(dev.healthy, 60)
        yield dev


def uploaded(user: User) -> dict[int, bytes]:
    """One by a signed URL and one through the server."""
    album, content = user.album()["id"], jpeg(200, 200)
    presigned = user.presign(album, content)
    put(presigned, content).raise_for_status()
    wanted = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x, y"}
    page = {"Origin": "http://localhost:5173", **wanted}
    assert httpx.options(presigned["upload_url"], headers=page).is_success, "a browser may, too"
    user.confirm(presigned["photo_id"]).raise_for_status()
    other = jpeg(210, 210)
    return {presigned["photo_id"]: content, user.upload(other, album)["id"]: other}


def test_photos_come_and_go_and_ctrl_c_leaves_nothing(data: Path) -> None:
    with serving(data) as dev:
        with User(dev.url) as user:
            for photo_id, content in uploaded(user).items():
                assert image(user, photo_id) == content
                assert user.rendered(photo_id)["renditions"] == "ready"
        family = dev.family()
        assert all(by_command(dev, name) for name in PROCESSES)
        assert listening_elsewhere(family) == set()
        os.killpg(dev.process.pid, signal.SIGINT)
        assert dev.process.wait(10) == 0
        assert all_gone(family, 2)
    code, printed = refusal(data)
    assert (code, (data / "seaweed").exists()) == (1, False)
    assert "are in its OpenStack Swift: start it with STORE=swift again" in printed


def listening_elsewhere(family: list[psutil.Process]) -> set[str]:
    places = [place for process in family for place in process.net_connections("inet")]
    listening = {place.laddr.ip for place in places if place.status == psutil.CONN_LISTEN}
    return listening - {"127.0.0.1"}


def test_only_stores_that_there_are_can_be_asked_for() -> None:
    with pytest.raises(CannotStart, match=r"STORE=nonsense is no object store: it is s3 .* swift"):
        Options.parse({"STORE": "nonsense"})
    assert Options.parse({"PHOTO_API_STORE": "swift"}).store == "swift"
    with pytest.raises(CannotStart, match="PORT and SWIFT_PORT are both 8334"):
        Options.parse({"STORE": "swift", "PORT": "8334"})


def test_data_in_seaweed_is_not_looked_for_in_swift(data: Path) -> None:
    (data / "seaweed").mkdir(parents=True)
    code, printed = refusal(data, STORE="swift")
    assert (code, (data / "openstack").exists()) == (1, False)
    assert "are in its SeaweedFS: start it with STORE=s3 again" in printed


@pytest.mark.parametrize(
    ("store", "variable", "folder"),
    [("swift", "SWIFT_PORT", "openstack"), ("s3", "S3_PORT", "seaweed")],
)
def test_a_start_that_finds_its_port_taken_does_not_say_what_the_data_is_in(
    data: Path, store: str, variable: str, folder: str
) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        code, printed = refusal(data, STORE=store, **{variable: str(port)})
    assert (code, (data / folder).exists()) == (1, False)
    assert f"{variable} {port} is taken" in printed


@pytest.mark.slow
def test_every_photo_survives_kill_9_and_another_address_of_the_store(data: Path) -> None:
    with serving(data) as dev, User(dev.url) as user:
        photos = uploaded(user)
        family = dev.family()
        dev.process.kill()
        assert all_gone(family, 5)
        host = "127.0.0.2"
        url = f"http://{host}"
        with starting(
            data, STORE="swift", SWIFT_PORT=str(free_port()), HOST=host, PUBLIC_URL=url
        ) as again:
            there = Dev(again.process, again.url.replace("127.0.0.1", host), data)
            assert eventually(there.healthy, 60)
            for photo_id, content in photos.items():
                assert image(user, photo_id, there.url) == content
            kill_each(there)
            with User(there.url) as other:
                assert eventually(lambda: taken(other), 90)
                for photo_id, content in uploaded(other).items():
                    answer = other.api.get(f"/photos/{photo_id}/image")
                    assert answer.headers["location"].startswith(f"http://{host}:")
                    assert httpx.get(answer.headers["location"]).content == content


def kill_each(dev: Dev) -> None:
    """Each of the store's parts is killed, and started again."""
    for name in PROCESSES:
        killed = by_command(dev, name)
        assert killed is not None
        killed.kill()
        assert eventually(partial(is_another, dev, name, killed), 15), name


def is_another(dev: Dev, name: str, killed: psutil.Process) -> bool:
    return by_command(dev, name) not in (None, killed)


def taken(user: User) -> bool:
    files = {"file": ("photo.jpg", jpeg(), "image/jpeg")}
    album = {"album_id": str(user.album()["id"])}
    return user.api.post("/photos/", data=album, files=files).status_code == 201
