"""Something else than a fleet answers at the socket in a fleet's folder."""

import asyncio
from pathlib import Path

import pytest

from photo_fleet.local_fleet.control import NoFleet, ask
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.reach import reach_of
from photo_fleet.spec.loading import SpecError

FOREIGN = [
    b"", b"{}\n", b"[]\n", b"null\n", b"1\n", b'["done"]\n', b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\xff\xfe\n", b'{"a":' * 5000 + b"\n", b"x" * 5_000_000,
]  # fmt: skip


async def answered(path: Path, answer: bytes) -> asyncio.Server:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    return await asyncio.start_unix_server(say, path)


@pytest.mark.parametrize("answer", FOREIGN, ids=lambda answer: repr(answer[:12]))
async def test_what_answers_otherwise_is_no_fleet(tmp_path: Path, answer: bytes) -> None:
    async with await answered(tmp_path / "s", answer):
        with pytest.raises(NoFleet):
            await ask(tmp_path / "s", {"do": "status"}, lambda _: None)


@pytest.mark.parametrize("watchers", [b"null", b"[1]", b"{}", b'"x"'])
async def test_a_fleet_whose_watchers_nobody_knows_is_reached(
    tmp_path: Path, watchers: bytes
) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    (layout.secret_files / "database-url").write_text("postgresql://u:p@127.0.0.1/x")
    layout.spec.write_text("")
    async with await answered(layout.control, b'{"done": true, "watchers": %b}\n' % watchers):
        assert (await reach_of(layout)).prometheus == ""


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (None, ["is not there: the release that started this fleet kept no spec; end that fleet"]),
        ("[drain]\ngrase = 1\n", ["drain.grase is not a key", "if another release wrote it, end"]),
    ],
)
async def test_what_another_release_runs_is_told_with_what_to_do(
    tmp_path: Path, spec: str | None, told: list[str]
) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    (layout.secret_files / "database-url").write_text("postgresql://u:p@127.0.0.1/x")
    if spec is not None:
        layout.spec.write_text(spec)
    async with await answered(layout.control, b'{"done": true, "watchers": {}}\n'):
        with pytest.raises(SpecError) as refused:
            await reach_of(layout)
    assert len(refused.value.problems) == len(told)
    for problem, words in zip(refused.value.problems, told, strict=True):
        assert problem.file == str(layout.spec)
        assert words in problem.text
    assert "`photo-fleet up` of this release" in refused.value.problems[-1].text
