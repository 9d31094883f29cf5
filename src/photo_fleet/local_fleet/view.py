"""A fleet as a picture in the terminal."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from photo_base.log_lines import printable
from photo_fleet.local_fleet.deploys import FAILED, INTERRUPTED

REFRESH = 0.5
EVENTS = 12

STYLES = {"ready": "green", "starting": "yellow", "draining": "cyan", "lost": "red"}

_STOPPED = {INTERRUPTED: "was interrupted", FAILED: "failed in its middle"}

Status = Mapping[str, Any]


async def show(status: Callable[[], Status]) -> None:
    """Draw the present again and again, until cancelled; the last picture stays."""
    # Without a thread of its own: children are tied to the life of the thread that starts them.
    with Live(picture(status()), auto_refresh=False) as live:
        try:
            while True:
                live.update(picture(status()), refresh=True)
                await asyncio.sleep(REFRESH)
        finally:
            live.update(picture(status()), refresh=True)


def picture(status: Status) -> RenderableType:
    """The whole: headline, instances, traffic and what happened last."""
    return Group(
        _headline(status),
        *_releases(status.get("releases", ())),
        *_deploy(status["deploy"]),
        _instances(status["instances"]),
        *_receipts(status["receipts"]),
        _traffic(status),
        _events(status["events"]),
    )


def _headline(status: Status) -> Text:
    ready = sum(item["state"] == "ready" for item in status["instances"])
    text = Text.assemble(
        (str(status["fleet"]), "bold"),
        f"  {status['url']}  ",
        (f"{ready} ready, {status['desired']} desired", "bold"),
        f" ({status['min']}–{status['max']})  release {status['release']}",
    )
    if status["time_scale"] != 1:
        text.append(f"  time × {status['time_scale']:g}")
    if status["deploying"]:
        text.append("  deploying", "yellow")
    if status["panic"]:
        text.append("  PANIC: ill members are kept", "bold red")
    if status["instances"] and not status["database"]:
        text.append("  the database does not answer", "bold red")
    if status["watchers"]:
        told = (f"{name} {url}" for name, url in status["watchers"].items())
        text.append("\n" + "  ".join(told), "dim")
    return text


def _releases(releases: Sequence[Status]) -> Sequence[Text]:
    """How many instances each has, while there are several."""
    if len(releases) < 2:
        return ()
    told = (f"{one['instances']} of {one['release']} ({one['version']})" for one in releases)
    return (Text("mixed: " + ", ".join(told), "yellow"),)


def _deploy(deploy: Status | None) -> Sequence[Text]:
    """What is left of a deploy that nobody finishes any more, and what mends it."""
    if deploy is None or not deploy["mend"]:
        return ()
    have = f"{deploy['have_it']} of {deploy['of']} instances have it"
    text = Text(
        f"the deploy of {deploy['release']} {_STOPPED[deploy['state']]}: {have}", "bold red"
    )
    text.append(f"\n{deploy['mend']} finishes it, --back returns to {deploy['former']}", "yellow")
    return (text,)


def _instances(instances: Sequence[Status]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("instance", "state", "in nginx", "cpu", "in flight", "age", "release"):
        table.add_column(heading, justify="right" if heading in ("cpu", "age") else "left")
    for item in instances:
        state = str(item["state"])
        table.add_row(
            f"{item['name']}:{item['port']}" if item["port"] else item["name"],
            Text(state, STYLES.get(state, "")),
            "yes" if item["member"] else "no",
            _number(item["cpu_percent"], " %"),
            _number(item["in_flight"], ""),
            f"{item['age_s']:.0f} s",
            str(item["release"]),
        )
    return table


def _receipts(receipts: Sequence[Status]) -> Sequence[Table]:
    """Of those that have ended; what nobody knows is a dash."""
    if not receipts:
        return ()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("ended", "at", "how", "finished", "cut", "balancers", "took", "cause"):
        right = heading in ("finished", "cut", "took")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for item in receipts:
        at = datetime.fromisoformat(item["written_at"]).astimezone()
        least = "≥ " if item["untold"] else ""
        acknowledged = f"{_known(item['acknowledged'])} of {_known(item['balancers'])}"
        table.add_row(
            Text(printable(str(item["instance"]))),
            f"{at:%H:%M:%S}",
            Text(str(item["ending"]), "" if item["ending"] == "drained" else "red"),
            f"{least}{_known(item['requests_finished'])}",
            _known(item["requests_cut"]),
            acknowledged,
            _took(item),
            # Some of it comes from outside: never as markup.
            Text(printable(str(item["cause"] or "")), overflow="ellipsis"),
        )
    return (table,)


def _took(receipt: Status) -> str:
    if not (receipt["asked_at"] and receipt["ended_at"]):
        return "–"
    asked, ended = (datetime.fromisoformat(receipt[name]) for name in ("asked_at", "ended_at"))
    return f"{(ended - asked).total_seconds():.1f} s"


def _known(value: object) -> str:
    return "–" if value is None else str(value)


def _traffic(status: Status) -> Text:
    traffic = status["requests"]
    if not traffic:
        return Text("")
    text = Text(f"{traffic['per_second']:g} requests/s, {traffic['total']} in all, ")
    text.append(
        f"{traffic['errors']} errors ({traffic['errors_per_second']:g}/s)",
        "red" if traffic["errors_per_second"] else "",
    )
    for metric, value in status["averages"].items():
        text.append(f"  {metric} {value:.3g}")
    if status["decision"]:
        text.append(f"  policy: {status['decision']}", "dim")
    return text


def _events(events: Sequence[Status]) -> Text:
    lines = []
    for event in events[-EVENTS:]:
        clock = time.strftime("%H:%M:%S", time.localtime(event["at"]))
        lines.append(f"{clock}  {event['instance']:12} {event['kind']}  {event['text']}")
    # Never as markup, and not longer than a line: some of it comes from outside.
    return Text("\n".join(lines), style="dim", no_wrap=True, overflow="ellipsis")


def _number(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.0f}{unit}"
