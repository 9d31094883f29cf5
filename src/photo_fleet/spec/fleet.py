"""The fleet as one spec: every number that an nginx file, a unit file, an alert or a console would
otherwise repeat.

Times are in seconds, sizes in bytes, rates in requests a second; `fleet.example.toml` explains each
field, and `loading` reads a file into these. An annotation says what a file may hold there.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from photo_api.contract import DEFAULT_PORT, HEALTH_PATH, LIVE_PATH, UPLOAD_MEMORY
from photo_fleet.spec.cdn import Cdn
from photo_fleet.spec.edge import Edge
from photo_fleet.spec.kinds import (
    HOST,
    Address,
    Count,
    Duration,
    Location,
    Networks,
    Origins,
    Percent,
    Range,
    Rate,
    Size,
    Text,
    Threshold,
)
from photo_fleet.spec.nhn import Nhn
from photo_fleet.spec.store import Store

DISCOVERY_PATH = "/targets"
"""Where `photo-fleet balance` tells Prometheus its targets."""

BALANCER_METRICS_PATH = "/metrics"
"""Where it tells of itself, at the same place."""

Name = Annotated[str, Text("[a-z0-9][a-z0-9-]{0,62}", "photo-api")]
Path = Annotated[str, Text("/[A-Za-z0-9/_.~-]*", "/health")]
File = Annotated[str, Text("/[A-Za-z0-9/_.+-]+", "/etc/ssl/photos.pem")]
OptionalFile = Annotated[str, Text("(/[A-Za-z0-9/_.+-]+)?", "/etc/ssl/photos.pem")]
Collector = Annotated[
    str,
    Location(
        rf"({HOST}(/[A-Za-z0-9/_.-]*)?)?",
        "http://10.0.0.7:3100",
    ),
]
Tenant = Annotated[str, Text("[A-Za-z0-9!_.*'()-]{0,150}", "photos")]
"""As Loki allows it."""
ServerName = Annotated[str, Text("[A-Za-z0-9._*-]+( [A-Za-z0-9._*-]+)*", "photos.example.org")]
Bucket = Annotated[str, Text("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "photos")]
Region = Annotated[str, Text("[a-z0-9][a-z0-9-]*", "us-east-1")]
CloudRegion = Annotated[str, Text("[A-Za-z0-9-]{0,63}", "ap-northeast-2")]
Package = Annotated[
    str,
    Text(
        r"/[A-Za-z0-9/_.+-]+\.(txt|whl)|https://[A-Za-z0-9/_.:+%-]+\.whl#sha256=[0-9a-f]{64}",
        "/etc/photo-api/requirements.txt",
        "name a file of the machine's image (requirements with hashes, or a wheel) or the address"
        " of a wheel with its #sha256=…, since anybody may take a mere name on the public index",
    ),
]
Loopback = Annotated[str, Text(r"127(\.[0-9]{1,3}){3}", "127.0.1.1")]

Port = Annotated[int, Count(1, 65_535)]
Instances = Annotated[int, Count(1, 10_000)]
Connections = Annotated[int, Count(0, 100_000)]
Attempts = Annotated[int, Count(1, 100)]

Share = Annotated[float, Percent(95, 99.999)]
"""Below 95 % an alert on 14.4 times the budget could hardly fire."""

Within = Literal["100ms", "250ms", "500ms", "1s", "2500ms", "5s", "10s"]
"""Edges of the service's histogram of durations: nothing between them can be told."""

Wait = Annotated[float, Duration(0, 600)]
"""A part of an instance's end, as far as the service itself allows."""

Grace = Annotated[float, Duration(1, 3600)]
Timeout = Annotated[float, Duration(0.1, 3600)]
IdleTime = Annotated[float, Duration(1, 3600, whole=True)]
Interval = Annotated[float, Duration(0.1, 86_400)]
Window = Annotated[float, Duration(0, 86_400)]


