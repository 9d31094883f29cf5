"""Whether what the spec says of the object store fits the kind that it is."""

from collections.abc import Iterator

from photo_fleet.rules.findings import Contradiction
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.store import Swift


def passed_through(fleet: Fleet) -> Iterator[Contradiction]:
    """nginx passes on what S3 has signed."""
    if fleet.store.kind != "swift" or not fleet.balancer.store:
        return
    yield Contradiction(
        "error",
        "swift-passed-through",
        f'balancer.store "{fleet.balancer.store}" with store.kind "swift": nginx passes on signed'
        " URLs of S3 only",
        "every upload and every image is refused with 404; clients of Swift go to it themselves",
        ({"balancer.store": ""}, {"store.kind": "s3"}),
    )


def credentials(fleet: Fleet) -> Iterator[Contradiction]:
    """A machine's role opens S3 alone."""
    if fleet.store.kind != "swift" or fleet.service.store_credentials == "keys":
        return
    yield Contradiction(
        "error",
        "swift-credentials",
        'service.store_credentials "role" with store.kind "swift": Keystone wants a password',
        "no machine has credentials for the store",
        ({"service.store_credentials": "keys"}, {"store.kind": "s3"}),
    )


def containers(fleet: Fleet) -> Iterator[Contradiction]:
    """What clients upload to has a key of its own, and so a container."""
    swift = fleet.store.swift
    if fleet.store.kind != "swift" or swift.staging_container != swift.container:
        return
    yield Contradiction(
        "error",
        "swift-containers",
        f'store.swift.staging_container "{swift.staging_container}" is the container of the photos',
        "an instance does not start: who may upload could read and replace photos",
        ({"store.swift.staging_container": f"{swift.container}-staging"},),
    )


def unused(fleet: Fleet) -> Iterator[Contradiction]:
    """Keys that are for the other kind of store."""
    if fleet.store.kind == "s3" and fleet.store.swift != Swift():
        yield _unused('store.swift is set with store.kind "s3"', {"store.kind": "swift"})
    if fleet.store.kind == "swift" and fleet.service.store:
        yield _unused(
            f'service.store "{fleet.service.store}" is an address of S3, with store.kind "swift"',
            {"service.store": ""},
        )


def _unused(numbers: str, way: dict[str, str]) -> Contradiction:
    consequence = "nobody reads it, and somebody may think that it is the store"
    return Contradiction("warning", "store-unused", numbers, consequence, (way,))


RULES = (passed_through, credentials, containers, unused)
