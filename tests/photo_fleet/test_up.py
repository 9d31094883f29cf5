"""A whole fleet on one machine: started, told what to do from another terminal, and ended."""

import json
import shutil
import signal
import socket
import stat
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

import photo_api
from photo_api.contract import INSTANCE_HEADER
from photo_base.processes import CannotStart, find_program
from photo_fleet.local_fleet import nginx as nginx_module
from photo_fleet.local_fleet.nginx import required_nginx
from photo_fleet.render.places import Places
from tests.metrics.scraping import Prometheus
from tests.photo_fleet.local_stage import Up, fleet_command, fleet_up
from tests.service import eventually, full_pipe, jpeg, put

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with fleet_up(tmp_path_factory.mktemp("up")) as up:
        yield up


def test_a_photo_goes_in_and_comes_out_through_nginx_alone(up: Up) -> None:
    data = jpeg()
    with up.new_user() as user:
        presigned = user.presign(user.album()["id"], data)
        assert presigned["upload_url"].startswith(up.url + "/")
        assert put(presigned, data).is_success
        user.confirm(presigned["photo_id"]).raise_for_status()
        path = f"/photos/{presigned['photo_id']}/image"
        image = user.api.get(path, follow_redirects=False)
        assert image.headers["location"].startswith(up.url + "/")
        assert httpx.get(image.headers["location"]).content == data


def test_each_instance_has_an_address_of_its_own_and_its_share_of_the_requests(up: Up) -> None:
    names = Counter(httpx.get(f"{up.url}/health").headers[INSTANCE_HEADER] for _ in range(20))
    instances = {item["name"] for item in up.serving()}
    assert set(names) == instances
    assert all(name.startswith("127.0.1.") for name in instances)
    assert min(names.values()) >= 5


def test_status_tells_people_and_machines_how_it_stands(up: Up) -> None:
    eventually(lambda: up.status()["requests"]["total"] > 0)
    status = up.status()
    assert (status["desired"], status["min"], status["max"]) == (2, 2, 4)
    assert status["url"] == up.url
    assert [item["member"] for item in status["instances"]] == [True, True]
    assert all(item["cpu_percent"] is not None for item in status["instances"])
    assert {"start", "ready", "member entered"} <= {item["kind"] for item in status["events"]}
    shown = up.command("status")
    for item in status["instances"]:
        assert f"{item['name']}:{item['port']}" in shown


def test_what_cannot_be_done_is_refused_with_the_numbers(up: Up) -> None:
    assert "9 is not between group.min 2 and group.max 4" in up.command("scale", "9", expect=1)
    assert "there is no instance 10.0.0.9; there are: 127." in up.command(
        "kill", "10.0.0.9", expect=1
    )
    told = up.command("deploy", "--release", str(up.data), expect=1)
    assert f"{up.data} is no release" in told


def test_what_is_secret_is_for_its_owner_alone_and_in_no_file_that_is_rendered(up: Up) -> None:
    secrets = up.data / "fleet-secrets.json"
    for path in (secrets, up.data / "run/fleet.sock", *(up.data / "logs").glob("*.*.log")):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    values = json.loads(secrets.read_text()).values()
    written = [path for folder in ("nginx", "logs") for path in (up.data / folder).rglob("*")]
    for path in (path for path in written if path.is_file()):
        text = path.read_text(errors="replace")
        assert not any(value in text for value in values), path
        assert "X-Amz-Signature=" not in text or path.suffix != ".log", path


def test_a_second_fleet_in_the_same_folder_or_on_the_same_port_is_refused(
    up: Up, tmp_path: Path
) -> None:
    port = up.url.rsplit(":", 1)[1]
    taken = fleet_command("up", "--data", str(tmp_path), "--port", port)
    assert taken.returncode == 1
    assert f"port {port} is taken; choose another with --port" in taken.stderr
    used = fleet_command("up", "--data", str(up.data), "--port", str(_free()))
    assert used.returncode == 1
    assert f"another photo-api runs on {up.data}" in used.stderr
    assert len(up.serving()) == 2


