"""Commands that show or mend something, as they are pasted for a fleet in a folder of this machine.

Rules name production's places; here the secrets, the spec and the sockets lie in the folder, and
`photo-fleet up` is what the units are in production.
"""

import re
import shlex
from dataclasses import replace

from photo_fleet.doctor.diagnosis import Diagnosis
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.render.places import Places

ELSEWHERE = "on a host of production"
"""Said of what can be done there alone."""

_SECRETS = {
    "PHOTO_FLEET_DATABASE_URL": "database-url",
    "PHOTO_API_DATABASE_URL": "database-url",
    "PHOTO_API_OPS_TOKEN": "ops-token",
}
_UNITS = re.compile(
    r"\b(systemctl|photo-fleet-balance|photo-fleet-nginx|photo-api\.service)\b|journalctl -u"
    r"|\bphoto-api [a-z]|/etc/photo-"
)
_JOBS = re.compile(r"^photo-api jobs list --state (\w+)")
_QUEUE = 'psql "$PHOTO_API_DATABASE_URL" -c "SELECT * FROM jobs WHERE state = \'{}\' LIMIT 50"'
_GIVEN = re.compile(r"PHOTO_(?:FLEET|API)_[A-Z_]+=… ")


class CommandsHere:
    """Of the fleet in the folder of `layout`; `prometheus` is the address of its Prometheus, if it
    has one."""

    def __init__(self, layout: Layout, prometheus: str) -> None:
        self._layout = layout
        self._prometheus = prometheus

    def diagnosis(self, told: Diagnosis) -> Diagnosis:
        """With all its commands so."""
        findings = (
            replace(one, command=self.command(one.command), fix=self.prose(one.fix))
            for one in told.findings
        )
        unknown = (replace(one, command=self.command(one.command)) for one in told.unknown)
        return replace(told, findings=tuple(findings), unknown=tuple(unknown))

    def command(self, text: str) -> str:
        """It works in a shell of whoever started the fleet. What only a host with units has is
        marked, by a comment, as such."""
        told = self._in_folder(_JOBS.sub(lambda found: _QUEUE.format(found[1]), text))
        return f"{told}  # {ELSEWHERE}" if _UNITS.search(told) else told

    def prose(self, text: str) -> str:
        """The same of a sentence that has commands in it."""
        told = self._in_folder(text)
        if not _UNITS.search(told):
            return told
        return f"{told} ({ELSEWHERE}; here `photo-fleet up`, ended and started, is all of them)"

    def _in_folder(self, text: str) -> str:
        data, spec = (shlex.quote(str(one)) for one in (self._layout.data, self._layout.spec))
        server = f" --prometheus {shlex.quote(self._prometheus)}" if self._prometheus else ""
        asked = 'PHOTO_API_OPS_TOKEN="$PHOTO_API_OPS_TOKEN" '
        for pattern, more in (
            (_GIVEN.pattern, lambda _: ""),
            (r"\bphoto-fleet (doctor|status|report \w+)\b", lambda one: f"{one[0]} --data {data}"),
            (r"\bphoto-fleet dashboard\b", lambda one: f"{one[0]} {spec}{server}"),
            (r"(\bphoto-fleet replay) --prometheus \S+", lambda one: f"{one[1]} --data {data}"),
            (r"\bphoto-fleet check(?= --probe)", lambda one: f"{asked}{one[0]} {spec}"),
            (
                r"\bphoto-fleet (check|render)(?=$|[;,]| --(?!probe))",
                lambda one: f"{one[0]} {spec}",
            ),
            (rf"{re.escape(Places().run)}/(\S+)", lambda one: self._in_run(one[1])),
            (r"\$(" + "|".join(_SECRETS) + r")\b", lambda one: self._secret(one[1])),
            (r"\bsudo ", lambda _: ""),
        ):
            text = re.sub(pattern, more, text)
        return text

    def _in_run(self, name: str) -> str:
        return shlex.quote(str(self._layout.run / name))

    def _secret(self, name: str) -> str:
        return f"$(cat {shlex.quote(str(self._layout.secret_files / _SECRETS[name]))})"
