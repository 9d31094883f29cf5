"""Headers of a Swift container as the service needs them, beside those that are there already
("TempURL middleware" and "Cross-Origin Resource Sharing" in Swift's manual). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from photo_api.contract import OF_BYTES_READABLE
from photo_api.settings.loading import Settings
from photo_api.settings.swift import SwiftSettings
from photo_api.storage.swift_containers import containers_of
from photo_base.origins import ANY, as_stores_know

WHO = (
    "look at PHOTO_API_SWIFT_USER, _PASSWORD, _PROJECT_ID and _USER_DOMAIN_ID, or at"
    " _APPLICATION_CREDENTIAL_ID and _SECRET"
)
META = "X-Container-Meta-"
KEYS = (f"{META}Temp-URL-Key", f"{META}Temp-URL-Key-2")
ORIGINS = f"{META}Access-Control-Allow-Origin"
EXPOSED = f"{META}Access-Control-Expose-Headers"
MAX_AGE = f"{META}Access-Control-Max-Age"
OPEN = (".r:", ".referrer:", ".rlistings")
"""What begins an entry of an access list that is for everybody."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a container is to be. `keys` sign URLs to it, at most two, and pages of `origins` may
    use them; `exact`: other keys and origins are taken away."""

    name: str
    keys: Sequence[str] = field(repr=False)
    origins: Sequence[str]
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Headers to set, none where all is there; `told` never has a key. `problem` says what could
    not be planned."""

    headers: Mapping[str, str] = field(repr=False)
    told: str
    problem: str = ""


def wanted_containers(settings: Settings, *, exact: bool = False) -> list[Wanted]:
    """How they are to be. Anyone may look, for signed URLs decide, and a page that was sent on
    from the service to the store has no origin to tell; only configured pages may upload."""
    swift, names = settings.swift, containers_of(settings.swift)
    uploads = as_stores_know(settings.pages)
    return [
        Wanted(names.photos, swift.url_keys, (ANY,), exact),
        Wanted(names.staging, swift.staging_url_keys, uploads, exact),
    ]


def public_account(swift: SwiftSettings) -> str:
    """The account's address that clients get."""
    parts = urlsplit(swift.url)
    return f"{swift.public_endpoint or f'{parts.scheme}://{parts.netloc}'}{parts.path}"


def plan_keys(current: Mapping[str, str], wanted: Wanted) -> Plan:
    """`current` has its names in lower case. A key that is not configured stays while there is room
    for it: with `exact`, what it has signed is refused from then on."""
    held = held_keys(current)
    strange = len(set(held) - {"", *wanted.keys})
    lacking = [key for key in wanted.keys if key not in held]
    places = [key if key in wanted.keys or not wanted.exact else "" for key in held]
    room = [at for at, key in enumerate(places) if not key]
    if len(room) < len(lacking):
        problem = f"{_keys(strange)} not configured leave no room: --exact takes them away"
        return Plan({}, _keys_told(wanted), problem)
    for at, key in zip(room, lacking, strict=False):
        places[at] = key
    headers = {
        name: key for name, key, before in zip(KEYS, places, held, strict=True) if key != before
    }
    if not strange:
        return Plan(headers, _keys_told(wanted))
    how = "is taken away" if wanted.exact else "stays: what it has signed works (--exact ends that)"
    return Plan(headers, f"{_keys_told(wanted)}; {_keys(strange)} not configured, which {how}")


def held_keys(current: Mapping[str, str]) -> list[str]:
    """Both, "" for one that is not there, or that is not shown to who does not own the account."""
    return [current.get(name.lower(), "") for name in KEYS]


def _keys(count: int) -> str:
    return "one key that is" if count == 1 else f"{count} keys that are"


def _keys_told(wanted: Wanted) -> str:
    return f"{wanted.name}: {'one key' if len(wanted.keys) == 1 else 'two keys'} for signed URLs"


def plan_cors(current: Mapping[str, str], wanted: Wanted) -> Plan:
    """Origins that are there stay unless `exact`. Pages of any origin, where that is wanted, only
    where nobody has chosen any: what is narrower stays so."""
    held = current.get(ORIGINS.lower(), "").split()
    places = list(wanted.origins) if wanted.exact else [*held, *_lacking(held, wanted.origins)]
    told = f"{wanted.name}: pages of {_origins(places)}"
    if sorted(places) == sorted(held):
        if ANY in held and ANY not in wanted.origins:
            told += ", though only configured ones need to: --exact ends that"
        return Plan({}, told)
    headers = {ORIGINS: " ".join(places)}
    if not current.get(EXPOSED.lower()) or wanted.exact:
        headers[EXPOSED] = " ".join(("ETag", *OF_BYTES_READABLE)).lower()
    if not current.get(MAX_AGE.lower()):
        headers[MAX_AGE] = "3000"
    return Plan(headers, told)


def _lacking(held: Sequence[str], wanted: Sequence[str]) -> list[str]:
    if ANY in held or (held and ANY in wanted):
        return []
    return [one for one in wanted if one not in held]


def _origins(origins: Sequence[str]) -> str:
    return "any origin" if ANY in origins else ", ".join(origins) or "no origin"


def public_access(current: Mapping[str, str]) -> str:
    """By which of its headers strangers read, list or write; "" where none lets them."""
    for name in ("x-container-read", "x-container-write"):
        acl = [part.strip() for part in current.get(name, "").split(",")]
        if any(part.startswith(OPEN) or part in ("*", "*:*") for part in acl):
            return f"{name}: {current[name]}"
    return ""
