"""A spec as one machine carries it out: its own store, one address for everything, plain HTTP."""

from dataclasses import replace
from urllib.parse import urlsplit

from photo_base.embedded import EmbeddedAddresses
from photo_fleet.spec.cdn import Cdn
from photo_fleet.spec.edge import EDGE_PATH, GIB
from photo_fleet.spec.fleet import Fleet, Logs, Tls, Tracing
from photo_fleet.spec.store import Store, Swift

EDGE_SIZE = GIB
"""Bytes of images that a fleet in somebody's folder keeps at most."""


def local_spec(
    fleet: Fleet,
    addresses: EmbeddedAddresses,
    public_url: str,
    gateway: str = "",
    alertmanager: str = "",
) -> Fleet:
    """`fleet` with the embedded database and store in place of what it names, reached at
    `public_url` by clients and from loopback by nginx, which passes on URLs of S3 alone and has
    images through its edge. Its log lines and spans go to no collector,
    its metrics to the Pushgateway at `gateway` where it pushes them, and else nowhere, its
    alerts to `alertmanager`."""
    return replace(
        fleet,
        service=replace(
            fleet.service,
            public_url=public_url,
            store=addresses.s3_endpoint,
            store_ca="",
            store_region=addresses.region or fleet.service.store_region,
            store_credentials="keys",
        ),
        store=_store(addresses),
        balancer=replace(
            fleet.balancer,
            kind="nginx",
            membership="lua",
            networks=("127.0.0.0/8",),
            store=addresses.s3_endpoint,
            bucket=addresses.bucket or fleet.balancer.bucket,
            tls=Tls(),
        ),
        # Its group is that of this machine.
        group=replace(fleet.group, cloud="none"),
        database=replace(fleet.database, pooler="none"),
        # A gateway that the spec names is that of the real fleet.
        metrics=replace(
            fleet.metrics,
            discovery="",
            cloud="none",
            pushgateway=gateway if fleet.metrics.pushgateway else "",
            pushgateway_auth="none",
            pushgateway_ca="",
            alertmanager=alertmanager,
        ),
        cdn=Cdn("nginx", f"{public_url}{EDGE_PATH}"),
        edge=replace(fleet.edge, on=True, size=min(fleet.edge.size, EDGE_SIZE), disk=0, min_free=0),
        # Its keys are made with its folder, and their ids tell no date.
        objectives=replace(fleet.objectives, oldest_key=0),
        logs=Logs(),
        tracing=Tracing(),
    )


def _store(addresses: EmbeddedAddresses) -> Store:
    if (found := addresses.swift) is None:
        return Store()
    swift = Swift(
        account=found.url,
        public=found.public_endpoint,
        container=found.container,
        staging_container=found.staging_container,
        auth=found.auth_url,
        user=found.user,
        project=found.project,
    )
    return Store("swift", swift)


def front_ends(fleet: Fleet, public_url: str) -> tuple[str, ...]:
    """Origins whose pages may call the API and exchange bytes with the store: its own, by either
    name of this machine, and those of its spec."""
    own = (public_url, f"http://localhost:{urlsplit(public_url).port}")
    return tuple(dict.fromkeys((*own, *fleet.service.cors_origins)))