@dataclass(frozen=True, slots=True)
class Service:
    """One instance: what it is started with."""

    port: Port = DEFAULT_PORT
    workers: Annotated[int, Count(1, 64)] = 1
    longest_request: Timeout = 30
    keep_alive: IdleTime = 75
    pool: Annotated[int, Count(1, 500)] = 10
    job_concurrency: Annotated[int, Count(1, 64)] = 1
    upload_memory: Annotated[int, Size(16 * 1024**2, 2**40)] = UPLOAD_MEMORY
    """Bytes that a worker holds of uploads through it."""
    public_url: Address = ""
    """Address under which people reach the service; empty: set on the machine."""
    cors_origins: Annotated[tuple[str, ...], Origins()] = ()
    """Of web front ends elsewhere; the balancer answers their preflights."""
    store: Address = ""
    """The object store's address as an instance reaches it; empty: the balancer's `store`."""
    store_ca: OptionalFile = ""
    """PEM file on each machine: authorities that the store may have besides the system's."""
    store_region: Region = "us-east-1"
    store_credentials: Literal["keys", "role"] = "keys"
    """`keys`: an access key and its secret; `role`: those of the machine's role in the cloud."""
    package: Package = "/etc/photo-api/requirements.txt"
    """What pip installs on a new machine: a requirements file (`*.txt`) with hashes or a wheel that
    its image brings, or a wheel's address with its hash (`https://….whl#sha256=…`)."""
    secrets_hook: File = "/usr/local/sbin/photo-api-secrets"
    """Program of the machine's image that fetches the secrets into the folder that it is given."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a balancer looks at an instance: `unhealthy` failures in a row take it out, `healthy`
    successes bring it in."""

    path: Path = HEALTH_PATH
    interval: Interval = 30
    timeout: Timeout = 5
    healthy: Attempts = 2
    unhealthy: Attempts = 3

    @property
    def slowest_removal(self) -> float:
        """Seconds until the last balancer that only looks at health, and at suspects no sooner
        than at others, sends nothing more: the interval before the first failing probe, those
        between the failures, and a probe that hangs."""
        return self.unhealthy * self.interval + self.timeout


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests a second per client address, how many may come at once beyond that, and how many
    more then wait for their turn, before others are refused."""

    rate: Annotated[float, Rate(0.01, 100_000)]
    burst: Annotated[int, Count(0, 100_000)]
    queue: Annotated[int, Count(0, 100_000)] = 0


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Per client address, by what is asked for; no class uses up another's."""

    read: RateLimit = RateLimit(100, 1000, 32)
    edit: RateLimit = RateLimit(50, 1000, 32)
    image: RateLimit = RateLimit(200, 2000, 32)
    upload: RateLimit = RateLimit(50, 2000, 32)
    share: RateLimit = RateLimit(20, 100, 32)
    auth: RateLimit = RateLimit(5, 20)
    cdn: RateLimit = RateLimit(400, 4000, 32)


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files on the balancer's host; empty: plain HTTP."""

    certificate: OptionalFile = ""
    key: OptionalFile = ""


@dataclass(frozen=True, slots=True)
class Balancer:
    """What stands in front. `cloud` is one that we do not render; its numbers still count."""

    kind: Literal["nginx", "cloud"] = "nginx"
    membership: Literal["lua", "reload"] = "lua"
    algorithm: Literal["round-robin", "least-connections"] = "round-robin"
    port: Port = 80
    ipv6: bool = True
    """Whether nginx listens on IPv6 too, which a kernel without it refuses."""
    server_name: ServerName = "_"
    keep_alive: IdleTime = 60
    client_keep_alive: IdleTime = 75
    connect_timeout: Timeout = 3
    send_timeout: Timeout = 30
    read_timeout: Timeout = 30
    upload_limit: Annotated[int, Size(1, 5 * 1024**3)] = 60 * 1024 * 1024
    buffer_uploads: bool = True
    trusted_hops: Annotated[tuple[str, ...], Networks()] = ()
    networks: Annotated[tuple[str, ...], Networks()] = ()
    """Networks from which balancers speak to instances; only their X-Forwarded-For is trusted."""
    store: Address = ""
    """The object store's address as the balancer's host reaches it; empty: not passed through."""
    store_ca: File = "/etc/ssl/certs/ca-certificates.crt"
    """PEM file on the balancer's host: the authorities that an `https://` store may have."""
    bucket: Bucket = "photos"
    tls: Tls = Tls()
    rate_limits: RateLimits = RateLimits()


@dataclass(frozen=True, slots=True)
class Drain:
    """How an instance leaves. `kill_delay` is what the platform waits between its stop order and
    its kill."""

    removal: Literal["deregister-first", "health-only"] = "deregister-first"
    lame_duck: Wait = 15
    in_flight_wait: Wait = 30
    log_flush: Wait = 5
    grace: Grace = 60
    kill_delay: Grace = 90


@dataclass(frozen=True, slots=True)
class Policy:
    """One rule of the group: when `metric`, averaged over the group, is beyond the threshold for
    all of `duration`, change the number of instances by `step`."""

    metric: Literal["cpu", "in_flight", "queue_age"]
    threshold: Annotated[float, Threshold()]
    duration: Window
    step: Annotated[int, Count(-100, 100, zero=False)]
    cooldown: Window
    """Seconds after any change of size in which this rule does nothing."""

    @property
    def is_scale_out(self) -> bool:
        """Above its threshold this rule adds; below it, it removes."""
        return self.step > 0


