"""Decoding of untrusted images in a child process that may die without harm."""

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any

from photo_api.renditions import wire
from photo_api.renditions.child_process import ChildProcess, DecodeLimits, DecoderDied, NoProcess
from photo_api.renditions.wire import Refused

log = logging.getLogger(__name__)

__all__ = [
    "DecodeLimits", "Decoder", "DecoderDied", "Displayable", "Facts", "NoProcess", "Refused",
    "Rendered",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rendered:
    """`width` and `height` are as displayed, in pixels; `sha256` is that of the original.

    `fault` is "truncated" where only a part of the picture is there, otherwise None. `exif` has the
    keys of `exif.read_exif`; the thumbnail (320) and the preview (1440 pixels at most on the longer
    side) are WebP in sRGB without metadata.
    """

    content_type: str
    width: int
    height: int
    frames: int
    blurhash: str
    exif: dict[str, object]
    sha256: bytes
    thumbnail: bytes
    preview: bytes
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file tells that cannot be decoded, as in `Rendered`; no size where no header tells."""

    content_type: str
    width: int | None
    height: int | None
    exif: dict[str, object]
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Displayable:
    """The photo at full size without metadata: image/jpeg or image/webp."""

    content_type: str
    data: bytes


class Decoder:
    """One child process, started when needed, kept for many files, replaced when it dies.

    Call it from the main thread's event loop: the child dies with the thread that started it.
    """

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        self._limits = limits or DecodeLimits()
        self._child: ChildProcess | None = None
        self._lock = asyncio.Lock()
        self._told = False

    @property
    def pid(self) -> int | None:
        """The child's process id, None before the first file and after a death."""
        return self._child.pid if self._child else None

    async def render(self, data: bytes) -> Rendered:
        """Raises `Refused`, `DecoderDied` or `NoProcess`; calls wait for each other. Cancelling it
        ends the child, whose state is then unknown."""
        head, first, second = await self._ask(wire.Wanted.RENDITIONS, data)
        head["sha256"] = bytes.fromhex(head["sha256"])
        return Rendered(**head, thumbnail=first, preview=second)

    async def display(self, data: bytes) -> Displayable:
        """As `render`."""
        head, first, _ = await self._ask(wire.Wanted.DISPLAY, data)
        return Displayable(head["content_type"], first)

    async def describe(self, data: bytes) -> Facts:
        """As `render`, of any file that is an image by its first bytes."""
        head, _, _ = await self._ask(wire.Wanted.FACTS, data)
        head["sha256"] = bytes.fromhex(head["sha256"])
        return Facts(**head)

    async def _ask(self, wanted: wire.Wanted, data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
        async with self._lock:
            child = await self._ready()
            try:
                async with asyncio.timeout(self._limits.wall_seconds):
                    text, first, second = await child.ask(wanted, data)
            except TimeoutError:
                await self._discard()
                raise DecoderDied("timeout") from None
            except (OSError, EOFError, wire.ProtocolError) as error:
                raise DecoderDied(await self._discard(), child.last_words()) from error
            except BaseException:
                await self._discard()
                raise
            self._tell_of_sandbox(child)
        head: dict[str, Any] = json.loads(text)
        if "refused" in head:
            raise Refused(head["refused"], head["detail"])
        return head, first, second

    async def aclose(self) -> None:
        """End the child, if there is one. A render under way ends with `DecoderDied`."""
        await self._discard()

    async def _ready(self) -> ChildProcess:
        if self._child and self._child.worn():
            await self._discard()
        if self._child is None:
            self._child = await ChildProcess.start(self._limits)
        return self._child

    def _tell_of_sandbox(self, child: ChildProcess) -> None:
        """Once: it is the same for every child."""
        if not (self._told or child.is_filtered()):
            log.warning("the decoder runs without a filter of system calls; its limits hold")
        self._told = True

    async def _discard(self) -> str:
        """Kill and reap the child; tells of what it had died if it was dead already."""
        child, self._child = self._child, None
        return await asyncio.shield(child.end()) if child else "crashed"
