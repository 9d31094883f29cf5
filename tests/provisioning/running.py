"""`photo-api storage …` in this process."""

import contextlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from photo_api.provisioning.command import check_command, init_command
from photo_api.settings.loading import load


@dataclass(frozen=True)
class Told:
    """The exit code, and what was printed."""

    code: int
    findings: list[dict[str, str]]

    def states(self, code: str) -> list[str]:
        return [one["state"] for one in self.findings if one["code"] == code]

    def one(self, code: str, state: str) -> str:
        """What is told by the one finding of this kind."""
        [found] = [one for one in self.findings if (one["code"], one["state"]) == (code, state)]
        return f"{found['told']} → {found['fix']}"

    @property
    def wrong(self) -> set[str]:
        return {one["code"] for one in self.findings if one["state"] == "wrong"}

    @property
    def unknown(self) -> set[str]:
        return {one["code"] for one in self.findings if one["state"] == "unknown"}


async def init(
    environ: Mapping[str, str],
    changed: Mapping[str, str] = MappingProxyType({}),
    *,
    exact: bool = False,
    dry_run: bool = False,
) -> Told:
    """`changed` are settings without their prefix."""
    settings = load({**environ, **_prefixed(changed)})
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = await init_command(settings, exact=exact, dry_run=dry_run, as_json=True)
    return _told(code, out.getvalue())


async def check(
    environ: Mapping[str, str], changed: Mapping[str, str] = MappingProxyType({})
) -> Told:
    settings = load({**environ, **_prefixed(changed)})
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = await check_command(settings, as_json=True)
    return _told(code, out.getvalue())


def _told(code: int, printed: str) -> Told:
    told: dict[str, Any] = json.loads(printed)
    assert told["ok"] == (code == 0)
    return Told(code, told["findings"])


def _prefixed(settings: Mapping[str, str]) -> dict[str, str]:
    return {f"PHOTO_API_{name}": value for name, value in settings.items()}
