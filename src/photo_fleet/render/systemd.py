"""systemd units of the spec, for systemd 252 (Debian 12) and newer.

Units stop in the reverse of the order in which they start. So what an ending instance needs to the
last (network, names, journal, log shipper) comes before it: `After=`.
"""

from urllib.parse import urlsplit

from photo_fleet.render.environment import ENVIRONMENT, SECRETS, SECRETS_GROUP, SITE
from photo_fleet.render.places import Places
from photo_fleet.render.sandbox import sandbox
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.kinds import limit
from photo_fleet.spec.nhn import LEAVES_WITHIN, STARTS_IN
from photo_fleet.spec.settings import MEMBER, paths, secrets

PROGRAMS = "/opt/photo-api/bin"
NGINX = "/usr/sbin/nginx"
LOGS = "/var/log/photo-api"
"""All that an instance may write to which outlives it."""

SPEC = "/etc/photo-fleet/fleet.toml"
BALANCE_DATABASE = "/etc/photo-fleet/secrets/database-url"

BALANCE_DISCOVERY = "/etc/photo-fleet/secrets/discovery-token"
DISCOVERY_PORT = 80

OPENSTACK = "/etc/photo-fleet/openstack.env"
CREDENTIAL_FILE = "/etc/photo-fleet/secrets/openstack-secret"
ALARM_FILE = "/etc/photo-fleet/secrets/scale-in-token"
SCALE_IN_PLACE = "127.0.0.1:9711"
"""Where the receiver of alarms listens, behind TLS."""

BALANCER_USER = "photo-fleet"
"""nginx and `photo-fleet balance` share it, for they share a socket and a file."""

BALANCE_GROUP = "photo-fleet-secrets"
"""The group that may read the database's address: of `photo-fleet balance`, and not of nginx."""

LOG_SHIPPERS = (
    "rsyslog.service",
    "systemd-journal-upload.service",
    "fluent-bit.service",
    "vector.service",
    "alloy.service",
)
"""Units of these names, where there are any, take the last lines before they stop themselves."""

START_LIMIT = 90
"""Seconds until READY=1: the processes run then, whether or not the database is there yet."""

MEMBER_UNIT = "photo-api-member.service"
RETURN_WITHIN = START_LIMIT - 10
"""Seconds in which an instance that is ready has been put back, or its unit tries again."""

STOP_MARGIN = 10
"""Seconds beyond the longest request, at which nginx cuts what is left, that it gets to end."""

Section = list[str]

EDGE_CACHE = [f"CacheDirectory={BALANCER_USER}", "CacheDirectoryMode=0750"]


def instance_files(fleet: Fleet) -> dict[str, str]:
    """The units of an instance's machine: the service, and the worker that only runs jobs; and the
    group that reads their secrets."""
    service = fleet.service
    serve = (
        f"{PROGRAMS}/photo-api serve --host :: --port {service.port}"
        f" --workers {service.workers} --migrate"
    )
    return {
        **({MEMBER_UNIT: _member(fleet)} if fleet.leaves_by_itself else {}),
        "photo-api.service": _instance(fleet, "photo-api", "instance", serve, service.port),
        "photo-api-worker.service": _instance(
            fleet, "photo-api-worker", "worker (jobs only)", _worker(fleet.logs.file)
        ),
        "photo-api.sysusers.conf": f"g {SECRETS_GROUP} -\n",
    }


def balancer_files(fleet: Fleet, places: Places | None = None) -> dict[str, str]:
    """The units of an nginx host and the user that they share; nothing for a cloud's balancer."""
    if fleet.balancer.kind != "nginx":
        return {}
    where = places or Places()
    return {
        "photo-fleet-nginx.service": _nginx(fleet, where),
        "photo-fleet-balance.service": _balance(fleet, where),
        "photo-fleet.sysusers.conf": f'u {BALANCER_USER} - "Photo API balancer"\n'
        f"g {BALANCE_GROUP} -\n",
    }


def scale_in_files(fleet: Fleet) -> dict[str, str]:
    """The unit of the host that shrinks OpenStack's group; nothing for other groups."""
    if fleet.group.cloud != "openstack":
        return {}
    return {
        "photo-fleet-scale-in.service": _scale_in(),
        "photo-fleet-scale-in.sysusers.conf": f"g {BALANCE_GROUP} -\n",
    }


