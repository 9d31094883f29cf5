"""Metrics by push, where Prometheus cannot reach instances.

A Pushgateway keeps a group of metrics for each instance until somebody deletes it, whether or not
the instance lives (https://github.com/prometheus/pushgateway#api). So an instance deletes its own
at its end, and one job worker at a time those of instances that the registry calls gone.
"""

from base64 import urlsafe_b64encode
from urllib.parse import quote

from photo_api.cloud.metadata import NoAnswer, ask
from photo_api.metrics.exposition import TEXT
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.telemetry.http_sink import authorization
from photo_base.log_lines import redact

JOB = "photo-api"
OF_ONE = (301, 400, 404, 405)
"""What a gateway answers that does not like one group; others concern them all."""


def scraped_at(instance: str, port: int) -> str:
    """What Prometheus would call an instance at this address."""
    return f"[{instance}]:{port}" if ":" in instance else f"{instance}:{port}"


class PushFailed(Exception):
    """The gateway did not answer within two seconds, or refused; the message says which."""


class PushRefused(PushFailed):
    """It answered, and took this one not."""


class Pushgateway:
    """The gateway at `url`, which may have a certificate of the PEM `authorities` besides the
    system's, and wants the secret `auth`, if any. An `instance` is its address and port, as
    Prometheus would name it."""

    def __init__(self, url: str, auth: str = "", authorities: str = "") -> None:
        self._url = f"{url.rstrip('/')}/metrics/job/{JOB}/"
        self._auth = auth
        self._authorities = authorities

    @classmethod
    def of(cls, live: LiveSettings) -> "Pushgateway | None":
        """That of the settings, with the secret that is in force; None where nothing is pushed."""
        life = live.now.lifecycle
        if not life.pushgateway:
            return None
        gateway = cls(life.pushgateway, authorities=life.pushgateway_authorities)
        live.follow(gateway._use)
        return gateway

    def _use(self, settings: Settings) -> None:
        self._auth = settings.lifecycle.pushgateway_auth

    async def put(self, instance: str, text: str) -> None:
        """Replace the instance's group by metrics in the text format. Raises `PushFailed`."""
        await self._ask("PUT", instance, text)

    async def delete(self, instance: str) -> None:
        """Forget the instance's group, if there is one. Raises `PushFailed`."""
        await self._ask("DELETE", instance)

    async def _ask(self, method: str, instance: str, text: str = "") -> None:
        place = self._url + _label("instance", instance)
        headers = {"Content-Type": TEXT, **authorization(self._auth)}
        try:
            answer = await ask(method, place, headers, text.encode(), self._authorities)
        except NoAnswer as error:
            raise PushFailed(f"no answer: {error}") from None
        if not 200 <= answer.status < 300:
            kind = PushRefused if answer.status in OF_ONE else PushFailed
            raise kind(redact(f"status {answer.status}: {answer.body.strip()}"[:200]))


def _label(name: str, value: str) -> str:
    """As a part of a path; a slash, however it is written there, would begin another part."""
    if "/" in value:
        return f"{name}@base64/{urlsafe_b64encode(value.encode()).decode()}"
    return f"{name}/{quote(value, safe=':')}"
