"""Rules about what lets strangers in: secrets, proxies that are believed, the bucket."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

from photo_base.origins import ANY, ANY_PORT
from photo_base.preflight import LOOKS_SIGNED, STRANGER
from photo_fleet.doctor.finding import Finding, Level
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.looks.nginx_syntax import Directive
from photo_fleet.doctor.looks.servers import Server, Told
from photo_fleet.doctor.looks.store import (
    GUESSED,
    LISTING,
    StoreLook,
    StorePlace,
)
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.told import (
    LISTED,
    as_operator,
    configurations,
    instances,
    names,
    ready_servers,
)
from photo_fleet.spec.fleet import Balancer

FORWARDS = "photo_api_unbelieved_forwards_total"
FEW = 10
"""Requests that say nothing yet."""

WIDE = {4: 2**23, 6: 2**108}
"""Public addresses of each family that are nobody's own: those of the large networks that deliver
for others are a third of it, an eighth of all of a provider's."""


def _alike(seen: Seen, read: Callable[[Told], Iterable[str]]) -> Iterator[tuple[str, list[Server]]]:
    """What `read` finds in configurations, with the instances that told so."""
    found: dict[str, list[Server]] = {}
    unseen: Unseen | None = None
    try:
        for server, config in configurations(seen):
            for text in read(config):
                found.setdefault(text, []).append(server)
    except Unseen as error:
        unseen = error
    yield from found.items()
    if unseen is not None:
        raise unseen


def secret_default(seen: Seen) -> Iterator[Finding]:
    """Nothing refuses them in development, nor those that the database or the store made."""
    for text, servers in _alike(seen, _weak):
        yield Finding(
            "error",
            "secret-default",
            f"{text} (config.secrets.weak of /health/detailed at {names(servers)})",
            as_operator(servers[0], ".secrets"),
            "make one with `openssl rand -hex 32` and put it into its file; keys rotate in three"
            " steps, and PHOTO_API_MODE=production refuses such ones",
            instances(servers),
        )


def secret_equal(seen: Seen) -> Iterator[Finding]:
    """Who learns one opens the other door, too."""
    for text, servers in _alike(seen, _same):
        yield Finding(
            "error",
            "secret-equal",
            f"{text} (config.secrets.same of /health/detailed at {names(servers)})",
            as_operator(servers[0], ".secrets"),
            "make one of them anew with `openssl rand -hex 32`",
            instances(servers),
        )


def _flags(config: Told) -> Mapping[str, Any]:
    flags = config.get("secrets")
    if not isinstance(flags, dict):
        raise Unseen("an instance's release tells nothing of its secrets", "photo-api config check")
    return flags


def _weak(config: Told) -> list[str]:
    weak = _flags(config).get("weak")
    return [f"{name} {why}" for name, why in weak.items()] if isinstance(weak, dict) else []


def _same(config: Told) -> list[str]:
    same = _flags(config).get("same")
    pairs = [pair for pair in same if isinstance(pair, list)] if isinstance(same, list) else []
    return [f"{' and '.join(map(str, pair))} are the same" for pair in pairs]


def proxies_unset(seen: Seen) -> Iterator[Finding]:
    """By requests that name a client in vain, where there were any; a cloud's balancer whose
    requests name none leaves addresses as they are."""
    kind = seen.spec.balancer.kind
    vain = [server for server in ready_servers(seen) if _is_told_in_vain(server)]
    if vain:
        numbers = [f"{_forwards(one):.0f} of {_requests(one):.0f}" for one in vain[:LISTED]]
        yield _unset(
            "error",
            f"most requests name a client ({FORWARDS} of /metrics: {', '.join(numbers)} at"
            f" {names(vain)}) and come from no proxy that is trusted",
            vain,
        )
    for _, servers in _alike(seen, lambda config: ["none"] if _trusted(config) == [] else []):
        others = [one for one in servers if one not in vain]
        trusting_nobody = [one for one in others if kind == "nginx" or _requests(one) < FEW]
        if trusting_nobody:
            yield _unset(
                "error" if kind == "nginx" else "warning",
                "config.trusted_proxies of /health/detailed is empty at"
                f" {names(trusting_nobody)}, and a balancer (balancer.kind = {kind}) stands before"
                " them",
                trusting_nobody,
            )


def _unset(level: Level, evidence: str, servers: list[Server]) -> Finding:
    return Finding(
        level,
        "proxies-unset",
        f"{evidence}: all clients have the balancer's address, and limits for one count for all",
        as_operator(servers[0], ".trusted_proxies"),
        "name the balancers' networks in balancer.networks of the spec (PHOTO_API_TRUSTED_PROXIES)"
        " and restart",
        instances(servers),
    )


def _is_told_in_vain(server: Server) -> bool:
    return _requests(server) >= FEW and 2 * _forwards(server) > _requests(server)


def _forwards(server: Server) -> float:
    """Absent as long as there was none."""
    return (server.metrics and server.metrics.value(FORWARDS)) or 0.0


def _requests(server: Server) -> float:
    """Those of the API, which come through balancers."""
    told = server.metrics.samples("http_requests_total") if server.metrics else ()
    return sum(value for labels, value in told if labels.get("handler", "").startswith("/api/"))


def proxies_open(seen: Seen) -> Iterator[Finding]:
    """One that is believed may call itself anybody, and is throttled never."""
    yield from _believed_by_the_spec(seen.spec.balancer)
    for text, servers in _alike(seen, lambda config: filter(None, [_too_wide(_trusted(config))])):
        yield Finding(
            "error",
            "proxies-open",
            f"{text} (config.trusted_proxies of /health/detailed at {names(servers)}): whoever is"
            " in there chooses by X-Forwarded-For who they are",
            as_operator(servers[0], ".trusted_proxies"),
            "name in balancer.networks (PHOTO_API_TRUSTED_PROXIES) only the networks that balancers"
            " are in",
            instances(servers),
        )
    yield from _believed_by_nginx(seen)