Cloud = Literal["none", "aws", "openstack", "nhn"]


@dataclass(frozen=True, slots=True)
class Local:
    """The driver that runs instances as processes of one machine."""

    cores_per_instance: Annotated[float, Range(0.01, 1024)] = 1.0
    base_address: Loopback = "127.0.1.1"


@dataclass(frozen=True, slots=True)
class Group:
    """The autoscaling group. `replace_on` is the path whose failure has an instance replaced."""

    min: Instances = 2
    max: Instances = 10
    desired: Instances = 3
    replace_on: Path = LIVE_PATH
    warm_up: Window = 60
    policies: tuple[Policy, ...] = (
        Policy("cpu", 70, 300, +1, 300),
        Policy("cpu", 30, 600, -1, 300),
    )
    cloud: Cloud = "none"
    """Whose engine scales, behind that cloud's own balancer; `none`: nobody's that we render."""
    nhn: Nhn = Nhn()
    local: Local = Local()


@dataclass(frozen=True, slots=True)
class Database:
    """The limits that all instances share."""

    max_connections: Connections = 200
    reserved: Connections = 10
    pooler: Literal["none", "transaction"] = "none"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where instances are scraped, or where they push their metrics to."""

    path: Path = "/metrics"
    interval: Interval = 15
    discovery: Address = ""
    """Where Prometheus asks an nginx host's `photo-fleet balance` for its targets; empty: not."""
    cloud: Literal["none", "ec2", "openstack"] = "none"
    """Whose interface tells the targets behind a cloud's balancer; `none`: files."""
    cloud_region: CloudRegion = ""
    pushgateway: Address = ""
    """Address of a Pushgateway as an instance reaches it, where Prometheus reaches none; empty:
    instances are scraped."""
    pushgateway_auth: Literal["none", "basic", "bearer"] = "none"
    """What it wants of an instance and of Prometheus: a password of the user `photo-api`, or a
    token."""
    pushgateway_ca: OptionalFile = ""
    """PEM file on each machine: authorities that it may have besides the system's."""
    alertmanager: Address = ""
    """Where Prometheus sends its alerts; empty: it only shows them."""


@dataclass(frozen=True, slots=True)
class Objectives:
    """What 30 days are held to: percentages of reads and writes that do not fail, and of those that
    are answered within a bound. `least_missed`: fewer bad requests than these wake nobody."""

    reads: Share = 99.9
    writes: Share = 99.9
    fast_reads: Share = 99.0
    read_within: Within = "250ms"
    fast_writes: Share = 99.0
    write_within: Within = "1s"
    least_missed: Annotated[int, Count(1, 100_000)] = 5
    oldest_key: Annotated[int, Count(0, 10_000)] = 400
    """Days after which a key that signs is due; 0: nobody is reminded."""
    certificate_left: Annotated[int, Count(4, 365)] = 14
    """Days before a certificate's end at which somebody is reminded."""


@dataclass(frozen=True, slots=True)
class Logs:
    """Where lines go besides the journal. An address that wants a secret says so: its file is one
    of the instance's."""

    file: OptionalFile = ""
    loki: Collector = ""
    loki_tenant: Tenant = ""
    loki_auth: bool = False
    otlp: Collector = ""
    otlp_auth: bool = False
    nhn: bool = False
    ca: OptionalFile = ""


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where spans of sampled requests go, and how many requests are sampled: a share of those that
    come without a `traceparent`, and so many whose caller wants it, on each instance."""

    otlp: Collector = ""
    otlp_auth: bool = False
    sampled: Annotated[float, Percent(0, 100)] = 0
    strangers: Annotated[float, Rate(0, 10_000)] = 1
    store: bool = True


@dataclass(frozen=True, slots=True)
class Fleet:
    """The whole spec."""

    name: Name = "photo-api"
    service: Service = field(default_factory=Service)
    store: Store = field(default_factory=Store)
    cdn: Cdn = field(default_factory=Cdn)
    health_check: HealthCheck = field(default_factory=HealthCheck)
    balancer: Balancer = field(default_factory=Balancer)
    edge: Edge = field(default_factory=Edge)
    drain: Drain = field(default_factory=Drain)
    group: Group = field(default_factory=Group)
    database: Database = field(default_factory=Database)
    metrics: Metrics = field(default_factory=Metrics)
    objectives: Objectives = field(default_factory=Objectives)
    logs: Logs = field(default_factory=Logs)
    tracing: Tracing = field(default_factory=Tracing)

    @property
    def leaves_by_itself(self) -> bool:
        """Whether an instance takes itself out of the balancer before its end, for nobody else
        does."""
        return self.group.cloud == "nhn" and self.drain.removal == "deregister-first"
