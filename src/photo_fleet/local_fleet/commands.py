"""What a local fleet does when another terminal asks: each waits until it is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from photo_fleet.group.instance import Release
from photo_fleet.group.local import LocalGroup, Refused
from photo_fleet.group.rollout import RolledBack, roll_out
from photo_fleet.group.succession import refusals
from photo_fleet.local_fleet.control import Say
from photo_fleet.local_fleet.deploys import Deploys
from photo_fleet.local_fleet.front import NginxFront
from photo_fleet.local_fleet.launcher import Launcher

LOOK = 0.2
LONGEST_WAIT = 600.0
MOST_REASONS = 10

Request = Mapping[str, Any]
Recorded = TypeVar("Recorded")


class Commands:
    """`status`, `scale`, `deploy`, `drain` and `kill`."""

    def __init__(
        self,
        group: LocalGroup,
        front: NginxFront,
        launcher: Launcher,
        deploys: Deploys,
        status: Callable[[], dict[str, Any]],
        applied: Callable[[], Awaitable[Collection[str] | None]],
    ) -> None:
        self._applied = applied
        self._deploys = deploys
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
        began = time.monotonic()
        release = await self._wanted(request)
        if release is None:
            text = f"nothing to resume: {self._group.release.label} was deployed as a whole"
            return {"text": text, "replaced": 0, "seconds": 0.0}
        await self._refuse_unreachable(release)
        self._refuse_while_deploying()  # another one may have begun meanwhile
        if not self._group.changeable:
            raise Refused(
                "the group is on the way to its desired size; wait for `status` to show it"
            )
        take_back = self._recorded(partial(self._deploys.begin, release), "nothing was changed")
        if release.lacks_page:
            built = f"make -C {release.folder} gallery" if release.folder else "make gallery"
            say(
                f"warning: {release.label} has no built page, so / will show none; {built} makes it"
            )
        say(f"release {release.label}: one newcomer at a time")
        limit = float(request.get("start_limit", 60))
        try:
            replaced = await roll_out(self._group, self._front, release, limit, say)
        except BaseException as error:
            self._broken_off(release, take_back, error)
            raise
        after = f"all instances serve {release.label}; `deploy --resume` notes it later"
        self._recorded(partial(self._deploys.settle, release), after)
        size = len(self._group.staying)
        text = f"{size} instances serve release {release.label}, {replaced} of them are new"
        told = {"text": text, "replaced": replaced, "release": release.label}
        return {**told, "seconds": _since(began)}

    async def _refuse_unreachable(self, release: Release) -> None:
        """By what both releases carry, before anything is changed. Raises `Refused`."""
        applied = await self._applied()
        if applied is None:
            raise Refused(
                "the database does not answer, so nobody knows which migrations it has; deploy when"
                " it does"
            )
        assert release.carried is not None
        present = [self._group.release, *(item.release for item in self._group.staying)]
        serving = {item.number: item.carried for item in present if item.carried}
        reasons = [
            *refusals(release.carried, list(serving.values()), applied),
            *await self._launcher.unusable_settings(release),
        ]
        if reasons:
            told = "".join(f"\n  {reason}" for reason in reasons[:MOST_REASONS])
            raise Refused(
                f"release {release.label} ({release.version}) cannot be deployed here, and nothing"
                f" was changed:{told}"
            )

    async def _wanted(self, request: Request) -> Release | None:
        """What is to be deployed; None when there is nothing to resume. Raises `Refused`."""
        unfinished, settled = self._deploys.unfinished, self._deploys.settled
        if request.get("back"):
            if unfinished is None or settled is None:
                raise Refused("there is no unfinished deploy to go back from; see `status`")
            return await self._again(settled, "put it back, or deploy another with --release DIR")
        if request.get("resume"):
            remedy = "put it back, return with --back, or deploy another with --release DIR"
            return await self._again(unfinished.release, remedy) if unfinished else None
        folder = request.get("release")
        release = await self._launcher.release(Path(folder) if folder else None)
        return replace(release, environ={**release.environ, **request.get("environ", {})})

    async def _again(self, release: Release, remedy: str) -> Release:
        try:
            return await self._launcher.again(release)
        except Refused as refused:
            raise Refused(f"release {release.label} is gone: {refused}; {remedy}") from None

    def _broken_off(
        self, release: Release, take_back: Callable[[], None], error: BaseException
    ) -> None:
        """A deploy has not come to its end: what it was is forgotten only where it changed
        nothing. What cannot be written stays as it was, interrupted."""
        if self._group.release.number != release.number:
            with suppress(OSError):
                take_back()
        elif isinstance(error, RolledBack):
            self._deploys.fail(str(error))

    def _recorded(self, write: Callable[[], Recorded], state: str) -> Recorded:
        """Raises `Refused`."""
        try:
            return write()
        except OSError as error:
            text = f"the deploy cannot be written down ({error.strerror}), and {state}"
            raise Refused(text) from None

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
