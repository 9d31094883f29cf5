"""What an instance tells when it is scraped, and a real Prometheus that scrapes it."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.service import eventually, free_port

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*?)\})? (\S+)( # .*)?")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


class Scraped:
    """The samples of one scrape, each exemplar left out."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                found = SAMPLE.fullmatch(line)
                assert found, line
                key = found[1], frozenset(LABEL.findall(found[2] or ""))
                assert key not in self.samples, line
                self.samples[key] = float(found[3])

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series of this name that have these labels."""
        wanted = set(labels.items())
        return sum(
            number for (one, own), number in self.samples.items() if one == name and wanted <= own
        )

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}


def scrape(url: str) -> Scraped:
    """As soon as the supervisor of a busy machine answers."""

    def told() -> str:
        answer = httpx.get(f"{url}/metrics", timeout=10)
        return "" if answer.status_code == 503 else answer.raise_for_status().text

    return Scraped(eventually(told, 30))


class Prometheus:
    """A server that scrapes twice a second."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str | float) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10)
        assert answer.json()["status"] == "success", answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found


@contextmanager
def prometheus(folder: Path, target: str, interval: str = "500ms") -> Iterator[Prometheus]:
    """Debian's, which scrapes this one target, `host:port`."""
    config = (
        f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n"
        "scrape_configs:\n"
        "- job_name: photo-api\n"
        f"  static_configs: [{{targets: ['{target}']}}]\n"
    )
    with prometheus_with(folder, config) as server:
        yield server


@contextmanager
def prometheus_with(folder: Path, text: str, *options: str) -> Iterator[Prometheus]:
    """Debian's, with this configuration."""
    config = folder / "prometheus.yml"
    config.write_text(text)
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data"),
                *(f"--web.listen-address={address}", "--enable-feature=exemplar-storage"),
                *options,
            ],
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,
        )
    try:
        server = Prometheus(f"http://{address}")
        eventually(lambda: _is_ready(server), 30)
        yield server
    finally:
        process.kill()
        process.wait()


def _is_ready(server: Prometheus) -> bool:
    try:
        return httpx.get(f"{server.url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _die_with_parent() -> None:
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
