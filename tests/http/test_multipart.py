"""A form comes out as it was put in, however the network cuts it, and bad ones are refused."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_api.http.multipart import MAX_FIELD_SIZE, MAX_FIELDS, MultipartError, UploadForm
from tests.fuzzing import fuzzed

BOUNDARY = "b0undary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


async def arriving(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def cut(body: bytes, sizes: list[int]) -> list[bytes]:
    """The body in chunks of these sizes, over and over."""
    chunks, at, turn = [], 0, 0
    while at < len(body):
        size = sizes[turn % len(sizes)]
        chunks.append(body[at : at + size])
        at, turn = at + size, turn + 1
    return chunks


async def read(chunks: Iterable[bytes], content_type: str) -> tuple[str, bytes, dict[str, str]]:
    form = UploadForm(arriving(chunks), content_type)
    file = await form.file()
    content = b"".join([chunk async for chunk in file.chunks])
    return file.filename, content, await form.finish()


def parse(body: bytes, content_type: str = TYPE) -> tuple[str, bytes, dict[str, str]]:
    return asyncio.run(read([body], content_type))


def part(disposition: str, content: bytes = b"x") -> bytes:
    header = f"Content-Disposition: form-data; {disposition}\r\n\r\n".encode()
    return f"--{BOUNDARY}\r\n".encode() + header + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
FILE = part('name="file"; filename="a.jpg"', b"bytes")

boundary_like = st.lists(
    st.sampled_from([b"\r\n--" + BOUNDARY.encode(), b"\r\n--", b"\r", b"\n", b"--", b"b0und", b"-"])
    | st.binary(max_size=20)
).map(b"".join)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"))


@fuzzed(200)
@given(
    fields=st.dictionaries(texts.filter(lambda name: "\\" not in name), texts, max_size=5),
    content=boundary_like,
    filename=names.filter(lambda name: name not in ("", ".", "..")),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_what_httpx_encodes_comes_back(
    fields: dict[str, str], content: bytes, filename: str, sizes: list[int]
) -> None:
    request = httpx.Request(
        "POST", "http://x", data=fields, files={"file": (filename, content, "image/jpeg")}
    )
    chunks = cut(request.read(), sizes)
    found = asyncio.run(read(chunks, request.headers["content-type"]))
    assert found[1:] == (content, fields)
    # httpx does not escape a %, so a name may look as if it held an encoded quote.
    if "%" not in filename:
        assert found[0] == filename


@fuzzed(200)
@given(content=boundary_like, sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_content_that_almost_ends_the_part_does_not(content: bytes, sizes: list[int]) -> None:
    content = content.replace(b"\r\n--" + BOUNDARY.encode(), b"\r\n--b0undarX")
    body = part('name="file"; filename="a"', content) + END
    assert asyncio.run(read(cut(body, sizes), TYPE))[1] == content


damage = st.lists(st.tuples(st.integers(0, 400), boundary_like), min_size=1, max_size=5)


@fuzzed(80)
@given(damage=damage, end=st.integers(0, 600), sizes=st.lists(st.integers(1, 40), min_size=1))
def test_a_damaged_form_is_read_or_refused(
    damage: list[tuple[int, bytes]], end: int, sizes: list[int]
) -> None:
    body = part('name="album_id"', b"7") + FILE + part('name="title"', b"x") + END
    for at, junk in damage:
        body = body[:at] + junk + body[at + 1 :]
    with suppress(MultipartError):
        _, content, fields = asyncio.run(read(cut(body[:end], sizes), TYPE))
        assert len(content) <= len(body)
        assert set(fields) <= {"album_id", "title"} or len(fields) <= MAX_FIELDS


@pytest.mark.parametrize("first", [True, False])
def test_fields_may_stand_on_either_side_of_the_file(first: bool) -> None:
    field = part('name="album_id"', b"7")
    body = (field + FILE if first else FILE + field) + END
    assert parse(body) == ("a.jpg", b"bytes", {"album_id": "7"})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ('filename="C:\\Users\\me\\cat.jpg"', "cat.jpg"),
        ('filename="../../etc/cat.jpg"', "cat.jpg"),
        ('filename="say \\"hi\\".jpg"', 'say "hi".jpg'),
        ('filename="say %22hi%22%0D%0A.jpg"', 'say "hi".jpg'),
        ('filename="100%41.jpg"', "100%41.jpg"),
        ("filename=plain.jpg", "plain.jpg"),
        ('filename="독도; 사진.jpg"', "독도; 사진.jpg"),
        ("filename=\"x.jpg\"; filename*=UTF-8''%EB%8F%85%EB%8F%84.jpg", "독도.jpg"),
        ("filename*=iso-8859-1'en'caf%E9.jpg", "café.jpg"),
        ('filename=""', ""),
    ],
)
def test_file_names(parameters: str, expected: str) -> None:
    assert parse(part(f'name="file"; {parameters}') + END)[0] == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "ends before"),
        (b"not a form", "well-formed"),
        (FILE, "ends before"),
        (part('name="title"') + END, "no file"),
        (part('name="file"') + END, "no file"),
        (FILE + FILE + END, "only one file"),
        (part('name="other"; filename="a"') + END, "only one file"),
        (part('filename="a"') + END, "no name"),
        (FILE + part('name="t"', b"\xff\xfe") + END, "UTF-8"),
        (FILE + part("name=\"t\"; filename*=UTF-8''%FF") + END, "UTF-8"),
        (FILE + part('name="t"', b"x" * (MAX_FIELD_SIZE + 1)) + END, "longer than"),
        (FILE + part('name="t"') * (MAX_FIELDS + 1) + END, "more than"),
        (FILE + b"--" + BOUNDARY.encode() + b"\r\nA: " + b"x" * 100_000, "well-formed"),
        (part('name="file"', b"\xff\xd8\xff") + END, "the field 'file' has no filename"),
    ],
)
def test_bad_forms_are_refused(body: bytes, reason: str) -> None:
    with pytest.raises(MultipartError, match=reason):
        parse(body)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "application/json",
        "multipart/mixed; boundary=x",
        f"multipart/form-data; boundary={'x' * 300}",
    ],
)
def test_a_form_needs_a_boundary(content_type: str) -> None:
    with pytest.raises(MultipartError):
        parse(FILE + END, content_type)


def test_an_endless_epilogue_is_refused() -> None:
    with pytest.raises(MultipartError, match="after"):
        asyncio.run(read([FILE + END, *[b"x" * 10_000] * 10], TYPE))


def test_nothing_is_read_ahead_of_the_consumer() -> None:
    async def scenario() -> None:
        taken = 0

        async def network() -> AsyncIterator[bytes]:
            nonlocal taken
            for chunk in [b"x" * 1000] * 50:
                taken += 1
                yield FILE[: -len(b"bytes\r\n")] if taken == 1 else chunk
            yield b"\r\n" + END

        file = await UploadForm(network(), TYPE).file()
        assert taken == 1
        for consumed in range(1, 40):
            assert len(await anext(file.chunks)) == 1000
            assert taken == consumed + 1

    asyncio.run(scenario())


def test_fields_are_known_even_if_the_file_is_not_consumed() -> None:
    async def scenario() -> dict[str, str]:
        form = UploadForm(arriving(cut(FILE + part('name="a"', b"1") + END, [3])), TYPE)
        await form.file()
        return await form.finish()

    assert asyncio.run(scenario()) == {"a": "1"}


@pytest.mark.parametrize(
    "content", [b"\r" * 4_000_000, b"\r\n--b0undar" * 400_000, b"\r\n-" * 1_000_000]
)
def test_hostile_content_costs_linear_time(content: bytes) -> None:
    body = part('name="file"; filename="a"', content) + END
    began = time.perf_counter()
    assert asyncio.run(read(cut(body, [65536]), TYPE))[1] == content
    assert time.perf_counter() - began < 5


def test_single_bytes() -> None:
    body = part('name="file"; filename="a"', b"\r\n--" * 20_000) + END
    assert asyncio.run(read(cut(body, [1]), TYPE))[1] == b"\r\n--" * 20_000
