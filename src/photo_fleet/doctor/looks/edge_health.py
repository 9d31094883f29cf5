"""What instances say of their database through nginx: while the registry cannot be read, nobody
else tells where they are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from photo_api.contract import HEALTH_PATH
from photo_base.log_lines import one_line, redacted
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.rules.server import LONGEST_ANSWER, ProbeError, as_operator, fetch

TIMES = 6


@dataclass(frozen=True, slots=True)
class EdgeHealthLook:
    """`answers` instances answered `url`, chosen by nginx; `errors` are, by instance, why these
    have no database."""

    url: str
    answers: int = 0
    errors: Mapping[str, str] = field(default_factory=dict)


async def take(reach: Reach, seen: Seen) -> EdgeHealthLook:
    """Raises `Unseen` without an edge, when nobody answers there, and where the registry tells
    where instances are."""
    if seen.look(RegistryLook):
        raise Unseen("the registry tells where instances are", "photo-fleet doctor")
    if not reach.edge:
        raise Unseen("nobody has told nginx's address", "photo-fleet doctor --edge URL")
    url = f"{reach.edge.rstrip('/')}{HEALTH_PATH}"
    told: dict[str, str] = {}
    async with as_operator("") as client:
        for _ in range(TIMES):
            try:
                _, content = await fetch(client, url, LONGEST_ANSWER)
            except ProbeError as problem:
                raise Unseen(one_line(problem)[:200], f"curl -sS {url}") from problem
            told.update(_database(content))
    return EdgeHealthLook(url, len(told), {name: error for name, error in told.items() if error})


def _database(content: bytes) -> dict[str, str]:
    """Who answered, and why it has no database, or ""; nobody when it is no instance's answer."""
    try:
        body = redacted(json.loads(content))
        check = body["checks"]["database"]
        error = "" if check["ok"] is True else str(check.get("error", "it is not well"))[:300]
        return {str(body["instance"])[:128]: error}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
