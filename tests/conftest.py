"""Real PostgreSQL, real SeaweedFS and the real service, started once for all tests."""

import faulthandler
import gc
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack
from functools import cache
from glob import glob
from pathlib import Path
from typing import Any

import certifi
import hypothesis
import pytest

from photo_api.db.pool import Database
from photo_api.storage.swift_containers import Containers
from tests.chromium import killed_after
from tests.longest import rank_of
from tests.openstack.account import on_swift, own_containers
from tests.openstack.keystone import Keystone
from tests.openstack.keystone_v2 import KeystoneV2, in_a_thread
from tests.openstack.running import running_openstack, running_swift
from tests.openstack.swift import Swift
from tests.own_stage import OpenStore, beside, database_of, store_of
from tests.service import STORES, Service, User, running_service, store_named
from tests.stack import running_stack

# How long an example takes is the machine's business.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")


def _read_authorities_once() -> None:
    """For each client httpx reads the file of all authorities, and `httpx.get` makes a client: that
    takes twenty times as long as the request itself."""
    create = ssl.create_default_context
    file = os.environ.get("SSL_CERT_FILE") or certifi.where()
    read = cache(lambda: create(cafile=file))

    def create_or_share(*purpose: ssl.Purpose, **more: Any) -> ssl.SSLContext:
        own = purpose or more != {"cafile": file}
        return create(*purpose, **more) if own else read()

    ssl.create_default_context = create_or_share


_read_authorities_once()

ON_SWIFT = os.environ.get("TEST_STORE") == "swift"

# Of a process that no timeout of a test could stop: seconds more that it has before it is ended.
GRACE = 60.0
STANDARD_ERROR = pytest.StashKey[int]()
TIMER = pytest.StashKey[Any]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STANDARD_ERROR] = os.dup(2)  # while nothing captures it


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> None:
    item.stash[TIMER] = settings


def _within_bounds(item: pytest.Item) -> Generator[None, object, object]:
    """Each phase has the test's time. pytest-timeout interrupts a test once: what catches that, a
    teardown that waits for what was interrupted, or the test when it is run again, would wait for
    ever and say nothing. A process that no interruption can stop tells where it stands, and ends;
    with xdist that fails the test and no other."""
    timer, killing = item.stash.get(TIMER, None), ExitStack()
    if timer is not None:
        item.ihook.pytest_timeout_set_timer(item=item, settings=timer)
        error = item.config.stash[STANDARD_ERROR]
        faulthandler.dump_traceback_later(timer.timeout + GRACE, exit=True, file=error)
        if any("chromium" in needs.args for needs in item.iter_markers("needs")):
            killing.enter_context(killed_after(timer.timeout + GRACE / 2))
    try:
        with killing:
            return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


_first_of_all = pytest.hookimpl(wrapper=True, tryfirst=True)
pytest_runtest_setup = _first_of_all(_within_bounds)
pytest_runtest_call = _first_of_all(_within_bounds)
pytest_runtest_teardown = _first_of_all(_within_bounds)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A thread that never ends would hold up the end of a process of xdist, and all others. Who
    runs tests without sees it; and such a process may have folders of earlier runs to delete."""
    if hasattr(session.config, "workerinput"):
        error = session.config.stash[STANDARD_ERROR]
        faulthandler.dump_traceback_later(2 * GRACE, exit=True, file=error)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Each process collects thousands of tests, which stay: looking through them for garbage would
    take a quarter of that time, and as much again while they run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A missing program fails the tests that need it; ALLOW_MISSING=1 skips them by name. On Swift
    those are skipped that try what S3 alone has."""
    items.sort(key=lambda item: rank_of(item.nodeid))
    for item in items:
        own = item.get_closest_marker("s3_only") if ON_SWIFT else None
        if own is not None:
            item.add_marker(pytest.mark.skip(reason=f"S3's own: {own.args[0]}"))
        for marker in item.iter_markers("needs"):
            missing = [name for name in marker.args if not _program(name)]
            if missing and os.environ.get("ALLOW_MISSING") == "1":
                item.add_marker(pytest.mark.skip(reason=f"missing: {', '.join(missing)}"))


@pytest.fixture(autouse=True)
def _programs(request: pytest.FixtureRequest) -> None:
    for marker in request.node.iter_markers("needs"):
        missing = [name for name in marker.args if not _program(name)]
        if missing:
            pytest.fail(
                f"{', '.join(missing)} is missing: run scripts/debian-packages as root, or set"
                " ALLOW_MISSING=1 to skip"
            )


