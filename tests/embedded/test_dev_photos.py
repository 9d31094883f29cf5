"""`photo-api dev` with people using it: what is acknowledged stays, whatever is killed."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil

from tests.embedded.servers import all_gone, eventually
from tests.embedded.test_dev import Dev, serving, starting
from tests.service import User, jpeg, put
from tests.stall import Stall


def by_command(dev: Dev, text: str) -> psutil.Process | None:
    for process in dev.family():
        with suppress(psutil.NoSuchProcess):
            if text in " ".join(process.cmdline()):
                return process
    return None


def image(user: User, photo_id: int, url: str | None = None) -> bytes:
    base = f"{url}/api" if url else ""
    answer = user.api.get(f"{base}/photos/{photo_id}/image", follow_redirects=True)
    return answer.raise_for_status().content


def test_every_acknowledged_photo_survives_kill_9(data: Path) -> None:
    with ExitStack() as open_users:
        with serving(data) as dev:
            user = open_users.enter_context(User(dev.url))
            album = user.album()["id"]
            photos = dict(_upload(user, album, direct=number % 2 == 0) for number in range(6))
            family = dev.family()
            for process in family:
                with suppress(psutil.NoSuchProcess):  # it ends with the one before it
                    process.kill()
            assert all_gone(family[1:], 5)
        with serving(data) as again:
            for photo_id, content in photos.items():
                assert image(user, photo_id, again.url) == content
            page = user.api.get(f"{again.url}/api/albums/{album}").json()
            assert [photo["id"] for photo in page["photos"]] == list(photos)


def _upload(user: User, album: int, *, direct: bool) -> tuple[int, bytes]:
    content = jpeg(200, 200)
    if not direct:
        return user.upload(content, album)["id"], content
    presigned = user.presign(album, content)
    put(presigned, content).raise_for_status()
    user.confirm(presigned["photo_id"]).raise_for_status()
    return presigned["photo_id"], content


def test_a_killed_process_is_mended(data: Path) -> None:
    """One kind after the other, by one `photo-api dev`."""
    with serving(data) as dev, User(dev.url) as user:
        user.rendered(user.upload()["id"])
        for program in ("web_worker", "job_worker", "renditions.child"):
            victim = by_command(dev, program)
            assert victim is not None, program
            orphans = victim.children(recursive=True)
            victim.kill()
            assert all_gone([victim, *orphans], 5), program
            assert eventually(dev.healthy, 10), program
            assert user.rendered(user.upload()["id"])["renditions"] == "ready"
            assert by_command(dev, program) is not None


def test_ctrl_c_lets_a_short_request_finish(data: Path) -> None:
    with serving(data) as dev, User(dev.url) as user:
        album, content = user.album()["id"], jpeg(300, 300)

        def slowly() -> Iterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="album_id"\r\n\r\n'
            yield str(album).encode() + b"\r\n"
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
            for at in range(0, len(content), len(content) // 8):
                yield content[at : at + len(content) // 8]
                time.sleep(0.2)
            yield b"\r\n--b--\r\n"

        answers: list[int] = []

        def send() -> None:
            headers = {"Content-Type": "multipart/form-data; boundary=b"}
            answers.append(user.api.post("/photos/", content=slowly(), headers=headers).status_code)

        sending = threading.Thread(target=send)
        sending.start()
        time.sleep(0.5)
        dev.process.send_signal(signal.SIGINT)
        assert dev.process.wait(5) == 0
        sending.join(5)
        assert answers == [201]


def test_ctrl_c_does_not_wait_for_a_stuck_request(data: Path) -> None:
    with serving(data) as dev:
        family = dev.family()
        host, port = dev.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as stuck:
            head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            stuck.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            time.sleep(0.3)
            with Stall(dev.process.pid).measured() as stall:
                began = time.monotonic()
                dev.process.send_signal(signal.SIGINT)
                dev.process.wait(30)
                took = time.monotonic() - began
            assert took - stall.seconds < 5
        assert all_gone(family, 0.5)


def test_another_host_reaches_api_and_store_and_nothing_else(data: Path) -> None:
    """The store is opened on that address by a relay: a signed URL works as it was signed."""
    host = "127.0.0.2"
    with starting(data, HOST=host, PUBLIC_URL=f"http://{host}:80") as dev:
        url = dev.url.replace("127.0.0.1", host)
        there = Dev(dev.process, url, data)
        assert eventually(there.healthy, 15)
        with User(url) as user:
            content = jpeg()
            presigned = user.presign(user.album()["id"], content)
            assert presigned["upload_url"].startswith(f"http://{host}:")
            put(presigned, content).raise_for_status()
            user.confirm(presigned["photo_id"]).raise_for_status()
            assert image(user, presigned["photo_id"]) == content
        assert listening_on(dev, host) == {int(url.rsplit(":", 1)[1]), store_port(presigned)}
        assert httpx.get(f"http://{host}:{store_port(presigned)}/").status_code == 403


def store_port(presigned: dict[str, object]) -> int:
    return int(str(presigned["upload_url"]).split("/")[2].split(":")[1])


def listening_on(dev: Dev, host: str) -> set[int]:
    """Ports on which the family listens, on this address or on all."""
    found = {
        (connection.laddr.ip, connection.laddr.port)
        for process in dev.family()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    return {port for address, port in found if address in (host, "0.0.0.0", "::")}
