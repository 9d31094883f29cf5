"""An instance's identity: a new id for each boot, and the name that people see."""

import socket
from dataclasses import dataclass
from uuid import uuid4

from photo_api.cloud.metadata import Metadata
from photo_api.contract import RELEASE
from photo_api.settings.instance import LifecycleSettings


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
    settings: LifecycleSettings, boot_id: str | None = None, metadata: Metadata | None = None
) -> Identity:
    """This boot's identity: what is configured comes first, then what the cloud's metadata says,
    then what the machine knows. A worker is given the boot id of its supervisor."""
    address, region = (metadata.address, metadata.region) if metadata else (None, None)
    return Identity(
        boot_id=boot_id or str(uuid4()),
        instance=settings.instance_ip or address or default_route(),
        node=settings.node_name or socket.gethostname(),
        region=settings.region or region or None,
        version=RELEASE,
    )


def default_route() -> str:
    """The address of the default route, found without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: connecting UDP only consults the routes
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
