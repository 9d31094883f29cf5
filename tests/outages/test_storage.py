"""The service while its object store fails in each way, and afterwards."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from photo_api.photos.confirmations import COPIES_OF_USER, MOST_OF_USER
from tests.outages.faulty_store import FaultyStore, faulty_store
from tests.own_stage import ask, endpoint_in, holds, own_database, reached_at, store_of
from tests.service import PASSWORD, Service, User, cli, eventually, jpeg, put, running_service

FAULTS: dict[str, Callable[[FaultyStore], None]] = {
    "500": lambda store: store.answers(500),
    "503 slow down": lambda store: store.answers(503, "SlowDown"),
    "429": lambda store: store.answers(429, "TooManyRequests"),
    "token expired": lambda store: store.answers(403, "ExpiredToken"),
    "refuses": lambda store: store.refuses(),
    "hangs": lambda store: store.hangs(),
    "resets": lambda store: store.resets(),
}
FAILING = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
AT_FIRST = 5.0
"""Seconds in which the first requests that meet a hanging store are answered; a busy machine may
add some."""
COPY_OF = {"s3": "PUT /photos/photos/", "swift": "COPY "}
"""How a request begins by which the store copies a photo."""
AT_ONCE = 0.5
RECOVERY = 15.0


@pytest.fixture(scope="module")
def faulty(environ: dict[str, str]) -> Iterator[FaultyStore]:
    with faulty_store(endpoint_in(environ)) as relay:
        yield relay


@pytest.fixture(scope="module")
def settings(
    stack: dict[str, Any], environ: dict[str, str], faulty: FaultyStore
) -> Iterator[dict[str, str]]:
    """Clients reach the real store, the service goes through the relay."""
    changed = {
        "PHOTO_API_DELIVERY": "stream",
        "PHOTO_API_JOB_MAX_ATTEMPTS": "2",
        "PHOTO_API_SWEEP_INTERVAL": "0.5",
    }
    with own_database(stack, reached_at(environ, faulty.endpoint) | changed) as settings:
        yield settings


@pytest.fixture(scope="module")
def service(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with running_service(settings, tmp_path_factory.mktemp("outage")) as running:
        yield running


@pytest.fixture
def dora(service: Service, faulty: FaultyStore) -> Iterator[User]:
    """Somebody whose store works at first and at last."""
    faulty.passes()
    with service.new_user() as user:
        yield user
        faulty.passes()
        recovered(user)


def recovered(user: User) -> None:
    """Wait until an upload works, without a restart of anything."""
    eventually(lambda: user.post_photo().status_code == 201, RECOVERY, 0.2)


def refused(answer: httpx.Response) -> None:
    """The contract's answer for what needs the store."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    body = answer.json()
    assert body["code"] == "storage_unavailable"
    assert set(body) == {"detail", "code", "request_id"}
    assert answer.headers["X-Request-ID"] == body["request_id"]


def image(user: User, photo_id: int) -> bytes:
    return user.api.get(f"/photos/{photo_id}/image").raise_for_status().content


def shown(user: User, album: int) -> set[int]:
    """The photos of an album."""
    return {photo["id"] for photo in user.api.get(f"/albums/{album}").json()["photos"]}


def store_is_well(service: Service) -> bool:
    """What the detailed health says, which is 200 in any case."""
    answer = httpx.get(f"{service.url}/health/detailed", timeout=10).raise_for_status()
    return bool(answer.json()["checks"]["storage"]["ok"])


def image_fails(user: User, photo_id: int) -> None:
    """503, or cut where the answer had begun; never anything that looks whole."""
    try:
        answer = user.api.get(f"/photos/{photo_id}/image")
    except httpx.RemoteProtocolError:
        return
    refused(answer)


def others_go_on(user: User, service: Service, photo_id: int) -> None:
    """Whatever needs no store."""
    album = user.album()["id"]
    renamed = user.api.patch(f"/albums/{album}", json={"name": "Renamed"})
    answers = [
        user.api.get("/photos/"),
        user.api.get(f"/photos/{photo_id}"),
        user.api.get("/albums/"),
        renamed,
        user.api.patch(f"/photos/{photo_id}", json={"title": "Renamed"}),
        user.login(),
        httpx.get(f"{service.url}/health"),
        httpx.get(f"{service.url}/health/live"),
    ]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert user.presign(album, jpeg())["upload_url"]