def notes(fleet: Fleet) -> list[str]:
    """What the hosts must have besides the units."""
    if fleet.group.cloud == "openstack":
        return [
            f"the host of photo-fleet-scale-in.service needs the spec as {SPEC}, OS_AUTH_URL,"
            f" OS_APPLICATION_CREDENTIAL_ID and OS_REGION_NAME in {OPENSTACK}, and in files that"
            f" the group {BALANCE_GROUP} may read the credential's secret ({CREDENTIAL_FILE}), the"
            f" registry's address ({BALANCE_DATABASE}; its role: `photo-fleet role`) and the"
            f" alarm's token ({ALARM_FILE}); before {SCALE_IN_PLACE} something that speaks TLS"
        ]
    if fleet.balancer.kind != "nginx":
        return []
    found = [
        f"each nginx host needs the spec as {SPEC}, the address of the registry's database in"
        f" {BALANCE_DATABASE} (its role: `photo-fleet role`; root:{BALANCE_GROUP}, 0640), and"
        " photo-fleet.sysusers.conf in /etc/sysusers.d (then `systemd-sysusers`)"
    ]
    if fleet.edge.on:
        found.append(
            "the edge refuses every URL until each nginx host has the secrets of cdn-keys:"
            f" `photo-fleet edge-keys --user {BALANCER_USER}` writes {Places().edge_keys} from them"
        )
    if fleet.balancer.tls.key:
        found.append(
            f"nginx runs as {BALANCER_USER} and reads {fleet.balancer.tls.key} at every reload:"
            " let that group read it, after each renewal too"
        )
    return found


def _nginx(fleet: Fleet, places: Places) -> str:
    program = f"{NGINX} -e {places.error_log} -c {places.prefix}/nginx.conf"
    service = [
        "Type=exec",
        "# What a killed nginx left would keep the new one from listening.",
        f"ExecStartPre=-/bin/rm -f {places.members_socket}",
        *_first_members(fleet, places),
        f"ExecStartPre={program} -t -q",
        f"ExecStart={program}",
        f"ExecReload={program} -t -q",
        "ExecReload=/bin/kill -HUP $MAINPID",
        *_shared_folders(),
        *(EDGE_CACHE if fleet.edge.on else []),
        "",
        "# Workers finish what they carry; QUIT means that to nginx, and TERM the opposite.",
        "KillMode=mixed",
        "KillSignal=SIGQUIT",
        f"TimeoutStopSec={limit(fleet.service.longest_request + STOP_MARGIN)}",
        "",
        *_restart(),
        "",
        *_balancer_user(),
        *sandbox(write_execute=fleet.balancer.membership == "lua", own_users=False, umask="0027"),
        *_capabilities(fleet.balancer.port, places.tls_port if fleet.balancer.tls.key else 0),
    ]
    description = _description(
        "Photo API balancer (nginx)",
        "Conflicts=nginx.service",
        "Wants=photo-fleet-balance.service",
        after=("nginx.service", "photo-fleet-balance.service"),
    )
    return _unit(description, service)


def _first_members(fleet: Fleet, places: Places) -> Section:
    if fleet.balancer.membership == "lua":
        return []
    include = places.members_include
    copy = f"test -e {include} || cp {places.prefix}/members.conf {include}"
    return ["# nginx does not start without it.", f"ExecStartPre=/bin/sh -c '{copy}'"]