def _program(name: str) -> str | None:
    elsewhere = ["/usr/sbin", "/sbin", *sorted(glob("/usr/lib/postgresql/*/bin"))]
    return shutil.which(name) or shutil.which(name, path=":".join(elsewhere))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Addresses of an embedded database and store that end with this process."""
    with running_stack(tmp_path_factory.mktemp("stack")) as addresses:
        yield addresses


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """A Swift with users of its own."""
    yield from running_swift(tmp_path_factory.mktemp("swift"))


@pytest.fixture(scope="session")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Keystone, Swift]]:
    """A Keystone of version 3, and a Swift that believes its tokens; for slow tests."""
    yield from running_openstack(tmp_path_factory.mktemp("openstack"))


@pytest.fixture(scope="session")
def environ(
    request: pytest.FixtureRequest, stack: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The settings with which the service under test runs; where TEST_STORE is swift, its store
    is a real Swift."""
    environ = {
        "PATH": os.environ["PATH"],
        "PHOTO_API_MODE": "production",
        "PHOTO_API_DATABASE_URL": stack["database_url"],
        "PHOTO_API_S3_ENDPOINT": stack["s3_endpoint"],
        "PHOTO_API_S3_BUCKET": stack["bucket"],
        "PHOTO_API_S3_REGION": stack["region"],
        "PHOTO_API_S3_ACCESS_KEY": stack["access_key"],
        "PHOTO_API_S3_SECRET_KEY": stack["secret_key"],
        "PHOTO_API_JWT_KEYS": "k1:9f3c1d5e7a8b4260c1d2e3f4a5b69788",
        "PHOTO_API_SECRET_KEYS": "s1:7d4e0b93a1f65c28e9307b6df184c25a",
        "PHOTO_API_PUBLIC_URL": "https://photos.example.org",
        "PHOTO_API_CORS_ORIGINS": "https://front.example.org",
        "PHOTO_API_TRUSTED_PROXIES": "127.0.0.0/8",
        "PHOTO_API_LAME_DUCK": "0",
        "PHOTO_API_DRAIN_WAIT": "3",
        "PHOTO_API_METADATA_URL": "",
        "PHOTO_API_RUN_DIR": str(tmp_path_factory.mktemp("run")),
        "PHOTO_API_OPS_TOKEN": "b7e151628aed2a6abf7158809cf4f3c7",
    }
    with ExitStack() as running:
        if ON_SWIFT:
            swift: Swift = request.getfixturevalue("swift")
            keystone = running.enter_context(in_a_thread(KeystoneV2(swift.sign_in)))
            containers = Containers("photos", "staging", "")
            environ = own_containers(on_swift(environ, swift, containers, keystone))
        STORES[stack["database_url"]] = store_named(environ)
        yield environ


@pytest.fixture(scope="session")
def service(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as operators run it: migrated, one web worker, one job process."""
    with running_service(environ, tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def start_service(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Service]]:
    """Start another service beside the common one, with other settings (without prefix). With
    another store it has a database of its own."""
    with ExitStack() as running:

        def start(*arguments: str, **settings: str) -> Service:
            own = running.enter_context(beside(stack, environ, settings))
            folder = tmp_path / f"service-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            return running.enter_context(running_service(own, folder, *arguments))

        yield start


@pytest.fixture
def alice(service: Service) -> Iterator[User]:
    with service.new_user() as user:
        yield user


@pytest.fixture
def bob(service: Service) -> Iterator[User]:
    with service.new_user() as user:
        yield user


@pytest.fixture(scope="module")
def own_service(
    settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One for each module, by its own `settings`; it neither sweeps nor makes renditions."""
    with running_service(settings, tmp_path_factory.mktemp("own"), "--no-jobs") as running:
        yield running


@pytest.fixture
def user(own_service: Service) -> Iterator[User]:
    """Somebody new on the module's own service."""
    with own_service.new_user() as user:
        yield user


@pytest.fixture
async def db(settings: dict[str, str]) -> AsyncIterator[Database]:
    async with database_of(settings) as db:
        yield db


@pytest.fixture
async def store(settings: dict[str, str]) -> AsyncIterator[OpenStore]:
    store = store_of(settings)
    yield store
    await store.aclose()
