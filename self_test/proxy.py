"""What can be broken in a stage's nginx, as changes of its rendered files and a reload."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from signal import SIGHUP

from photo_base.processes import send
from photo_fleet.drill.stage.process_tree import children
from photo_fleet.drill.stage.stage import Stage

LONGEST_RELOAD = 20.0
LOOK = 0.1

PROXY_BREAKS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "replayed-writes": (
        # What was sent already is sent again, POST and PATCH too.
        (
            "proxy_next_upstream error timeout;",
            "proxy_next_upstream error timeout non_idempotent;",
        ),
    ),
    "kept-members": (
        # A member that is removed keeps getting requests, whatever nginx itself has noticed of it,
        # and all workers are said to know.
        (
            'if (dict:get("set:generation") or 0) ~= current.generation then',
            "if #current.list == 0 then",
        ),
        (
            'dict:set("seen:" .. slot(), before or generation)',
            'dict:set("seen:" .. slot(), dict:get("set:generation") or 0)',
        ),
        ("if not quarantine.holds(member) then", "if true then"),
    ),
    "forgetful-edge": (
        # The edge asks the store for each image.
        ("proxy_cache photo_edge;", "proxy_cache off;"),
    ),
    "trusting-edge": (
        # Whoever has had a URL once may read for ever.
        ('if ($secure_link = "0") { return 410; }', ""),
    ),
    "forgetful-worker": (
        # A worker that takes the place of one that died knows no members.
        (
            "  elseif before then\n",
            "  elseif before then\n"
            "    members.current = function()\n"
            "      return { generation = 0, panic = false, list = {} }\n"
            "    end\n",
        ),
    ),
}
"""What stands in the files, and what takes its place."""


async def break_proxy(stage: Stage, names: tuple[str, ...]) -> None:
    """Raises `LookupError` when nginx's files no longer say what is to be changed: a proxy that is
    whole by mistake would prove nothing."""
    for name in names:
        for old, new in PROXY_BREAKS[name]:
            if not await asyncio.to_thread(_replace_in, stage.folder / "nginx", old, new):
                raise LookupError(f"nginx's files do not have {old!r}")
    if names:
        await _reload(stage.nginx_pid)


async def _reload(master: int) -> None:
    """Returns when the last worker of before is gone."""
    former = set(children(master))
    send([master], SIGHUP)
    async with asyncio.timeout(LONGEST_RELOAD):
        while former & set(children(master)):
            await asyncio.sleep(LOOK)


def _replace_in(folder: Path, old: str, new: str) -> bool:
    changed = False
    for path in folder.rglob("*"):
        if path.suffix in (".conf", ".lua"):
            text = path.read_text(encoding="utf-8")
            if old in text:
                path.write_text(text.replace(old, new), encoding="utf-8")
                changed = True
    return changed
