"""Settings of one instance: its life, its machine, its logs and traces."""

from dataclasses import dataclass
from typing import Literal

from photo_base.environment import (
    choice,
    collector,
    integer,
    number,
    optional_authorities,
    optional_collector,
    optional_url,
    setting,
    several,
)


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    instance_ip: str = setting(
        "INSTANCE_IP",
        "the instance's name in answers and logs; empty: the address that the cloud's metadata or"
        " else the default route gives",
        default="",
    )
    node_name: str = setting(
        "NODE_NAME", "the machine's name in the registry; empty: its host name", default=""
    )
    region: str = setting(
        "REGION", "where the machine stands; empty: what the cloud's metadata says", default=""
    )
    ops_token: str = setting(
        "OPS_TOKEN",
        "bearer token with which `/health/detailed` shows the configuration; empty: never",
        default="",
        secret=True,
    )
    metrics_access: str = setting(
        "METRICS_ACCESS",
        "who may read `/metrics`: whoever reaches the instance (`network`), or, behind a balancer"
        " that passes every path on, whoever has `PHOTO_API_OPS_TOKEN` (`token`)",
        default="network",
        parse=choice("network", "token"),
    )
    pushgateway: str = setting(
        "PUSHGATEWAY",
        "address of a Pushgateway that gets the metrics, where Prometheus cannot reach instances;"
        " empty: none",
        default="",
        parse=optional_collector,
    )
    pushgateway_auth: str = setting(
        "PUSHGATEWAY_AUTH",
        "bearer token for it, or `user:password`; empty: none",
        default="",
        secret=True,
    )
    pushgateway_authorities: str = setting(
        "PUSHGATEWAY_CA_FILE",
        "PEM file of the authorities whose certificate it may have besides those that the system"
        " believes; read at the start",
        default="",
        parse=optional_authorities,
    )
    push_interval: float = setting(
        "PUSH_INTERVAL",
        "seconds between two pushes",
        default="15",
        parse=number(0.1, 86_400),
    )
    lame_duck: float = setting(
        "LAME_DUCK",
        "seconds of serving on after readiness has failed, until balancers have noticed",
        default="15",
        parse=number(0, 600),
    )
    drain_wait: float = setting(
        "DRAIN_WAIT",
        "seconds that requests in flight get to finish",
        default="30",
        parse=number(0, 600),
    )
    log_flush: float = setting(
        "LOG_FLUSH",
        "seconds that queued log lines get to be written at the end",
        default="5",
        parse=number(0, 600),
    )
    grace: float = setting(
        "GRACE",
        "seconds from the stop order to the kill: systemd's TimeoutStopSec, or the platform's;"
        " LAME_DUCK + DRAIN_WAIT + LOG_FLUSH + 4 must fit",
        default="60",
        parse=number(1, 3600),
    )
    health_checks: tuple[str, ...] = setting(
        "HEALTH_CHECKS",
        "checks that decide `/health`: `database`, or `database,storage`",
        default="database",
        parse=several("database", "storage"),
    )
    run_dir: str = setting(
        "RUN_DIR",
        "folder of the sockets by which `photo-api drain` reaches the instances of this machine;"
        " empty: systemd's RUNTIME_DIRECTORY, else a folder of the user's own",
        default="",
    )