def _balance(fleet: Fleet, places: Places) -> str:
    command = (
        f"{PROGRAMS}/photo-fleet balance {SPEC} --socket {places.members_socket}"
        f" --state {places.temp} --name %H"
    )
    tokens = []
    if fleet.metrics.discovery:
        address = "[::]" if fleet.balancer.ipv6 else "0.0.0.0"  # noqa: S104  (Prometheus is elsewhere)
        port = urlsplit(fleet.metrics.discovery).port or DISCOVERY_PORT
        command += f" --discovery {address}:{port}"
        tokens = [f"Environment=PHOTO_FLEET_DISCOVERY_TOKEN_FILE={BALANCE_DISCOVERY}"]
    service = [
        "Type=exec",
        f"ExecStart={command}",
        f"Environment=PHOTO_FLEET_DATABASE_URL_FILE={BALANCE_DATABASE}",
        *tokens,
        f"SupplementaryGroups={BALANCE_GROUP}",
        *_shared_folders(),
        "",
        "KillMode=mixed",
        "TimeoutStopSec=15",
        "",
        *_restart("# 2: it cannot be used as it is configured.", "2"),
        "",
        *_balancer_user(),
        *sandbox(write_execute=False, own_users=False, umask="0027"),
        *_capabilities(),
    ]
    description = _description(
        "Photo API membership of the balancer",
        "# It starts before nginx and so stops after it: as long as nginx may send to an instance,",
        "# a draining one waits for this balancer's word.",
        "Before=photo-fleet-nginx.service",
    )
    return _unit(description, service)


def _scale_in() -> str:
    service = [
        "Type=exec",
        f"ExecStart={PROGRAMS}/photo-fleet group scale-in {SPEC} --listen {SCALE_IN_PLACE}",
        f"EnvironmentFile={OPENSTACK}",
        f"Environment=OS_APPLICATION_CREDENTIAL_SECRET_FILE={CREDENTIAL_FILE}",
        f"Environment=PHOTO_FLEET_DATABASE_URL_FILE={BALANCE_DATABASE}",
        f"Environment=PHOTO_FLEET_SCALE_IN_TOKEN_FILE={ALARM_FILE}",
        f"SupplementaryGroups={BALANCE_GROUP}",
        "",
        "# What is under way stands in the cloud, and is finished after the next start.",
        "TimeoutStopSec=15",
        "",
        *_restart("# 2: it cannot be used as it is configured.", "2"),
        "",
        "DynamicUser=yes",
        *sandbox(write_execute=False, own_users=True, umask="0077"),
        *_capabilities(),
    ]
    return _unit(_description("Photo API scale-in of OpenStack's group"), service)


def _shared_folders() -> Section:
    """/run is kept when only one of the two units stops."""
    return [
        f"RuntimeDirectory={BALANCER_USER}",
        "RuntimeDirectoryMode=0750",
        "RuntimeDirectoryPreserve=yes",
        f"StateDirectory={BALANCER_USER}",
        "StateDirectoryMode=0750",
        f"LogsDirectory={BALANCER_USER}",
        "LogsDirectoryMode=0750",
    ]


def _balancer_user() -> Section:
    return [f"User={BALANCER_USER}", f"Group={BALANCER_USER}"]


def _instance(fleet: Fleet, name: str, what: str, command: str, port: int = 0) -> str:
    """One unit of the serving plane. Its user exists only while it runs, and no file of the
    machine belongs to it."""
    drain = fleet.drain
    service = [
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={command}",
        *_leaving(fleet, port),
        "# The workers are replaced one by one.",
        "ExecReload=/bin/kill -HUP $MAINPID",
        f"EnvironmentFile={ENVIRONMENT}",
        f"EnvironmentFile=-{SITE}",
        "# The files themselves: of credentials that systemd loads, it would see no change.",
        *(f"Environment={name}={path}" for name, path in paths(secrets(fleet), SECRETS).items()),
        f"SupplementaryGroups={SECRETS_GROUP}",
        f"RuntimeDirectory={name}",
        "RuntimeDirectoryMode=0700",
        f"LogsDirectory={name}",
        "LogsDirectoryMode=0700",
        "",
        "# The first process alone hears SIGTERM and ends the others when their requests are done:",
        f"# lame duck {limit(drain.lame_duck)} s, requests in flight"
        f" {limit(drain.in_flight_wait)} s, log flush {limit(drain.log_flush)} s.",
        "KillMode=mixed",
        "KillSignal=SIGTERM",
        f"TimeoutStopSec={limit(drain.grace)}",
        "",
        *_restart("# 2: the configuration cannot be used, and a restart does not mend that.", "2"),
        "# A decoder that the kernel kills for its memory is replaced; the instance goes on.",
        "OOMPolicy=continue",
        "",
        "DynamicUser=yes",
        *sandbox(write_execute=False, umask="0077", own_users=not _is_privileged(port)),
        *_capabilities(port),
    ]
    returns = [f"Wants={MEMBER_UNIT}"] if fleet.leaves_by_itself and port else []
    return _unit(_description(f"Photo API {what}", *returns), service)


