"""Looks at a service under test, as the doctor takes them."""

from typing import Any
from urllib.parse import urlsplit

from photo_fleet.doctor.looks import database, registry, servers
from photo_fleet.doctor.looks.database import DatabaseLook
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen
from photo_fleet.spec.fleet import Fleet
from tests.service import Service


def reach_of(environ: dict[str, str], **more: Any) -> Reach:
    """To the fleet whose instances have these settings."""
    url, token = environ["PHOTO_API_DATABASE_URL"], environ["PHOTO_API_OPS_TOKEN"]
    given: dict[str, Any] = {"spec": Fleet(), "database": lambda: url, "ops_token": token} | more
    return Reach(spec_name="fleet.toml", **given)


async def seen_through(reach: Reach, *others: object) -> Seen:
    """What database, registry and servers told, and these other looks."""
    nothing = Seen(reach.spec, 0, {})
    looks: dict[type[Any], Any] = {
        DatabaseLook: await database.take(reach, nothing),
        RegistryLook: await registry.take(reach, nothing),
        **{type(other): other for other in others},
    }
    seen = Seen(reach.spec, 0, looks)
    return Seen(reach.spec, 0, looks | {ServersLook: await servers.take(reach, seen)})


def boot_of(seen: Seen, service: Service) -> Boot:
    """The row of this service's boot that lives."""
    port = urlsplit(service.url).port
    return next(boot for boot in seen.need(RegistryLook).alive if boot.port == port)


def server_of(seen: Seen, service: Service) -> Server:
    """What this service told."""
    port = urlsplit(service.url).port
    servers = seen.need(ServersLook).servers
    return next(server for server in servers if server.boot.port == port)
