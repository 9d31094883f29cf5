"""The service's environment file: what of its settings the spec determines, and where its secrets
come from."""

import re

from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.settings import absent, of_the_machine, settings

SECRETS = "/etc/photo-api/secrets"
SECRETS_GROUP = "photo-api-secrets"
"""The group that may read them, besides root: of the service, whose user exists while it runs."""

ENVIRONMENT = "/etc/photo-api/photo-api.env"
SITE = "/etc/photo-api/site.env"

LOGS = "Where log lines go besides the journal"
TITLES = {
    "PHOTO_API_MODE": "Absent and published secrets are refused",
    "PHOTO_API_LAME_DUCK": "How an instance leaves (seconds)",
    "PHOTO_API_MEMBER_AUTH_URL": "Who takes it out of the load balancer before that, and where",
    "PHOTO_API_KEEP_ALIVE": "HTTP",
    "PHOTO_API_PUSHGATEWAY": "Metrics by push (seconds)",
    "PHOTO_API_DATABASE_POOL": "What all instances share",
    "PHOTO_API_LOG_SINK": LOGS,
    "PHOTO_API_LOG_LOKI_URL": LOGS,
    "PHOTO_API_LOG_OTLP_URL": LOGS,
    "PHOTO_API_AUTOSCALING_GROUP": "Whose termination hook waits for the drain",
    "PHOTO_API_TRACE_OTLP_URL": "Which requests are sampled, and where their spans go",
}
"""Above the first variable of each section."""

_PLAIN = re.compile(r"[A-Za-z0-9_.,:/@%+=\[\]-]*")
_SPECIAL = re.compile(r'(["\\$`])')
_ESCAPED = re.compile(r'\\(["\\$`])')


def files(fleet: Fleet) -> dict[str, str]:
    """`photo-api.env`, in the format of systemd.exec(5), EnvironmentFile=. It holds no secret.

    Raises ValueError when a text of the spec has a control character.
    """
    lines = [
        f"# The settings of {_one_line(fleet.name)} that its fleet spec determines; rendered from",
        f"# it, so change them there. What differs on one machine goes to {SITE}.",
    ]
    for name, value in settings(fleet).items():
        title = f"# {TITLES.get(name)}"
        lines += ["", title] if name in TITLES and title not in lines else []
        lines.append(f"{name}={value if _PLAIN.fullmatch(value) else _quoted(value)}")
    if examples := absent(fleet):
        lines += ["", f"# The spec does not tell these: set them there, or in {SITE}."]
        lines += [f"#{name}={example}" for name, example in examples.items()]
    access = f"2750 root:{SECRETS_GROUP}, each file 0640"
    lines += ["", f"# Secrets are files in {SECRETS} ({access}),"]
    lines += ["# and a running service looks at them again every 10 s:"]
    lines += [f"#   {secret.name}: {secret.meaning}" for secret in of_the_machine(fleet)]
    return {"photo-api.env": "\n".join(lines) + "\n"}


def variables(text: str) -> dict[str, str]:
    """What a file of `files` gives to the service, as systemd reads it."""
    found = {}
    for line in text.splitlines():
        name, is_set, value = line.partition("=")
        if is_set and not line.startswith("#"):
            quoted = value.startswith('"')
            found[name] = _ESCAPED.sub(r"\1", value[1:-1]) if quoted else value
    return found


def notes(fleet: Fleet) -> list[str]:
    """What an operator has to do besides, because the spec does not tell it."""
    if missing := ", ".join(absent(fleet)):
        return [f"photo-api.env does not set {missing}: complete the spec, or set them in {SITE}"]
    return []


def _quoted(value: str) -> str:
    return '"' + _SPECIAL.sub(r"\\\1", _one_line(value)) + '"'


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text!r} holds a control character: it must be plain text on one line")
    return text
