"""The fleet as one spec: every number that an nginx file, a unit file, an alert or a console would
otherwise repeat.

Times are in seconds, sizes in bytes, rates in requests a second; `fleet.example.toml` explains each
field, and `loading` reads a file into these.
"""

from dataclasses import dataclass, field
from typing import Literal

from photo_api.contract import DEFAULT_PORT, HEALTH_PATH, LIVE_PATH


@dataclass(frozen=True, slots=True)
class Service:
    """One instance: what it is started with."""

    port: int = DEFAULT_PORT
    workers: int = 1
    longest_request: float = 30
    keep_alive: float = 75
    pool: int = 10
    job_concurrency: int = 1
    public_url: str = ""
    """Address under which people reach the service; empty: set on the machine."""
    store: str = ""
    """The object store's address as an instance reaches it; empty: the balancer's `store`."""
    store_region: str = "us-east-1"
    store_credentials: Literal["keys", "role"] = "keys"
    """`keys`: an access key and its secret; `role`: those of the machine's role in the cloud."""
    package: str = "photo-api"
    """What pip installs on a new machine: a requirement, a wheel's path or address, or the path of
    a requirements file (`*.txt`) with hashes."""
    secrets_hook: str = "/usr/local/sbin/photo-api-secrets"
    """Program of the machine's image that fetches the secrets into the folder that it is given."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a balancer looks at an instance: `unhealthy` failures in a row take it out, `healthy`
    successes bring it in."""

    path: str = HEALTH_PATH
    interval: float = 30
    timeout: float = 5
    healthy: int = 2
    unhealthy: int = 3

    @property
    def slowest_removal(self) -> float:
        """Seconds until the last balancer that only looks at health sends nothing more: the
        interval before the first failing probe, those between the failures, and a probe that
        hangs."""
        return self.unhealthy * self.interval + self.timeout


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests a second per client address, and how many may come at once beyond that."""

    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Per client address, by what is asked for."""

    general: RateLimit = RateLimit(50, 100)
    auth: RateLimit = RateLimit(5, 20)
    image: RateLimit = RateLimit(100, 200)
    share: RateLimit = RateLimit(20, 40)


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files on the balancer's host; empty: plain HTTP."""

    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Balancer:
    """What stands in front. `cloud` is one that we do not render; its numbers still count."""

    kind: Literal["nginx", "cloud"] = "nginx"
    membership: Literal["lua", "reload"] = "lua"
    algorithm: Literal["round-robin", "least-connections"] = "round-robin"
    port: int = 80
    server_name: str = "_"
    keep_alive: float = 60
    client_keep_alive: float = 75
    connect_timeout: float = 3
    send_timeout: float = 30
    read_timeout: float = 30
    upload_limit: int = 60 * 1024 * 1024
    buffer_uploads: bool = True
    trusted_hops: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    """Networks from which balancers speak to instances; only their X-Forwarded-For is believed."""
    store: str = ""
    """The object store's address as the balancer's host reaches it; empty: not passed through."""
    bucket: str = "photos"
    tls: Tls = Tls()
    rate_limits: RateLimits = RateLimits()


@dataclass(frozen=True, slots=True)
class Drain:
    """How an instance leaves. `kill_delay` is what the platform waits between its stop order and
    its kill."""

    removal: Literal["deregister-first", "health-only"] = "deregister-first"
    lame_duck: float = 15
    in_flight_wait: float = 30
    log_flush: float = 5
    grace: float = 60
    kill_delay: float = 90


@dataclass(frozen=True, slots=True)
class Policy:
    """One rule of the group: when `metric`, averaged over the group, is beyond the threshold for
    all of `duration`, change the number of instances by `step`."""

    metric: Literal["cpu", "in_flight", "queue_age"]
    threshold: float
    duration: float
    step: int
    cooldown: float
    """Seconds after any change of size in which this rule does nothing."""

    @property
    def is_scale_out(self) -> bool:
        """Above its threshold this rule adds; below it, it removes."""
        return self.step > 0


@dataclass(frozen=True, slots=True)
class Local:
    """The driver that runs instances as processes of one machine."""

    cores_per_instance: float = 1.0
    base_address: str = "127.0.1.1"


@dataclass(frozen=True, slots=True)
class Group:
    """The autoscaling group. `replace_on` is the path whose failure has an instance replaced."""

    min: int = 2
    max: int = 10
    desired: int = 3
    replace_on: str = LIVE_PATH
    warm_up: float = 60
    policies: tuple[Policy, ...] = (
        Policy("cpu", 70, 300, +1, 300),
        Policy("cpu", 30, 600, -1, 300),
    )
    local: Local = Local()


@dataclass(frozen=True, slots=True)
class Database:
    """The limits that all instances share."""

    max_connections: int = 100
    reserved: int = 10
    pooler: Literal["none", "transaction"] = "none"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where instances are scraped."""

    path: str = "/metrics"
    interval: float = 15


@dataclass(frozen=True, slots=True)
class Fleet:
    """The whole spec."""

    name: str = "photo-api"
    service: Service = field(default_factory=Service)
    health_check: HealthCheck = field(default_factory=HealthCheck)
    balancer: Balancer = field(default_factory=Balancer)
    drain: Drain = field(default_factory=Drain)
    group: Group = field(default_factory=Group)
    database: Database = field(default_factory=Database)
    metrics: Metrics = field(default_factory=Metrics)