@FAILING
def test_what_needs_the_store_is_refused_and_the_rest_goes_on(
    fault: Callable[[FaultyStore], None], dora: User, service: Service, faulty: FaultyStore
) -> None:
    album = dora.album()["id"]
    kept = {dora.upload(data, album)["id"]: data for data in (jpeg(), jpeg())}
    data = jpeg()
    presigned = dora.presign(album, data)
    assert put(presigned, data).is_success
    fault(faulty)
    for _ in range(3):
        refused(dora.post_photo(jpeg(), album))
        refused(dora.confirm(presigned["photo_id"]))
        image_fails(dora, min(kept))
        others_go_on(dora, service, min(kept))
    faulty.passes()
    recovered(dora)
    assert dora.confirm(presigned["photo_id"]).status_code == 200
    kept[presigned["photo_id"]] = data
    assert {photo_id: image(dora, photo_id) for photo_id in kept} == kept
    assert shown(dora, album) == set(kept), "nothing refused has become a photo"
    assert " 500 " not in service.log
    assert '"level":"error"' not in service.log.lower().replace(" ", "")


def test_an_image_whose_store_fails_within_it_is_cut_and_no_fault_of_ours(
    dora: User, service: Service, faulty: FaultyStore
) -> None:
    url = dora.upload(jpeg() + bytes(40 * 1024 * 1024))["url"]
    with dora.api.stream("GET", url) as answer:
        pieces = answer.iter_raw()
        assert next(pieces)
        faulty.refuses()
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
    eventually(lambda: "an image is cut" in service.log)
    assert "unhandled error" not in service.log
    assert "Traceback" not in service.log


@FAILING
def test_a_large_upload_in_parts_is_refused_too(
    fault: Callable[[FaultyStore], None], dora: User, faulty: FaultyStore
) -> None:
    data = jpeg() + bytes(12 * 1024 * 1024)
    album = dora.album()["id"]
    fault(faulty)
    refused(dora.post_photo(data, album))
    faulty.passes()
    recovered(dora)
    photo_id = dora.upload(data, album)["id"]
    assert image(dora, photo_id) == data
    assert shown(dora, album) == {photo_id}


@FAILING
def test_a_refused_upload_may_be_repeated_with_its_key(
    fault: Callable[[FaultyStore], None], dora: User, faulty: FaultyStore
) -> None:
    data, album = jpeg(), dora.album()["id"]
    headers = {"Idempotency-Key": f"upload-{album}"}
    fault(faulty)
    refused(dora.post_photo(data, album, headers=headers))
    refused(dora.post_photo(data, album, headers=headers))
    faulty.passes()
    recovered(dora)
    photo_id = dora.post_photo(data, album, headers=headers).raise_for_status().json()["id"]
    assert dora.post_photo(data, album, headers=headers).json()["id"] == photo_id
    assert image(dora, photo_id) == data


def test_nothing_acknowledged_is_lost_in_a_store_that_comes_and_goes(
    dora: User, settings: dict[str, str], faulty: FaultyStore
) -> None:
    """Also where a request was carried out and its answer lost."""
    album = dora.album()["id"]
    kept: dict[int, bytes] = {}
    others = strays(settings, dora)  # of who has the same id in another test's database
    for round_ in range(12):
        (faulty.resets, faulty.passes, lambda: faulty.answers(500))[round_ % 3]()
        data = jpeg()
        answer = dora.post_photo(data, album)
        if answer.status_code == 201:
            kept[answer.json()["id"]] = data
        else:
            refused(answer)
        presigned = dora.presign(album, data)
        put(presigned, data)
        answer = dora.confirm(presigned["photo_id"])
        if answer.status_code == 200:
            kept[presigned["photo_id"]] = data
        else:
            refused(answer)
    faulty.passes()
    recovered(dora)
    assert {photo_id: image(dora, photo_id) for photo_id in kept} == kept
    assert shown(dora, album) == set(kept)
    # What nobody acknowledged the sweep knows; what it deletes meanwhile is listed, and not known.
    eventually(lambda: not strays(settings, dora) - others, 10)


def strays(settings: dict[str, str], user: User) -> set[str]:
    """Objects of theirs that neither a photo nor the sweep knows."""

    async def stored() -> set[str]:
        store = store_of(settings)
        found = {info.key async for info in store.list(f"photos/{user.account['id']}/")}
        await store.aclose()
        return found

    known = "SELECT object_key FROM photos UNION SELECT object_key FROM unreferenced_objects"
    return asyncio.run(stored()) - {row["object_key"] for row in ask(settings, known)}


