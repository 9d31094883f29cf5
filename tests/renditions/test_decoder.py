"""The child may die in any way; the decoder tells of what, and goes on."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_api.renditions.decoder import DecodeLimits, Decoder, DecoderDied, Refused, Rendered
from tests.fuzzing import fuzzed
from tests.photographs import cat, good, jpeg, slow

MIB = 1 << 20


@asynccontextmanager
async def limited(limits: DecodeLimits) -> AsyncIterator[Decoder]:
    decoder = Decoder(limits)
    try:
        yield decoder
    finally:
        await decoder.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def works(decoder: Decoder) -> bool:
    return (await decoder.render(jpeg(cat()))).width == 451


async def test_one_child_serves_many_files(decoder: Decoder) -> None:
    assert await works(decoder)
    first = decoder.pid
    with pytest.raises(Refused):
        await decoder.render(b"no image")
    assert await works(decoder)
    assert decoder.pid == first


async def test_calls_wait_for_each_other(decoder: Decoder) -> None:
    files = [good()[name][1] for name in ("jpeg", "png", "webp", "gif")] * 3
    rendered = await asyncio.gather(*map(decoder.render, files))
    assert [one.content_type for one in rendered[:2]] == ["image/jpeg", "image/png"]


async def test_a_child_is_replaced_after_its_share_of_files() -> None:
    async with limited(DecodeLimits(jobs_per_child=2)) as decoder:
        pids = []
        for _ in range(4):
            await works(decoder)
            pids.append(decoder.pid)
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_a_child_that_has_grown_is_replaced() -> None:
    async with limited(DecodeLimits(keep_bytes=MIB)) as decoder:
        await works(decoder)
        first = decoder.pid
        await works(decoder)
        assert decoder.pid != first


async def test_a_file_larger_than_the_memory_ends_the_child() -> None:
    async with limited(DecodeLimits(memory_bytes=256 * MIB)) as decoder:
        with pytest.raises(DecoderDied) as died:
            await decoder.render(b"\xff\xd8\xff" + bytes(300 * MIB))
        assert died.value.reason == "memory"
        assert await works(decoder)


async def test_the_processor_limit_ends_the_child() -> None:
    async with limited(DecodeLimits(cpu_seconds=0.3)) as decoder:
        with pytest.raises(DecoderDied) as died:
            await decoder.render(slow())
        assert died.value.reason == "cpu"
        assert await works(decoder)


async def test_the_clock_ends_the_child() -> None:
    async with limited(DecodeLimits(wall_seconds=0.01)) as decoder:
        with pytest.raises(DecoderDied) as died:
            await decoder.render(slow())
        assert died.value.reason == "timeout"
        assert decoder.pid is None


async def test_a_child_killed_at_work_is_told_of(decoder: Decoder) -> None:
    await works(decoder)
    task = asyncio.create_task(decoder.render(slow()))
    await asyncio.sleep(0.1)
    assert decoder.pid
    os.kill(decoder.pid, signal.SIGKILL)
    with pytest.raises(DecoderDied) as died:
        await task
    assert died.value.reason == "killed"
    assert await works(decoder)


async def test_who_has_too_little_memory_loses_a_decoder_first(decoder: Decoder) -> None:
    await works(decoder)
    assert Path(f"/proc/{decoder.pid}/oom_score_adj").read_text() == "1000\n"


async def test_a_child_killed_while_idle_costs_no_file(decoder: Decoder) -> None:
    await works(decoder)
    assert decoder.pid
    child = psutil.Process(decoder.pid)
    child.kill()
    await asyncio.sleep(0.3)  # its last thread may end later than its first
    assert await works(decoder)


async def test_a_stopped_child_does_not_hang_a_large_write() -> None:
    async with limited(DecodeLimits(wall_seconds=2.5)) as decoder:
        await works(decoder)
        assert decoder.pid
        os.kill(decoder.pid, signal.SIGSTOP)
        with pytest.raises(DecoderDied) as died:
            await decoder.render(bytes(50 * MIB))
        assert died.value.reason == "timeout"
        assert await works(decoder)


async def test_cancelling_ends_the_child(decoder: Decoder) -> None:
    await works(decoder)
    assert decoder.pid
    child = psutil.Process(decoder.pid)
    task = asyncio.create_task(decoder.render(slow()))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not child.is_running()
    assert await works(decoder)


async def test_closing_ends_a_render_under_way(decoder: Decoder) -> None:
    task = asyncio.create_task(decoder.render(slow()))
    await until(lambda: decoder.pid is not None)
    await decoder.aclose()
    with pytest.raises(DecoderDied):
        await task


async def test_nothing_is_left_behind(decoder: Decoder) -> None:
    await works(decoder)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await works(decoder)
        await decoder.aclose()
    assert not [child for child in psutil.Process().children() if "renditions" in _command(child)]
    assert len(os.listdir("/proc/self/fd")) <= before


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


async def test_the_child_is_confined(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTO_API_SECRET", "not for the child")
    await works(decoder)
    assert decoder.pid
    child = psutil.Process(decoder.pid)
    assert child.rlimit(psutil.RLIMIT_AS)[1] == DecodeLimits().memory_bytes
    assert child.rlimit(psutil.RLIMIT_NOFILE)[1] == 0
    assert child.rlimit(psutil.RLIMIT_CORE)[1] == 0
    assert not [name for name in child.environ() if name.startswith("PHOTO_API")]
    assert os.getsid(child.pid) == child.pid
    assert not child.net_connections(kind="inet")


PARENT = """
import asyncio, sys
from photo_api.renditions.decoder import Decoder

async def main():
    decoder = Decoder()
    data = open(sys.argv[1], "rb").read()
    await decoder.render(open(sys.argv[2], "rb").read())
    print(decoder.pid, flush=True)
    while True:
        await decoder.render(data)

asyncio.run(main())
"""


@pytest.mark.parametrize("busy", [True, False])
async def test_the_child_dies_with_its_parent(tmp_path: Path, busy: bool) -> None:
    (tmp_path / "small.jpg").write_bytes(jpeg(cat()))
    (tmp_path / "slow.png").write_bytes(slow() if busy else jpeg(cat()))
    script = (
        PARENT if busy else PARENT.replace("await decoder.render(data)", "await asyncio.sleep(9)")
    )
    command = [
        sys.executable,
        "-c",
        script,
        str(tmp_path / "slow.png"),
        str(tmp_path / "small.jpg"),
    ]
    parent = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout
    child = psutil.Process(int(await parent.stdout.readline()))
    await asyncio.sleep(0.2)
    parent.kill()
    await parent.wait()
    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@fuzzed(40)
@given(data=st.data())
def test_a_damaged_file_has_an_answer_and_harms_no_other(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["jpeg", "png", "gif", "webp", "avif", "heic"]))
    damaged = bytearray(good()[name][1])
    for _ in range(data.draw(st.integers(1, 30))):
        # Mostly in the head, where the structure is.
        at = data.draw(st.integers(0, 600) | st.integers(0, len(damaged) - 1))
        damaged[min(at, len(damaged) - 1)] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))

    async def attempt() -> None:
        async with limited(DecodeLimits(wall_seconds=20)) as decoder:
            with suppress(Refused, DecoderDied):
                assert isinstance(await decoder.render(bytes(damaged[:cut])), Rendered)
            assert await works(decoder)

    asyncio.run(attempt())
