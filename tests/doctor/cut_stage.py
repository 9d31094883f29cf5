"""A host with all that is rendered for it, which a test may change before the doctor looks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from photo_fleet.doctor.cuts import RULES
from photo_fleet.doctor.finding import Finding, Unknown
from photo_fleet.doctor.looking import judge
from photo_fleet.doctor.looks.nginx import NginxLook, look_at
from photo_fleet.doctor.looks.registry import Boot, FollowingBalancer, Receipt, RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.looks.unit_files import Root
from photo_fleet.doctor.looks.units import UnitsLook, installed
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.render.environment import files as environment_files
from photo_fleet.render.nginx import files as nginx_files
from photo_fleet.render.nginx import no_members
from photo_fleet.render.places import Places
from photo_fleet.render.systemd import balancer_files, instance_files
from photo_fleet.rules.server import METRICS_ACCESS
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.settings import settings as variables
from tests.photo_fleet.nginx_stage import short_folder

NOW = 1_800_000_000.0
DAY = 86_400.0
OLD, NEW = (1, 22, 1), (1, 30, 0)


def boot(number: int, **other: Any) -> Boot:
    known = {
        "boot_id": f"boot-{number}",
        "instance": f"10.0.0.{number}",
        "node": f"vm-{number}",
        "region": None,
        "version": "1",
        "address": f"10.0.0.{number}",
        "port": 8000,
        "workers": 1,
        "state": "ready",
        "cause": "",
        "started_at": NOW - DAY,
        "changed_at": NOW - DAY,
        "heartbeat_at": NOW,
    }
    return Boot(**(known | other))


def config(fleet: Fleet, **other: Any) -> dict[str, Any]:
    """What an instance of this spec says that it has, as the environment file tells it."""
    told = variables(fleet)
    return {
        "lame_duck": float(told["PHOTO_API_LAME_DUCK"]),
        "drain_wait": float(told["PHOTO_API_DRAIN_WAIT"]),
        "log_flush": float(told["PHOTO_API_LOG_FLUSH"]),
        "grace": float(told["PHOTO_API_GRACE"]),
        "keep_alive": int(told["PHOTO_API_KEEP_ALIVE"]),
        "pool": fleet.service.pool,
        "workers": fleet.service.workers,
        "port": fleet.service.port,
        "metrics_access": told.get(METRICS_ACCESS, "network"),
        **other,
    }


def ended(number: int, **other: Any) -> Receipt:
    """A drain as it should be."""
    known: dict[str, Any] = {
        "boot_id": f"gone-{number}",
        "instance": f"10.0.1.{number}",
        "version": "1",
        "written_at": NOW - 60,
        "ending": "drained",
        "cause": "SIGTERM",
        "was_ready": True,
        "asked_at": NOW - 65,
        "ended_at": NOW - 60,
        "requests_accepted": 100,
        "requests_finished": 100,
        "requests_cut": 0,
        "untold": 0,
        "balancers": 2,
        "acknowledged": 2,
        "lame_duck_end": "removed",
        "lame_duck_s": 2.0,
        "in_flight_s": 0.2,
        "flush_s": 0.4,
        "log_lines_lost": 0,
    }
    return Receipt(**(known | other))


@dataclass
class Host:
    """A host of a fleet: its files, which a test may change before they are looked at."""

    fleet: Fleet
    folder: Path
    version: tuple[int, ...] | None = OLD
    servers: list[Server] = field(default_factory=list)
    receipts: tuple[Receipt, ...] = ()
    registry: dict[str, Any] = field(default_factory=dict)

    @property
    def nginx(self) -> Path:
        return self.folder / "nginx" / "nginx.conf"

    @property
    def unit(self) -> Path:
        return self.folder / "etc/systemd/system/photo-api.service"

    def edit(self, file: Path, old: str, new: str) -> None:
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def drop_in(self, lines: str, unit: str = "photo-api") -> None:
        folder = self.folder / f"etc/systemd/system/{unit}.service.d"
        folder.mkdir(exist_ok=True)
        (folder / "override.conf").write_text(f"[Service]\n{lines}\n")

    def seen(self) -> Seen:
        balancers = (FollowingBalancer("b", "nginx-1", NOW - 1),)
        known = {"instances": tuple(one.boot for one in self.servers), "balancers": balancers}
        looks: dict[type, Any] = {
            RegistryLook: RegistryLook(
                NOW, 3600, receipts=self.receipts, **(known | self.registry)
            ),
            ServersLook: ServersLook(tuple(self.servers)),
        }
        if self.nginx.exists():
            looks[NginxLook] = replace(look_at(self.nginx), version=self.version)
        try:
            looks[UnitsLook] = installed(Root(self.folder))
        except Unseen as unseen:
            looks[UnitsLook] = unseen
        return Seen(self.fleet, NOW, looks)

    def said(self) -> tuple[list[Finding], list[Unknown]]:
        return judge(self.seen(), RULES)

    def found(self) -> list[Finding]:
        """Findings; every question must have its answer."""
        findings, unknown = self.said()
        assert not unknown
        return findings

    def only(self, code: str) -> Finding:
        (found,) = [one for one in self.found() if one.code == code]
        assert found.command
        assert found.fix
        return found


@contextmanager
def host(fleet: Fleet | None = None) -> Iterator[Host]:
    """With all that is rendered for a spec, and two instances that do as they are told."""
    fleet = fleet or Fleet()
    with short_folder() as folder:
        places = Places(prefix=str(folder / "nginx"), run=str(folder / "run"))
        rendered = {f"nginx/{name}": text for name, text in nginx_files(fleet, places).items()}
        rendered |= {"run/members.conf": no_members(fleet)}
        if fleet.balancer.kind != "nginx":
            rendered = {}
        installed = instance_files(fleet) | balancer_files(fleet)
        rendered |= {f"etc/systemd/system/{name}": text for name, text in installed.items()}
        for name, text in environment_files(fleet).items():
            rendered[f"etc/photo-api/{name}"] = text
        for name, text in rendered.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        servers = [Server(boot(number), config=config(fleet)) for number in (1, 2)]
        yield Host(fleet, folder, servers=servers)
