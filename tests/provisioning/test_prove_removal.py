"""What `photo-api storage prove` puts there is removed, also by who interrupts or kills it."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from photo_api.provisioning.proof import stage as stages
from photo_api.provisioning.proof.opening import open_stage
from photo_api.provisioning.proof.table import as_text
from photo_api.settings.loading import load
from photo_base.tasks import cancel
from tests.provisioning.conftest import SWIFT_SLOWLY
from tests.provisioning.running import init
from tests.provisioning.test_prove import Keeping, objects, opened, outcome


async def test_what_an_earlier_run_left_goes_and_nothing_else(
    on_s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await init(on_s3)
    async with open_stage(load(on_s3)) as killed:
        left = [killed.photo(), killed.staging()]
        others = ["photos/1/2", "prove/mine", f"prove/{'a' * 32}/mine", "staging/1/2/3"]
        for key in (*left, *others):
            await killed.store.put_bytes(key, b"x", content_type="image/jpeg")
        async with opened(on_s3) as stage:
            await outcome(stage, "upload")
        assert set(await objects(killed)) == {*left, *others}, "it may run still"
        monkeypatch.setattr(stages, "OLD", timedelta(seconds=-60))
        async with opened(on_s3) as stage:
            await outcome(stage, "upload")
        assert set(await objects(killed)) == set(others)


@SWIFT_SLOWLY
async def test_pieces_of_a_run_that_was_killed_go_with_a_later_one(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await init(settings)
    async with open_stage(load(settings)) as killed:
        key, store = await killed.large_photo(), killed.large.store
        putting = asyncio.create_task(store.put(key, stalled(), content_type="image/jpeg"))
        async with asyncio.timeout(30):
            while not await killed.large.left(key):
                await asyncio.sleep(0.1)
        async with opened(settings):
            pass
        assert await killed.large.left(key), "it may run still"
        monkeypatch.setattr(stages, "OLD", timedelta(seconds=-60))
        async with opened(settings):
            pass
        assert not await killed.large.left(key)
        assert await objects(killed) == []
        await cancel(putting)


async def stalled() -> AsyncIterator[bytes]:
    """Some of it, and then no more."""
    yield bytes(6 * 1024 * 1024)
    await asyncio.Event().wait()


async def test_what_cannot_be_removed_is_told(on_s3: dict[str, str]) -> None:
    await init(on_s3)
    async with opened(on_s3) as stage:
        await outcome(stage, "upload")
        whole = stage.store
        stage.store = Keeping(whole)
        left = await stage.clean()
        assert left == stage.kept
        assert f"could not be removed: {left[0]}" in as_text([], left)
        assert (await outcome(stage, "deleted")).state == "unknown"
        stage.store = whole


SLOWLY = """
import asyncio, sys
from photo_api import cli
from photo_api.provisioning.proof.stage import Stage
async def slowly(self, clean=Stage.clean):
    await asyncio.sleep(0.5)
    return await clean(self)
Stage.clean = slowly
sys.exit(cli.main(["storage", "prove", "--json"]))
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
async def test_an_interrupted_proof_cleans_up(
    on_s3: dict[str, str], number: signal.Signals, code: int
) -> None:
    """By somebody who is impatient, too."""
    await init(on_s3)
    command = [sys.executable, "-c", SLOWLY]
    process = subprocess.Popen(command, env=on_s3, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    async with open_stage(load(on_s3)) as stage:
        until = time.monotonic() + 20
        while not await objects(stage):
            assert time.monotonic() < until
        for _ in range(2):
            process.send_signal(number)
            await asyncio.sleep(0.2)
        out, err = await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == code, (out, err)
        assert b"interrupted" in err
        told = json.loads(out)
        assert (told["ok"], told["left"]) == (False, [])
        assert await objects(stage) == []