def _leaving(fleet: Fleet, port: int) -> Section:
    """systemd.service(5): ExecStop= has ended before the main process hears SIGTERM, has a
    TimeoutStopSec of its own, and is not run when that process has died."""
    if not fleet.leaves_by_itself or not port:
        return []
    return [
        "# Before SIGTERM: nobody else tells the load balancer. Where it cannot be told, the drain",
        "# goes on, and health checks find out.",
        f"ExecStop=-/usr/bin/timeout -s KILL {limit(LEAVES_WITHIN)} /usr/bin/env"
        f" {_member_password()} {PROGRAMS}/photo-api member out --port {port}"
        f" --within {limit(LEAVES_WITHIN - STARTS_IN)}",
    ]


def _member(fleet: Fleet) -> str:
    """What puts an instance back that had left the load balancer, as before a reboot. It leaves by
    the instance's own unit, which knows an end from a crash."""
    port = fleet.service.port
    service = [
        "Type=oneshot",
        "RemainAfterExit=yes",
        f"ExecStart={PROGRAMS}/photo-api member in --port {port} --within {RETURN_WITHIN}",
        f"EnvironmentFile={ENVIRONMENT}",
        f"EnvironmentFile=-{SITE}",
        f"Environment={_member_password()}",
        f"SupplementaryGroups={SECRETS_GROUP}",
        "",
        f"TimeoutStartSec={START_LIMIT}",
        "# An instance that is out serves nobody: again for as long as it takes.",
        "Restart=on-failure",
        "RestartSec=15",
        "# 2: the configuration cannot be used.",
        "RestartPreventExitStatus=2",
        "",
        "DynamicUser=yes",
        *sandbox(write_execute=False, umask="0077", own_users=True),
        *_capabilities(),
    ]
    description = _description(
        "Photo API member of the load balancer",
        "# It ends before the instance does, so that none that leaves is put back.",
        "BindsTo=photo-api.service",
        after=("photo-api.service",),
    )
    return _unit(description, service, install=False)


def _member_password() -> str:
    [variable] = paths([MEMBER], SECRETS).items()
    return "=".join(variable)


def _worker(file: str) -> str:
    """Its command. It may not write where instances do, though the two share their settings."""
    command = f"{PROGRAMS}/photo-api worker"
    if not file.startswith(f"{LOGS}/"):
        return command
    own = file.replace(LOGS, f"{LOGS}-worker", 1)
    return f"/usr/bin/env PHOTO_API_LOG_SINK={own} {command}"


def _restart(reason: str = "", *never: str) -> Section:
    return [
        f"TimeoutStartSec={START_LIMIT}",
        "Restart=on-failure",
        "RestartSec=5",
        *([reason, f"RestartPreventExitStatus={' '.join(never)}"] if never else []),
    ]


def _is_privileged(port: int) -> bool:
    return 0 < port < 1024


def _capabilities(*ports: int) -> Section:
    """A port below 1024 needs a capability, which counts only outside a user namespace."""
    if not any(_is_privileged(port) for port in ports):
        return ["CapabilityBoundingSet="]
    return [
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
    ]


def _description(text: str, *more: str, after: tuple[str, ...] = ()) -> Section:
    return [
        f"Description={text}",
        *more,
        "Wants=network-online.target",
        "After=network-online.target nss-lookup.target systemd-journald.socket",
        "# Log shippers stop later than what they ship.",
        f"After={' '.join(LOG_SHIPPERS)}",
        *([f"After={' '.join(after)}"] if after else []),
        "# Tries again for as long as it takes.",
        "StartLimitIntervalSec=0",
    ]


def _unit(description: Section, service: Section, *, install: bool = True) -> str:
    sections = [
        ["# Rendered from the fleet spec: change it there, or by a drop-in (systemctl edit)."],
        ["[Unit]", *description],
        ["[Service]", *service],
        *([["[Install]", "WantedBy=multi-user.target"]] if install else []),
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"
