"""Metrics by push, where Prometheus cannot reach instances.

A Pushgateway keeps a group of metrics for each instance until somebody deletes it, whether or not
the instance lives (https://github.com/prometheus/pushgateway#api). So an instance deletes its own
at its end, and one job worker at a time those of instances that the registry calls gone.
"""

from urllib.parse import quote

from photo_api.cloud.metadata import NoAnswer, ask
from photo_api.metrics.exposition import TEXT

JOB = "photo-api"


def scraped_at(instance: str, port: int) -> str:
    """What Prometheus would call an instance at this address."""
    return f"[{instance}]:{port}" if ":" in instance else f"{instance}:{port}"


class PushFailed(Exception):
    """The gateway did not answer within two seconds, or refused; the message says which."""


class Pushgateway:
    """The gateway at `url`. An `instance` is its address and port, as Prometheus would name it."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/metrics/job/{JOB}/instance/"

    async def put(self, instance: str, text: str) -> None:
        """Replace the instance's group by metrics in the text format. Raises `PushFailed`."""
        await self._ask("PUT", instance, text)

    async def delete(self, instance: str) -> None:
        """Forget the instance's group, if there is one. Raises `PushFailed`."""
        await self._ask("DELETE", instance)

    async def _ask(self, method: str, instance: str, text: str = "") -> None:
        place = self._url + quote(instance, safe=":")
        try:
            answer = await ask(method, place, {"Content-Type": TEXT}, text.encode())
        except NoAnswer as error:
            raise PushFailed(f"no answer: {error}") from None
        if not 200 <= answer.status < 300:
            raise PushFailed(f"status {answer.status}: {answer.body.strip()[:200]}")