def test_without_a_fleet_the_commands_say_how_to_start_one(tmp_path: Path) -> None:
    for command in (["status"], ["scale", "3"]):
        done = fleet_command(*command, "--data", str(tmp_path))
        assert done.returncode == 2
        assert f"no fleet runs in {tmp_path}; start one with `photo-fleet up`" in done.stderr


def test_a_missing_nginx_or_lua_module_names_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    places = Places(modules=str(tmp_path))
    with pytest.raises(CannotStart, match="apt-get install libnginx-mod-http-lua"):
        required_nginx(places)
    monkeypatch.setattr(nginx_module, "find_program", lambda _: None)
    with pytest.raises(CannotStart, match="apt-get install nginx libnginx-mod-http-lua"):
        required_nginx(places)


def test_a_folder_too_deep_for_sockets_is_refused_with_the_number(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    done = fleet_command("up", "--data", str(deep), "--port", str(_free()))
    assert done.returncode == 1
    assert "bytes too long for the sockets in it; choose a shorter --data" in done.stderr


def test_ctrl_c_drains_and_leaves_nothing_running(up: Up) -> None:
    """The last one that uses the common fleet."""
    assert len(up.processes()) > 10
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(30) == 0, up.said
    eventually(lambda: not up.processes(), 5)
    assert up.said.count("exited with 0") == 2
    assert "SIGKILL" not in up.said


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.needs("prometheus")
@pytest.mark.needs("prometheus-pushgateway")
def test_a_killed_instance_is_replaced_and_of_who_is_gone_no_series_remains(tmp_path: Path) -> None:
    """Instances push, as the spec of their fleet says."""
    pushing = '[metrics]\ninterval = "1s"\npushgateway = "http://10.0.0.9:9091"\n'
    with fleet_up(tmp_path, desired=3, more=pushing) as up:
        watchers = up.status()["watchers"]
        assert all(f"{name} answers at {url}" in up.said for name, url in watchers.items())
        server = Prometheus(watchers["Prometheus"])

        def watched() -> dict[str, float]:
            """How many series there are of each, by its address."""
            found = server.query("count by (instance) (photo_api_ready)")
            return {one["metric"]["instance"]: float(one["value"][1]) for one in found}

        def serving() -> dict[str, float]:
            return {f"{item['name']}:{item['port']}": 1.0 for item in up.serving()}

        eventually(lambda: watched() == serving(), 30)
        before = {item["name"] for item in up.serving()}
        victim = min(before)
        told = up.command("kill", victim)
        assert f"{victim} was killed and is replaced" in told
        after = {item["name"] for item in up.wait_for(3)}
        assert len(after - before) == 1
        assert "killed by SIGKILL" in up.said
        assert "replaced at once" in up.said
        up.command("scale", "2")
        up.wait_for(2)
        # The one that drained took its own out; the killed one's go once it is lost, and swept.
        eventually(lambda: watched() == serving(), 90, 0.5)
        listed = httpx.get(f"{watchers['Pushgateway']}/api/v1/metrics").json()["data"]
        assert {one["labels"]["instance"] for one in listed} == set(serving())
        receipts = {item["instance"]: item for item in up.status()["receipts"]}
        assert (receipts.pop(victim)["ending"], len(receipts)) == ("lost", 1)
        assert [item["ending"] for item in receipts.values()] == ["drained"]


@pytest.mark.slow
def test_a_drained_instance_is_replaced_also_when_nobody_reads_what_up_prints(
    tmp_path: Path,
) -> None:
    with full_pipe() as unread, fleet_up(tmp_path, stdout=unread) as up:
        victim = up.serving()[0]["name"]
        assert f"{victim} has drained" in up.command("drain", victim)
        assert victim not in {item["name"] for item in up.wait_for(2)}
        (receipt,) = eventually(lambda: up.status()["receipts"])
        assert (receipt["instance"], receipt["ending"]) == (victim, "drained")
        assert (receipt["lame_duck_end"], receipt["acknowledged"]) == ("removed", 1)
        assert victim in up.command("status").partition("took")[2], "for people, too"


@pytest.mark.slow
def test_an_instance_that_hangs_is_replaced_after_three_failed_looks(tmp_path: Path) -> None:
    with fleet_up(tmp_path, options=["--time-scale", "30"]) as up:
        victim = up.serving()[0]
        web = [
            child
            for child in psutil.Process(victim["pid"]).children(recursive=True)
            if "photo_api.web_worker" in child.cmdline()
        ]
        for process in web:
            process.suspend()
        # Each look takes its whole timeout of 5 s.
        eventually(lambda: victim["name"] not in {i["name"] for i in up.serving()}, 60, 0.5)
        # The balancer's own probes may have taken it out before.
        killed = "/health/live failed 3 times in a row: killed and replaced"
        eventually(lambda: killed in up.said, 60, 0.5)
        up.wait_for(2)
        eventually(lambda: not any(process.is_running() for process in web), 10)


@pytest.mark.slow
def test_kill_9_of_up_leaves_no_process(tmp_path: Path) -> None:
    with fleet_up(tmp_path) as up:
        assert len(up.processes()) > 10
        names = {item.name() for item in up.processes()}
        for program in ("prometheus", "prometheus-pushgateway"):
            assert find_program(program) is None or program[:15] in {name[:15] for name in names}
        up.process.kill()
        killed = time.monotonic()
        eventually(lambda: not up.processes(), 15)
        assert time.monotonic() - killed < 5 + _stalled()


@pytest.mark.slow
def test_a_release_that_does_not_start_leaves_everything_as_it_was(tmp_path: Path) -> None:
    unusable, dies, hangs = tmp_path / "unusable", tmp_path / "dies", tmp_path / "hangs"
    _copy_release(unusable, "raise SystemExit('this release is broken')\n")
    _copy_release(dies, "import sys\nif 'serve' in sys.argv: raise SystemExit('no')\n")
    _copy_release(hangs, "import sys, time\nif 'serve' in sys.argv: time.sleep(600)\n")
    with fleet_up(tmp_path / "f") as up:
        before = {item["name"] for item in up.serving()}
        told = up.command("deploy", "--release", str(unusable), expect=1)
        assert "this release is broken" in told
        told = up.command("deploy", "--release", str(dies), expect=1)
        assert "serves on unchanged" in told
        told = up.command("deploy", "--release", str(hangs), "--start-limit", "6", expect=1)
        assert "did not become ready within 6 s" in told
        assert {item["name"] for item in up.wait_for(2)} == before
        assert up.status()["release"] == "#1"
        up.command("scale", "3")
        assert {item["release"] for item in up.wait_for(3)} == {"#1"}


@pytest.mark.slow
def test_a_fleet_that_was_killed_starts_again_in_its_folder_with_its_data(tmp_path: Path) -> None:
    with fleet_up(tmp_path) as up:
        with up.new_user() as user:
            photo = user.upload()
            token = user.api.headers["Authorization"]
        up.process.kill()
        up.process.wait()
        eventually(lambda: not up.processes(), 15)
    with fleet_up(tmp_path) as again:
        answer = httpx.get(
            f"{again.url}/api/photos/{photo['id']}", headers={"Authorization": token}
        )
        assert answer.status_code == 200


def _copy_release(folder: Path, first_line: str) -> None:
    sources = Path(photo_api.__file__).parent
    shutil.copytree(sources, folder / "src/photo_api", ignore=shutil.ignore_patterns("__pycache__"))
    cli = folder / "src/photo_api/cli.py"
    cli.write_text(first_line + cli.read_text())


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stalled() -> float:
    """Seconds that this machine is too slow by now: what a second of sleep takes beyond it."""
    began = time.monotonic()
    time.sleep(0.2)
    return (time.monotonic() - began - 0.2) * 10