def test_a_hanging_store_is_noticed_and_then_refused_at_once(
    dora: User, service: Service, faulty: FaultyStore
) -> None:
    photo_id, album = dora.upload()["id"], dora.album()["id"]
    faulty.hangs()

    def seconds() -> float:
        began = time.monotonic()
        refused(dora.post_photo(None, album))
        return time.monotonic() - began

    assert seconds() < 2 * AT_FIRST
    eventually(lambda: seconds() < AT_ONCE, 30)
    image_fails(dora, photo_id)
    others_go_on(dora, service, photo_id)


async def test_many_requests_to_a_hanging_store_stop_no_others(
    service: Service, faulty: FaultyStore, dora: User
) -> None:
    """More than the database has connections, and than there are threads."""
    photo_id, album = dora.upload()["id"], dora.album()["id"]
    faulty.hangs()
    headers = {"Authorization": f"Bearer {dora.tokens['access_token']}"}
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(
        base_url=f"{service.url}/api", headers=headers, limits=limits, timeout=60
    ) as client:

        def upload() -> Any:
            form = {"data": {"album_id": str(album)}, "files": {"file": ("a.jpg", jpeg())}}
            return client.post("/photos/", **form)  # type: ignore[arg-type]

        hanging = [asyncio.create_task(upload()) for _ in range(25)]
        hanging += [asyncio.create_task(client.get(f"/photos/{photo_id}/image")) for _ in range(25)]
        served = 0
        body = {"email": dora.email, "password": PASSWORD}
        while not all(task.done() for task in hanging):
            assert (await client.get("/photos/")).status_code == 200
            assert (await client.post("/auth/login", json=body)).status_code == 200
            served += any(not task.done() for task in hanging)
        assert served > 1, "others were answered while these waited"
        for task in hanging:
            refused(await task)


def test_one_user_s_confirmations_leave_room_for_others(
    service: Service, environ: dict[str, str], faulty: FaultyStore, dora: User
) -> None:
    """Each of them copies a whole file, and a worker copies so many at a time."""
    with service.new_user() as other, ThreadPoolExecutor(100) as pool:
        uploads = [(dora, confirmable(dora)) for _ in range(COPIES_OF_USER + 4)]
        uploads.append((other, confirmable(other)))
        faulty.hangs(COPY_OF[environ.get("PHOTO_API_STORE", "s3")])
        waiting = [pool.submit(user.confirm, photo) for user, photo in uploads]
        eventually(lambda: faulty.hanging > COPIES_OF_USER, 10)
        assert faulty.hanging == COPIES_OF_USER + 1, "the other's is one of them"
        more = [pool.submit(dora.confirm, uploads[0][1]) for _ in range(MOST_OF_USER)]
        refused = COPIES_OF_USER + 4
        eventually(lambda: sum(answer.done() for answer in more) == refused, 10)
        texts = [answer.result().json() for answer in more if answer.done()]
        assert {text["code"] for text in texts} == {"too_many_requests"}
        assert str(MOST_OF_USER) in texts[0]["detail"]
        faulty.passes()
        answers = [confirmation.result() for confirmation in waiting]
        assert len([answer.result() for answer in more]) == MOST_OF_USER
        recovered(dora)
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert {user.confirm(photo).status_code for user, photo in uploads} == {200}


def confirmable(user: User) -> int:
    """A photo whose bytes have come."""
    presigned = user.presign(user.album()["id"], data := jpeg())
    put(presigned, data).raise_for_status()
    photo: int = presigned["photo_id"]
    return photo


def test_renditions_are_made_after_an_outage(
    dora: User, settings: dict[str, str], faulty: FaultyStore
) -> None:
    """An outage is not held against a photo: two failures would bury its job here."""
    photo_ids = [dora.upload()["id"] for _ in range(2)]
    faulty.answers(500)
    ask(settings, "UPDATE photos SET renditions = 'pending' WHERE id = ANY ($1)", photo_ids)
    ask(
        settings,
        "INSERT INTO jobs (kind, subject_id)"
        " SELECT 'renditions', id FROM photos WHERE id = ANY ($1)",
        photo_ids,
    )
    wanted = "SELECT attempt, handed_back, state FROM jobs WHERE subject_id = ANY ($1)"

    def attempts() -> int:
        return sum(row["handed_back"] for row in ask(settings, wanted, photo_ids))

    eventually(lambda: attempts() >= 3, 40, 0.2)
    assert all(row["state"] != "dead" for row in ask(settings, wanted, photo_ids))
    faulty.passes()
    assert [dora.rendered(photo_id)["renditions"] for photo_id in photo_ids] == ["ready"] * 2