@dataclass(frozen=True, slots=True)
class CloudSettings:
    metadata_url: str = setting(
        "METADATA_URL",
        "the cloud's metadata service (IMDSv2, OpenStack), for the name, the region, the instance"
        " role and termination notices; empty: none is asked",
        default="http://169.254.169.254",
        parse=optional_url,
    )
    metadata_timeout: float = setting(
        "METADATA_TIMEOUT",
        "seconds in which it must answer at start, or counts as absent",
        default="0.5",
        parse=number(0.05, 10),
    )
    notice_interval: float = setting(
        "NOTICE_INTERVAL",
        "seconds between looks for a termination notice, where there is AWS metadata",
        default="5",
        parse=number(0.1, 60),
    )
    autoscaling_group: str = setting(
        "AUTOSCALING_GROUP",
        "the AWS Auto Scaling group that ends this machine: from its target groups the instance is"
        " deregistered as the drain begins, and its termination hook is completed after it; the"
        " instance role needs `autoscaling:RecordLifecycleActionHeartbeat` and"
        " `autoscaling:CompleteLifecycleAction` on the group's ARN,"
        " `autoscaling:DescribeLoadBalancerTargetGroups` on `*`, and"
        " `elasticloadbalancing:DeregisterTargets` on the ARNs of the target groups; empty: none",
        default="",
    )
    lifecycle_hook: str = setting("LIFECYCLE_HOOK", "the name of that termination hook", default="")
    lifecycle_heartbeat: float = setting(
        "LIFECYCLE_HEARTBEAT",
        "seconds of that hook's heartbeat timeout, or fewer: it is extended at each third of them"
        " for as long as the drain lasts, up to `PHOTO_API_GRACE`",
        default="30",
        parse=number(3, 7200),
    )
    autoscaling_url: str = setting(
        "AUTOSCALING_URL",
        "the Auto Scaling API; empty: that of the region",
        default="",
        parse=optional_url,
    )
    load_balancing_url: str = setting(
        "LOAD_BALANCING_URL",
        "the Elastic Load Balancing API; empty: that of the region",
        default="",
        parse=optional_url,
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    format: Literal["json", "text"] = setting(
        "LOG_FORMAT",
        "`json` for machines or `text` for people",
        default="json",
        parse=choice("json", "text"),
    )
    level: str = setting(
        "LOG_LEVEL",
        "least level that is logged; access lines are INFO",
        default="INFO",
        parse=choice("DEBUG", "INFO", "WARNING", "ERROR"),
    )
    sink: str = setting(
        "LOG_SINK",
        "file that gets every log line besides standard error, by way of a queue; empty: none",
        default="",
    )
    queue: int = setting(
        "LOG_QUEUE",
        "lines that may wait for each sink per process; when it is full, the oldest go",
        default="10000",
        parse=integer(10, 10_000_000),
    )
    loki_url: str = setting(
        "LOG_LOKI_URL",
        "Loki that gets every line, `http://loki:3100`; empty: none",
        default="",
        parse=optional_collector,
    )
    loki_auth: str = setting(
        "LOG_LOKI_AUTH",
        "bearer token for it, or `user:password`; empty: none",
        default="",
        secret=True,
    )
    loki_tenant: str = setting(
        "LOG_LOKI_TENANT", "its tenant (`X-Scope-OrgID`); empty: none", default=""
    )
    otlp_url: str = setting(
        "LOG_OTLP_URL",
        "collector that gets every line by OTLP/HTTP in JSON, `http://collector:4318`; empty: none",
        default="",
        parse=optional_collector,
    )
    otlp_auth: str = setting(
        "LOG_OTLP_AUTH",
        "bearer token for it, or `user:password`; empty: none",
        default="",
        secret=True,
    )
    nhn_app_key: str = setting(
        "LOG_NHN_APP_KEY",
        "app key of NHN Cloud Log & Crash Search, which gets every line; empty: it gets none",
        default="",
        secret=True,
    )
    nhn_url: str = setting(
        "LOG_NHN_URL",
        "where its lines are collected",
        default="https://api-logncrash.nhncloudservice.com",
        parse=collector,
    )
    authorities: str = setting(
        "LOG_CA_FILE",
        "PEM file of the authorities whose certificates these may have besides those that the"
        " system believes; read at the start",
        default="",
        parse=optional_authorities,
    )
    timeout: float = setting(
        "LOG_TIMEOUT",
        "seconds in which one of these must have taken a batch of lines; then it is sent again",
        default="10",
        parse=number(0.5, 60),
    )
    trace_url: str = setting(
        "TRACE_OTLP_URL",
        "collector that gets the spans of sampled requests by OTLP/HTTP in JSON,"
        " `http://collector:4318`; empty: nothing is sampled",
        default="",
        parse=optional_collector,
    )
    trace_auth: str = setting(
        "TRACE_OTLP_AUTH",
        "bearer token for it, or `user:password`; empty: none",
        default="",
        secret=True,
    )
    trace_ratio: float = setting(
        "TRACE_RATIO",
        "share of the requests without a `traceparent` that are sampled, 0 to 1",
        default="0",
        parse=number(0, 1),
    )
    trace_strangers: float = setting(
        "TRACE_STRANGERS",
        "requests a second that each web worker samples because their `traceparent` says so",
        default="1",
        parse=number(0, 10_000),
    )
    trace_store: Literal["on", "off"] = setting(
        "TRACE_STORE",
        "whether store calls of sampled requests carry `traceparent`, which their signature covers:"
        " `off` where a proxy before the store changes it",
        default="on",
        parse=choice("on", "off"),
    )
    trace_queue: int = setting(
        "TRACE_QUEUE",
        "spans that may wait for the collector per process; when it is full, the oldest go",
        default="5000",
        parse=integer(100, 1_000_000),
    )
