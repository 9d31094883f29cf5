"""`photo-api storage prove`: what SeaweedFS and Swift are relied on for holds, and each thing that
does not is found."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from photo_api.provisioning.proof.opening import open_stage
from photo_api.provisioning.proof.outcomes import Outcome
from photo_api.provisioning.proof.proving import ATTACKS, Proof, prove, tried
from photo_api.provisioning.proof.stage import Stage
from photo_api.provisioning.proof.table import as_text, exit_code
from photo_api.settings.loading import load
from photo_api.storage.base import ObjectMissing, StoreUnavailable
from photo_api.storage.plain_requests import PlainAnswer
from photo_api.storage.swift_containers import Containers
from photo_local.seaweed import BUCKET
from tests.doctor.test_store_look import KEYS, running
from tests.openstack.account import STAGING_KEY, on_swift
from tests.openstack.keystone_v2 import KeystoneV2, in_a_thread
from tests.openstack.swift import Swift, ask
from tests.provisioning.conftest import FRONT, SECOND_KEY
from tests.provisioning.running import init
from tests.provisioning.test_check import readable
from tests.provisioning.test_init import change, put_rules

ON_S3_ALONE, ON_SWIFT_ALONE = {"upload-digest"}, {"copy-lasts", "read-staging-key"}
WHERE_KEYS_CHANGE = {"read-second-key"}
NOTHING: Mapping[str, str] = MappingProxyType({})


@asynccontextmanager
async def opened(settings: dict[str, str]) -> AsyncIterator[Stage]:
    async with open_stage(load(settings)) as stage:
        yield stage
        assert await stage.clean() == []


async def outcome(stage: Stage, code: str) -> Outcome:
    [attack] = [one for one in ATTACKS if one.code == code]
    return await tried(attack, stage)


async def objects(stage: Stage) -> list[str]:
    return [info.key async for info in stage.store.list("")]


async def test_what_the_service_relies_on_holds(settings: dict[str, str]) -> None:
    await init(settings)
    is_swift = settings.get("PHOTO_API_STORE") == "swift"
    async with opened(settings) as stage:
        steps: list[str] = []
        proofs = [one async for one in prove(stage, steps.append)]
    failed = {one.code for one in proofs if one.outcome.state != "holds"}
    assert failed == ({"upload-size", "upload-type"} if is_swift else set()), proofs
    assert exit_code(proofs, []) == 0
    everywhere = {one.code for one in ATTACKS} - ON_S3_ALONE - ON_SWIFT_ALONE - WHERE_KEYS_CHANGE
    assert {one.code for one in proofs} == everywhere | (
        ON_SWIFT_ALONE if is_swift else ON_S3_ALONE
    )
    assert len(steps) == len(proofs)
    async with open_stage(load(settings)) as stage:
        assert await objects(stage) == []


@pytest.mark.slow
def test_a_store_that_is_open_to_everybody(environ: dict[str, str], tmp_path: Path) -> None:
    with running(tmp_path, "Read", "List", "Write") as server:
        own = {"S3_ENDPOINT": server.endpoint, "S3_ACCESS_KEY": KEYS[0], "S3_SECRET_KEY": KEYS[1]}
        settings = environ | {f"PHOTO_API_{name}": value for name, value in own.items()}
        settings |= {"PHOTO_API_S3_BUCKET": BUCKET}

        async def run() -> None:
            async with opened(settings) as stage:
                for code in ("closed-lists", "closed-reads", "closed-writes"):
                    assert (await outcome(stage, code)).state == "fails", code
                await nothing_is_checked(stage, {})

        asyncio.run(run())


async def test_a_bucket_that_everybody_reads(on_s3: dict[str, str]) -> None:
    await init(on_s3)
    await put_rules(on_s3, "policy", readable(load(on_s3).s3.bucket))
    async with opened(on_s3) as stage:
        assert (await outcome(stage, "closed-reads")).state == "fails"
        assert (await outcome(stage, "closed-writes")).state == "holds"


async def test_pages(on_s3: dict[str, str]) -> None:
    await init(on_s3 | {"PHOTO_API_CORS_ORIGINS": "*"})
    async with opened(on_s3) as stage:
        assert (await outcome(stage, "pages-strangers")).state == "fails"
        assert (await outcome(stage, "pages-upload")).state == "holds"
    await init(on_s3 | {"PHOTO_API_CORS_ORIGINS": "https://other.example.org"}, exact=True)
    async with opened(on_s3) as stage:
        assert FRONT in (await outcome(stage, "pages-upload")).seen
        assert (await outcome(stage, "pages-upload")).state == "fails"
        assert (await outcome(stage, "pages-read")).state == "holds"


async def test_a_copy_that_keeps_what_came_with_the_upload(on_s3: dict[str, str]) -> None:
    await init(on_s3)
    async with opened(on_s3) as stage:
        stage.store = Careless(stage.store)
        kept = await outcome(stage, "copy-headers")
        assert (kept.state, "content-encoding" in kept.seen) == ("fails", True)
        assert (await outcome(stage, "copy-if-match")).state == "fails"


async def test_a_photo_that_is_where_the_upload_was(on_s3: dict[str, str]) -> None:
    await init(on_s3)
    async with opened(on_s3) as stage:
        same = InPlace(**{one.name: getattr(stage, one.name) for one in fields(Stage)})
        found = await outcome(same, "overwrite")
        assert (found.state, "other bytes" in found.seen) == ("fails", True)


async def test_a_signer_whose_urls_are_for_others(on_s3: dict[str, str]) -> None:
    """Another key: nothing is taken. A clock that is far ahead: nothing ends."""
    await init(on_s3)
    async with opened(on_s3 | {"PHOTO_API_S3_SECRET_KEY": "d05b7c1e94a26f83e1907bd4"}) as stage:
        stage.kept, wrong = [], stage.signer_at
    async with opened(on_s3) as stage:
        right, stage.signer_at = stage.signer_at, wrong
        assert [(await outcome(stage, code)).state for code in ("upload", "read")] == ["fails"] * 2
        stage.signer_at = lambda _: right(0)
        for code in ("upload-expired", "read-expired"):
            assert (await outcome(stage, code)).state == "fails"


@pytest.mark.slow
async def test_keys_of_a_swift(on_own_swift: dict[str, str], swift: Swift) -> None:
    await init(on_own_swift)
    both = on_own_swift | {
        "PHOTO_API_SWIFT_URL_KEYS": f"{on_own_swift['PHOTO_API_SWIFT_URL_KEYS']},{SECOND_KEY}"
    }
    async with opened(both) as stage:
        assert (await outcome(stage, "read-second-key")).state == "fails"
    await init(both)
    async with opened(both) as stage:
        assert (await outcome(stage, "read-second-key")).state == "holds"
        change(swift, both, X_Container_Meta_Temp_URL_Key_2=STAGING_KEY)
        assert (await outcome(stage, "read-staging-key")).state == "fails"


async def nothing_is_checked(stage: Stage, as_whom: dict[str, str]) -> None:
    """A store that takes every URL for every request, whatever is signed."""
    parts = {one.name: getattr(stage, one.name) for one in fields(Stage)}
    unchecked = NobodyChecks(**parts)
    unchecked.as_whom = as_whom
    failed = {code for code in BOUND if (await outcome(unchecked, code)).state == "fails"}
    # SeaweedFS unpacks nothing, and compares the digest of whoever sends one.
    assert failed == (BOUND if stage.is_swift else BOUND - {"upload-archive", "upload-digest"})


BOUND = {
    *("upload-size", "upload-type", "upload-digest", "upload-method", "upload-elsewhere"),
    *("upload-expired", "upload-pointer", "upload-archive"),
    *("read-method", "read-elsewhere", "read-expired"),
}


class NobodyChecks(Stage):
    as_whom: dict[str, str]

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str] = NOTHING, body: bytes = b""
    ) -> PlainAnswer:
        place, _, query = url.partition("?")
        rest = [part for part in query.split("&") if part.startswith(("extract", "multipart"))]
        asked = f"{place}?{rest[0]}" if rest else place
        return await super().ask(method, asked, {**headers, **self.as_whom}, body)


@pytest.mark.slow
async def test_a_swift_on_which_nothing_is_checked(
    on_own_swift: dict[str, str], swift: Swift
) -> None:
    await init(on_own_swift)
    token, account = swift.sign_in()
    async with opened(on_own_swift) as stage:
        await nothing_is_checked(stage, {"X-Auth-Token": token})
        stage.store = Hoarding(stage.store, f"{account}/", token, stage.place)
        for code in ("copy-headers", "copy-lasts"):
            assert (await outcome(stage, code)).state == "fails", code


class OtherPipeline(Swift):
    """In which large objects are copied by their manifests, archives are unpacked before it is
    looked who may, and what an upload carries survives."""

    async def _prepare(self, python: Path) -> None:
        await super()._prepare(python)
        file = self._folder / "proxy.conf"
        file.write_text(file.read_text().replace("copy slo dlo", "slo dlo copy"))


@pytest.fixture
def other_pipeline(environ: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    with asyncio.Runner() as runner:
        swift = OtherPipeline(tmp_path / "swift")
        runner.run(swift.start())
        names = Containers("photos", "photos-staging", "photos")
        with in_a_thread(KeystoneV2(swift.sign_in)) as keystone:
            yield on_swift(environ, swift, names, keystone)
        runner.run(swift.stop())


@pytest.mark.slow
@pytest.mark.needs("memcached")
def test_a_swift_whose_pipeline_has_another_order(other_pipeline: dict[str, str]) -> None:
    async def run() -> None:
        await init(other_pipeline)
        async with opened(other_pipeline) as stage:
            found = await outcome(stage, "large")
            assert (found.state, "its copy has other bytes" in found.seen) == ("fails", True), found
            assert (await outcome(stage, "large-broken-off")).state == "holds"

    asyncio.run(run())


def proof(state: Any, *, needed: bool) -> Proof:
    return Proof("code", needed, "it holds", "do this", Outcome(state, "seen\x1b[2J"))


@pytest.mark.parametrize(
    ("states", "left", "code"),
    [
        ([("holds", True), ("fails", False)], [], 0),
        ([("holds", True), ("unknown", False)], [], 0),
        ([("fails", True), ("unknown", True)], [], 1),
        ([("unknown", True)], [], 2),
        ([("holds", True)], ["prove/x"], 2),
        ([], [], 2),
    ],
)
def test_only_what_is_needed_decides(
    states: Sequence[tuple[str, bool]], left: list[str], code: int
) -> None:
    proofs = [proof(state, needed=needed) for state, needed in states]
    assert exit_code(proofs, left) == code
    told = as_text(proofs, left)
    assert "\x1b" not in told
    assert ("do this" in told) == any(state == "fails" for state, _ in states)


class Changed:
    """A store, but for one thing."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Careless(Changed):
    """Copies whatever there is, with all that came with it."""

    async def copy(self, source: str, target: str, **_: object) -> None:
        await self._store.copy(source, target)


class Hoarding(Changed):
    """The same on a Swift."""

    def __init__(self, store: Any, account: str, token: str, place: Callable[[str], str]) -> None:
        super().__init__(store)
        self._account, self._token, self._place = account, token, place

    async def copy(self, source: str, target: str, **_: object) -> None:
        url, to = self._account + self._place(source), self._place(target)
        answer = await asyncio.to_thread(ask, "COPY", url, X_Auth_Token=self._token, Destination=to)
        if answer.status == 404:
            raise ObjectMissing(source)
        assert answer.status == 201


class InPlace(Stage):
    """Confirms by a look alone: the photo is where the upload was put."""

    async def confirmed(self, content: bytes, sent: Mapping[str, str] = NOTHING) -> tuple[str, str]:
        key = self.staging()
        assert (await self.upload(key, content, sent)).status == 200
        return key, key


class Keeping(Changed):
    """Deletes nothing."""

    async def delete(self, keys: Sequence[str]) -> None:
        raise StoreUnavailable("DELETE: the store failed (503)")
