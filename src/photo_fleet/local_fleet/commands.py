"""What a local fleet does when another terminal asks: each waits until it is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from photo_fleet.group.local import LocalGroup, Refused
from photo_fleet.group.rollout import roll_out
from photo_fleet.local_fleet.control import Say
from photo_fleet.local_fleet.front import NginxFront
from photo_fleet.local_fleet.launcher import Launcher

LOOK = 0.2
LONGEST_WAIT = 600.0

Request = Mapping[str, Any]


class Commands:
    """`status`, `scale`, `deploy`, `drain` and `kill`."""

    def __init__(
        self,
        group: LocalGroup,
        front: NginxFront,
        launcher: Launcher,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._group = group
        self._front = front
        self._launcher = launcher
        self._status = status

    async def act(self, request: Request, say: Say) -> dict[str, object]:
        """Do it; what is to be told at the end. Raises `Refused` and `RolledBack`."""
        acts: dict[object, Callable[[Request, Say], Awaitable[dict[str, object]]]] = {
            "status": self._tell,
            "scale": self._scale,
            "deploy": self._deploy,
            "drain": self._remove,
            "kill": self._remove,
        }
        act = acts.get(request.get("do"))
        if act is None:
            raise Refused(f"this fleet does not know {request.get('do')!r}; is it another release?")
        return await act(request, say)

    async def _tell(self, _: Request, say: Say) -> dict[str, object]:
        return self._status()

    async def _scale(self, request: Request, say: Say) -> dict[str, object]:
        size = int(request["size"])
        self._refuse_while_deploying()
        began = time.monotonic()
        self._group.scale(size, "on demand")
        await self._arrive(say)
        return {"text": f"{size} instances serve", "size": size, "seconds": _since(began)}

    async def _deploy(self, request: Request, say: Say) -> dict[str, object]:
        self._refuse_while_deploying()
        folder = request.get("release")
        began = time.monotonic()
        release = self._launcher.release(Path(folder) if folder else None)
        release = replace(release, environ={**release.environ, **request.get("environ", {})})
        say(f"release {release.label}: one newcomer at a time")
        limit = float(request.get("start_limit", 60))
        replaced = await roll_out(self._group, self._front, release, limit, say)
        text = f"{replaced} instances serve release {release.label}"
        told = {"text": text, "replaced": replaced, "release": release.label}
        return {**told, "seconds": _since(began)}

    async def _remove(self, request: Request, say: Say) -> dict[str, object]:
        """Have an instance drain, or kill it; wait until it is gone and another one serves."""
        instance = self._group.find(str(request["name"]))
        began = time.monotonic()
        with self._starting_with(request.get("environ", {})):
            if request["do"] == "drain":
                self._group.leave(instance, "drain on demand")
                says, done = "drains", "has drained"
            else:
                self._group.kill(instance)
                says = done = "was killed"
            say(f"{instance.name} {says}; another one takes its place")
            while instance.name in self._group.instances:
                await asyncio.sleep(LOOK)
            await self._arrive(say)
        text = f"{instance.name} {done} and is replaced"
        return {"text": text, "name": instance.name, "seconds": _since(began)}

    @contextmanager
    def _starting_with(self, environ: Mapping[str, str]) -> Iterator[None]:
        """Instances that start meanwhile have these variables besides their release's own."""
        if not environ:
            yield
            return
        self._refuse_while_deploying()
        usual = self._group.release
        special = replace(usual, environ={**usual.environ, **environ})
        self._group.release = special
        try:
            yield
        finally:
            if self._group.release is special:  # and no deploy has come since
                self._group.release = usual

    async def _arrive(self, say: Say) -> None:
        """Wait until as many as are desired get requests. Raises `Refused` if they never do."""
        deadline, last = time.monotonic() + LONGEST_WAIT, ""
        while not (self._group.settled and self._serving() == self._group.desired):
            present = f"{self._serving()} of {self._group.desired} serve"
            if present != last:
                say(present)
                last = present
            if time.monotonic() > deadline:
                raise Refused(f"{present} after {LONGEST_WAIT:g} s; see the logs of the others")
            await asyncio.sleep(LOOK)

    def _serving(self) -> int:
        front = self._front
        return sum(item.ready and front.is_member(item.boot_id) for item in self._group.staying)

    def _refuse_while_deploying(self) -> None:
        if self._group.deploying:
            raise Refused("a deploy is under way; wait until it is over")


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)
