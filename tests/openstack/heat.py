"""Heat's own code in a process beside the tests, which know no cloud: see `heat_offline`."""

import asyncio
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from photo_local.openstack_programs import programs

PROGRAM = Path(__file__).with_name("heat_offline.py")


class Member(NamedTuple):
    """Of the group; its status is COMPLETE or FAILED."""

    name: str
    status: str
    created: str


class Heat:
    """What Heat says of templates. It ends with its standard input, so with this process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def validate(self, files: Mapping[str, str], parameters: Mapping[str, Any]) -> dict[str, Any]:
        """`error`, empty when all is well, and then `resources`: properties by name."""
        return self._ask("validate", files, parameters)

    def sizes(
        self,
        files: Mapping[str, str],
        parameters: Mapping[str, Any],
        members: Sequence[Member],
        ask: str,
        value: Any = None,
    ) -> list[dict[str, str]]:
        """The types by name of each template to which Heat updates the group's stack in turn."""
        found: list[dict[str, str]] = self._ask("sizes", files, parameters, members, ask, value)[
            "templates"
        ]
        return found

    def parse(self, command: str, *arguments: str) -> dict[str, Any]:
        """What a command, by its class in OpenStack's clients, takes its arguments for."""
        return self._ask("parse", command, arguments)

    def _ask(self, *request: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def running_heat() -> Iterator[Heat]:
    """One, for as many questions as there are."""
    python = asyncio.run(programs("heat")) / "python"
    with subprocess.Popen(
        [python, "-P", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Heat(process)
        process.kill()