def test_the_sweep_deletes_after_the_outage_what_it_could_not(
    dora: User, settings: dict[str, str], environ: dict[str, str], faulty: FaultyStore
) -> None:
    """A deleted photo is gone for its owner at once; its bytes stay on the list until they are."""
    direct = reached_at(settings, endpoint_in(environ))
    photo_id = dora.upload()["id"]
    [[key]] = ask(settings, "SELECT object_key FROM photos WHERE id = $1", photo_id)
    faulty.answers(500)
    assert dora.api.delete(f"/photos/{photo_id}").is_success
    assert dora.api.get(f"/photos/{photo_id}").status_code == 404
    assert dora.api.post("/photos/trash/empty", json={}).json()["purged"] == 1
    noted = "SELECT taken FROM unreferenced_objects WHERE object_key = $1"
    eventually(lambda: ask(settings, noted, key)[0]["taken"], 20)
    assert holds(direct, key)
    faulty.passes()
    # It would be taken up again after 5 minutes.
    again = "UPDATE unreferenced_objects SET delete_after = now() WHERE object_key = $1"
    ask(settings, again, key)
    eventually(lambda: not ask(settings, noted, key), 20)
    assert not holds(direct, key)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hangs", "500", "token expired"])
def test_an_outage_of_thirty_seconds(
    fault: str, dora: User, service: Service, settings: dict[str, str], faulty: FaultyStore
) -> None:
    album = dora.album()["id"]
    data = jpeg()
    kept = dora.upload(data, album)["id"]
    fresh = dora.upload(jpeg(), album)["id"]
    FAULTS[fault](faulty)
    over = time.monotonic() + 30
    while time.monotonic() < over:
        refused(dora.post_photo(None, album))
        others_go_on(dora, service, kept)
        time.sleep(0.3)
    assert not store_is_well(service)
    faulty.passes()
    recovered(dora)
    eventually(lambda: store_is_well(service), 30)
    assert image(dora, kept) == data
    assert dora.rendered(fresh)["renditions"] == "ready"
    assert not ask(settings, "SELECT 1 FROM jobs WHERE state = 'dead'")


def test_a_service_starts_while_its_store_is_down(
    settings: dict[str, str], faulty: FaultyStore, tmp_path: Path
) -> None:
    faulty.refuses()
    with running_service(settings, tmp_path, "--no-jobs") as service, service.new_user() as user:
        refused(user.post_photo())
        faulty.passes()
        recovered(user)


def make_again(settings: dict[str, str], photo_id: int) -> None:
    """As `renditions remake` would, without the settings in our own environment."""
    ask(
        settings,
        "UPDATE photos SET renditions = 'failed', renditions_error = 'a test:why' WHERE id = $1",
        photo_id,
    )
    done = cli(settings, "renditions", "remake", "--cause", "a test", "--json")
    assert json.loads(done.stdout) == {"enqueued": 1}, done.stderr


def test_a_store_that_refuses_only_writes_kills_no_job(
    settings: dict[str, str], faulty: FaultyStore, dora: User
) -> None:
    """Reads and pings go on; two attempts would be all that a job has."""
    photo = dora.rendered(dora.upload()["id"])["id"]
    faulty.answers(507, "InsufficientStorage", only="PUT ")
    make_again(settings, photo)
    query = "SELECT state, handed_back, error FROM jobs WHERE subject_id = $1"

    def postponed() -> bool:
        [job] = ask(settings, query, photo)
        assert job["state"] != "dead", job["error"]
        return bool(job["handed_back"] >= 3)

    eventually(postponed, 40, 0.2)
    [job] = ask(settings, query, photo)
    assert "507" in job["error"], "it names its cause"
    faulty.passes()
    assert dora.rendered(photo)["renditions"] == "ready"


def test_an_object_that_alone_is_refused_fails_its_job_with_its_cause(
    settings: dict[str, str], faulty: FaultyStore, dora: User
) -> None:
    photo = dora.rendered(dora.upload()["id"])["id"]
    faulty.answers(507, "InsufficientStorage", only="/renditions/")
    make_again(settings, photo)
    assert dora.rendered(photo, 60)["renditions"] == "failed"
    listed = cli(settings, "jobs", "list", "--state", "dead", "--cause", "507", "--json")
    [job] = [one for one in json.loads(listed.stdout) if one["subject_id"] == photo]
    assert f"id: {job['id']}" in cli(settings, "jobs", "show", str(job["id"])).stdout
    assert cli(settings, "jobs", "retry").returncode == 2, "all, by accident"
    faulty.passes()
    again = cli(settings, "jobs", "retry", str(job["id"]), "--json")
    assert json.loads(again.stdout) == {"retried": 1}
    assert dora.rendered(photo)["renditions"] == "ready"
    assert cli(settings, "jobs", "retry", str(job["id"])).returncode == 1, "it is done"
