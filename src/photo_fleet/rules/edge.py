"""Whether there can be an edge, and whether its cache fits where it is."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from photo_fleet.rules.findings import Contradiction
from photo_fleet.spec.edge import EDGE_PATH, MIB
from photo_fleet.spec.fleet import Fleet

LEAST_SLICES = 64
"""A cache of fewer pieces forgets an object while it is being read."""


def balancer(fleet: Fleet) -> Iterator[Contradiction]:
    """The edge is nginx's."""
    if not fleet.edge.on or fleet.balancer.kind == "nginx":
        return
    yield Contradiction(
        "error",
        "edge-balancer",
        f'edge.on with balancer.kind "{fleet.balancer.kind}": no nginx is rendered',
        "instances hand out URLs below /cdn, where nobody answers",
        ({"edge.on": False}, {"balancer.kind": "nginx"}),
    )


def store(fleet: Fleet) -> Iterator[Contradiction]:
    """It knows which store it fetches from."""
    if not fleet.edge.on:
        return
    if fleet.store.kind == "swift":
        key, known = "store.swift.account", fleet.store.swift.account
    else:
        key, known = "service.store", fleet.service.store or fleet.balancer.store
    if known:
        return
    yield Contradiction(
        "error",
        "edge-store",
        f'edge.on with {key} "": the edge is not told which store it fetches from',
        "nginx's configuration cannot be rendered",
        ({"edge.on": False},),
    )


def room(fleet: Fleet) -> Iterator[Contradiction]:
    """The cache and what stays free fit on the disk."""
    edge = fleet.edge
    if not edge.on or not edge.disk or edge.size + edge.min_free <= edge.disk:
        return
    yield Contradiction(
        "error",
        "edge-disk",
        f"edge.size {edge.size / MIB:.6g} MiB + edge.min_free {edge.min_free / MIB:.6g} MiB >"
        f" edge.disk {edge.disk / MIB:.6g} MiB",
        "the disk is full before the cache is: what else is on it finds no room, and images that"
        " are not kept yet come from the store each time",
        (
            {"edge.size": edge.disk - edge.min_free},
            {"edge.min_free": edge.disk - edge.size},
            {"edge.disk": edge.size + edge.min_free},
        ),
    )


def slices(fleet: Fleet) -> Iterator[Contradiction]:
    """The cache holds more than a few pieces."""
    edge = fleet.edge
    if not edge.on or edge.size >= LEAST_SLICES * edge.slice:
        return
    yield Contradiction(
        "warning",
        "edge-slice",
        f"edge.size {edge.size / MIB:.6g} MiB < {LEAST_SLICES} × edge.slice"
        f" {edge.slice / MIB:.6g} MiB",
        "what is fetched is forgotten before anybody else asks for it",
        ({"edge.size": LEAST_SLICES * edge.slice}, {"edge.slice": edge.size // LEAST_SLICES}),
    )


def caching(fleet: Fleet) -> Iterator[Contradiction]:
    """Lua tells browsers for how long they may keep an image, and looks whether there is room."""
    if not fleet.edge.on or fleet.balancer.membership == "lua":
        return
    yield Contradiction(
        "warning",
        "edge-reload",
        'edge.on with balancer.membership "reload": nginx has no Lua to count with',
        "browsers ask again for each image that they have (no-cache in place of max-age), and with"
        " a full disk images that are not kept yet break off",
        ({"balancer.membership": "lua"},),
    )


def address(fleet: Fleet) -> Iterator[Contradiction]:
    """nginx verifies the path that was signed."""
    parts = urlsplit(fleet.cdn.url)
    if not _is_used(fleet) or not fleet.cdn.url or parts.path.rstrip("/") == EDGE_PATH:
        return
    yield Contradiction(
        "error",
        "edge-address",
        f'cdn.url "{fleet.cdn.url}": the edge that is rendered has its images below {EDGE_PATH}',
        "no URL of an image is right",
        ({"cdn.url": f"{parts.scheme}://{parts.netloc}{EDGE_PATH}"},),
    )


def unused(fleet: Fleet) -> Iterator[Contradiction]:
    """Who hands out URLs and who verifies them belong together."""
    cdn, public = fleet.cdn, fleet.service.public_url
    if fleet.edge.on and cdn.provider != "nginx":
        url = f"{public or 'https://photos.example.org'}{EDGE_PATH}"
        yield Contradiction(
            "warning",
            "edge-unused",
            f'edge.on with cdn.provider "{cdn.provider}": no URL leads to the edge',
            "the edge keeps nothing, and clients do not read through it",
            ({"edge.on": False}, {"cdn.provider": "nginx", "cdn.url": url}),
        )
    elif cdn.provider == "nginx" and not fleet.edge.on:
        yield Contradiction(
            "warning",
            "edge-absent",
            f'cdn.provider "nginx" with cdn.url "{cdn.url}", and edge.on is false: no edge is'
            " rendered",
            "every image is 404, unless an nginx elsewhere verifies these URLs",
            ({"edge.on": True}, {"cdn.provider": "none", "cdn.url": ""}),
        )


def _is_used(fleet: Fleet) -> bool:
    return fleet.edge.on and fleet.cdn.provider == "nginx"


RULES = (balancer, store, room, slices, caching, address, unused)
