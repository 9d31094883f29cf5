"""An instance's identity: a new id for each boot, and the name that people see."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from photo_api.contract import RELEASE
from photo_api.settings.instance import LifecycleSettings

if TYPE_CHECKING:
    from photo_api.cloud.metadata import Metadata


@dataclass(frozen=True, slots=True)
class Identity:
    """`boot_id` is unique for each start; `instance` is the instance's IP address, `node` its host
    name and `region` where it stands, None when unknown."""

    boot_id: str
    instance: str
    node: str
    region: str | None
    version: str


def identify(
    settings: LifecycleSettings, boot_id: str | None = None, metadata: "Metadata | None" = None
) -> Identity:
    """This boot's identity: what is configured comes first, then what the cloud's metadata says,
    then what the machine knows. A worker is given the boot id of its supervisor."""
    address, region = (metadata.address, metadata.region) if metadata else (None, None)
    return Identity(
        boot_id=boot_id or str(uuid4()),
        instance=settings.instance_ip or address or own_address(),
        node=settings.node_name or socket.gethostname(),
        region=settings.region or region or None,
        version=RELEASE,
    )


NOWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses for documentation: connecting UDP to them only consults the routes."""


def own_address() -> str:
    """The address of the default route, of IPv4 if there is one, found without sending anything."""
    for family, address in NOWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return str(probe.getsockname()[0])
    return "127.0.0.1"