def _believed_by_the_spec(balancer: Balancer) -> Iterator[Finding]:
    """What will be in force with the next render."""
    for key in ("networks", "trusted_hops"):
        if text := _too_wide(getattr(balancer, key)):
            yield Finding(
                "error",
                "proxies-open",
                f"{text} (balancer.{key} of the spec): whoever is in there chooses by"
                " X-Forwarded-For who they are",
                "photo-fleet render --out rendered && grep -rnE"
                " 'TRUSTED_PROXIES|set_real_ip_from' rendered",
                f"name in balancer.{key} only the networks that balancers are in",
            )


def _believed_by_nginx(seen: Seen) -> Iterator[Finding]:
    """Its own hops: whom it believes, it tells on as the client."""
    if seen.spec.balancer.kind != "nginx":
        return
    look = seen.need(NginxLook)
    hops = [one for one in _all(look.tree) if one.name == "set_real_ip_from"]
    if text := _too_wide(one.first for one in hops):
        yield Finding(
            "error",
            "proxies-open",
            f"{text} (set_real_ip_from, {hops[0].place}): whoever is in there chooses by"
            " X-Forwarded-For who they are, and instances believe nginx",
            f"grep -rn set_real_ip_from {look.file}",
            "name in balancer.trusted_hops only the networks of balancers before nginx, render,"
            " and reload nginx",
        )


def _all(tree: Iterable[Directive]) -> Iterator[Directive]:
    for one in tree:
        yield one
        yield from _all(one.block or ())


def _trusted(config: Told) -> list[str]:
    told = config.get("trusted_proxies")
    if not isinstance(told, list):
        raise Unseen("an instance's release tells nothing of its proxies", "photo-fleet check")
    return [str(network) for network in told]


def _too_wide(trusted: Iterable[str]) -> str:
    """In words; empty when it is none too many."""
    networks: list[IPv4Network | IPv6Network] = []
    for text in trusted:
        with suppress(ValueError):
            networks.append(ip_network(text, strict=False))
    for version, most in WIDE.items():
        public = [one for one in networks if one.version == version and not one.is_private]
        if sum(one.num_addresses for one in public) >= most:
            widest = min(public, key=lambda one: one.prefixlen)
            return f"{len(public)} public networks are trusted, {widest} the widest of them"
    return ""


def bucket_cors(seen: Seen) -> Iterator[Finding]:
    """Of the address that clients get. Anybody's page may read: a signed URL decides."""
    look = seen.need(StoreLook)
    place = _answering(look)
    bucket = f"{place.address}/{place.uploads}"
    refused: dict[str, list[str]] = {}
    for one in place.preflights:
        if not one.allowed and one.origin not in (STRANGER, _origin(place.address)):
            refused.setdefault(one.origin, []).append(f"{one.method} with {one.status}")
    for origin, answers in refused.items():
        yield Finding(
            "error",
            "bucket-cors",
            f"{bucket} answers a page of {origin} that asks for {' and '.join(answers)}, and"
            " without leave: its browser exchanges nothing with the store",
            _preflight(place, origin),
            f"let the bucket's CORS rules allow {origin} GET, HEAD and PUT with all headers",
        )
    if any(origin == ANY or origin.endswith(ANY_PORT) for origin in look.origins):
        return
    puts = (one for one in place.preflights if (one.origin, one.method) == (STRANGER, "PUT"))
    if any(one.allowed for one in puts):
        yield Finding(
            "warning",
            "bucket-cors",
            f"{bucket} lets pages of any origin ({STRANGER} was tried) PUT with a signed URL that"
            " they have got hold of",
            _preflight(place, STRANGER),
            "allow PUT in the bucket's CORS rules for the origins of the front ends alone",
        )


def _preflight(place: StorePlace, origin: str) -> str:
    return (
        f"curl -sS -i -X OPTIONS -H 'Origin: {origin}'"
        " -H 'Access-Control-Request-Method: PUT'"
        " -H 'Access-Control-Request-Headers: content-type'"
        f" '{place.address}/{place.uploads}/{GUESSED}?{LOOKS_SIGNED}'"
    )


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def bucket_public(seen: Seen) -> Iterator[Finding]:
    """At any of its addresses: what only our own network reaches is a warning."""
    look = seen.need(StoreLook)
    for place in look.places:
        if not place.listed and not place.readable:
            continue
        can, path, said = (
            ("list", LISTING if place.kind == "s3" else "?limit=1", "200 with a list")
            if place.listed
            else ("read", GUESSED, "404, as for those who may read")
        )
        yield Finding(
            "error" if place.clients else "warning",
            "bucket-public",
            f"{place.address}/{place.bucket}: GET {path} without a signature is answered {said}:"
            f" whoever reaches this address may {can} it",
            f"curl -sS -i '{place.address}/{place.bucket}{'' if path[0] == '?' else '/'}{path}'",
            "take anonymous access away from the bucket (its policy, its ACL, the store's anonymous"
            " identity); every URL that clients get is signed",
        )
    _answering(look)


def _answering(look: StoreLook) -> StorePlace:
    """The address that clients get, if it was seen."""
    [place] = [one for one in look.places if one.clients]
    if place.problem:
        raise Unseen(place.problem, f"curl -sS -i '{place.address}/{place.bucket}/'")
    return place


RULES = (
    Rule("secret-default", secret_default),
    Rule("secret-equal", secret_equal),
    Rule("proxies-unset", proxies_unset),
    Rule("proxies-open", proxies_open),
    Rule("bucket-cors", bucket_cors),
    Rule("bucket-public", bucket_public),
)
