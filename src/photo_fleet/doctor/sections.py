"""What the doctor looks at, by stage, and which rules judge it, by section of the guide."""

from collections.abc import Mapping

from photo_fleet.doctor import always, cuts, restarts, traffic
from photo_fleet.doctor.finding import Section
from photo_fleet.doctor.looking import Look, Rule
from photo_fleet.doctor.looks import (
    access_log,
    certificates,
    database,
    edge,
    edge_health,
    host,
    nginx,
    prometheus,
    registry,
    servers,
    store,
    units,
)
from photo_fleet.doctor.looks.access_log import AccessLogLook
from photo_fleet.doctor.looks.certificates import CertificatesLook
from photo_fleet.doctor.looks.database import DatabaseLook
from photo_fleet.doctor.looks.edge import EdgeLook
from photo_fleet.doctor.looks.edge_health import EdgeHealthLook
from photo_fleet.doctor.looks.host import HostLook
from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.looks.prometheus import PrometheusLook
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.looks.servers import ServersLook
from photo_fleet.doctor.looks.store import StoreLook
from photo_fleet.doctor.looks.units import UnitsLook

STAGES: tuple[tuple[Look, ...], ...] = (
    # What is asked by an address alone: registry, nginx, Prometheus, files of this host.
    (
        Look(DatabaseLook, "database", database.take),
        Look(RegistryLook, "registry", registry.take),
        Look(NginxLook, "nginx's files", nginx.take),
        Look(EdgeLook, "nginx's members", edge.take),
        Look(PrometheusLook, "Prometheus", prometheus.take),
        Look(UnitsLook, "units", units.take),
        Look(HostLook, "this host", host.take),
    ),
    # What is asked of instances, once the registry has told which there are.
    (
        Look(ServersLook, "instances", servers.take),
        Look(EdgeHealthLook, "health at nginx", edge_health.take),
    ),
    # What instances tell the addresses of.
    (Look(StoreLook, "the object store", store.take),),
    (Look(CertificatesLook, "certificates", certificates.take),),
    # What takes this process's own time: while it reads a long log, answers would be heard late.
    (Look(AccessLogLook, "nginx's access log", access_log.take),),
)
"""Looks of a stage see what the stages before it saw."""

RULES: Mapping[Section, tuple[Rule, ...]] = {
    "restarts": restarts.RULES,
    "traffic": traffic.RULES,
    "cuts": cuts.RULES,
    "always": always.RULES,
}
