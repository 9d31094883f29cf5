"""A collector that runs, for one test or for several."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.service import eventually, free_port


class Running:
    """A collector as a process of its own."""

    def __init__(self, kind: str, file: Path, port: int | None = None, *pair: str) -> None:
        self.kind, self.file, self.port = kind, file, port or free_port()
        self.url = f"http{'s' * bool(pair)}://127.0.0.1:{self.port}"
        self._client = httpx.Client(base_url=self.url, verify=False)
        arguments = (kind, str(self.port), str(file), *pair)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.telemetry.collectors", *arguments]
        )
        eventually(self._listens, 30)

    def _listens(self) -> bool:
        try:
            return self._client.get("/").status_code == 200
        except httpx.TransportError:
            return False

    def behave(self, **how: Any) -> None:
        self._client.put("/", json=how).raise_for_status()

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.get("/").json()
        return found

    def kept(self) -> list[dict[str, Any]]:
        text = self.file.read_text() if self.file.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # the last line may be half written
        return [json.loads(line) for line in whole.splitlines()]

    def numbers(self) -> list[int]:
        """Of the lines that it took, in order."""
        lines = [entry.get("line", entry) for entry in self.kept()]
        return [int(line["number"]) for line in lines if "number" in line]

    def settings(self, **more: Any) -> dict[str, Any]:
        where: dict[str, Any] = {
            "loki": {"loki_url": self.url},
            "nhn": {"nhn_url": self.url, "nhn_app_key": "an-app-key"},
            "otlp": {"otlp_url": self.url},
            "traces": {"trace_url": self.url},
        }
        return {"timeout": 2.0, **where[self.kind], **more}

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._client.close()


@contextmanager
def collector(kind: str, folder: Path, *pair: str) -> Iterator[Running]:
    running = Running(kind, folder / kind, None, *pair)
    try:
        yield running
    finally:
        running.kill()
