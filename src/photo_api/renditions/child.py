"""The program in which originals are decoded: `python -m photo_api.renditions.child`.

It holds no secret and can reach nothing: besides its pipe it may open no file and no socket, it
reaches no other process, and its memory and processor time are bounded. It serves one request after
another until its standard input ends, and dies with its parent.
"""

from photo_api.own_process import address_space, die_with_parent, end_first

if __name__ == "__main__":  # Before what takes long to import, in which it may hang.
    die_with_parent()

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO

import pi_heif
import pyvips

from photo_api.renditions import images, sandbox, wire
from photo_api.renditions.display import display
from photo_api.renditions.limits import RESERVE, Limit, unlimited
from photo_api.renditions.texts import load_codecs

_MAX_STDERR = 1 << 18


def main() -> None:
    """Arguments: the parent's process id, memory in bytes, processor seconds per job."""
    parent, memory = map(int, sys.argv[1:3])
    cpu_seconds = float(sys.argv[3])
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    end_first()
    requests, answers = _take_pipe()
    _prepare()
    used = address_space()
    memory = _limit(memory)
    limit = Limit(memory - used - RESERVE, memory)
    sandbox.confine()
    try:
        while (request := _request(requests)) is not None:
            _allow_cpu(cpu_seconds)
            for part in _answer(*request, limit):
                answers.write(part)
            answers.flush()
    except MemoryError:
        os._exit(wire.OUT_OF_MEMORY)


def _take_pipe() -> tuple[BinaryIO, BinaryIO]:
    """Requests and answers; what a library prints goes to standard error, not into an answer."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 0)
    os.dup2(2, 1)
    return requests, answers


def _request(requests: BinaryIO) -> tuple[int, bytes] | None:
    """What is wanted and the next original; None when the parent has closed the pipe, be it in the
    middle of one."""
    header = requests.read(wire.REQUEST.size)
    if len(header) < wire.REQUEST.size:
        return None
    wanted, length = wire.REQUEST.unpack(header)
    data = requests.read(length)
    return (wanted, data) if len(data) == length else None


def _prepare() -> None:
    """Load everything that is loaded at first use, for nothing can be opened afterwards."""
    load_codecs()
    pyvips.block_untrusted_set(True)
    pyvips.cache_set_max(0)
    pi_heif.libheif_info()
    for suffix in (".png", ".jpg", ".gif"):
        grey = pyvips.Image.black(2, 2, bands=3).copy(interpretation="srgb")
        images.render(grey.write_to_buffer(suffix), unlimited())


def _limit(memory: int) -> int:
    """Gives the bytes of memory that it may have: fewer where the service was started with less."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, _MAX_STDERR)
    _lower(resource.RLIMIT_NOFILE, 0)
    return _lower(resource.RLIMIT_AS, memory)


def _lower(limit: int, most: int) -> int:
    """To `most`, unless it is lower already: only root may raise it."""
    _, already = resource.getrlimit(limit)
    if already != resource.RLIM_INFINITY:
        most = min(most, already)
    resource.setrlimit(limit, (most, most))
    return most


def _allow_cpu(seconds: float) -> None:
    """SIGPROF, which nobody handles, ends the process then. RLIMIT_CPU knows whole seconds only."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _answer(wanted: int, data: bytes, limit: Limit) -> tuple[bytes, bytes, bytes, bytes]:
    try:
        head, first, second = _MAKERS[wire.Wanted(wanted)](data, limit)
    except wire.Refused as refusal:
        head = {"refused": refusal.reason, "detail": str(refusal)}
        first = second = b""
    text = json.dumps(head).encode()
    return wire.ANSWER.pack(len(text), len(first), len(second)), text, first, second


_MAKERS: Mapping[wire.Wanted, Callable[[bytes, Limit], images.Made]] = MappingProxyType(
    {
        wire.Wanted.RENDITIONS: images.render,
        wire.Wanted.DISPLAY: display,
        wire.Wanted.FACTS: images.describe,
    }
)


if __name__ == "__main__":
    main()
