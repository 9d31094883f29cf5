"""What follows where AWS differs from the template. Pure."""

from typing import Final

from photo_fleet.drift.reading import (
    ALARM,
    ASSOCIATION,
    BALANCER,
    FIREWALL,
    GROUP,
    HOOK,
    LAUNCH_TEMPLATE,
    LISTENER,
    POLICY,
    RULE,
    SCHEDULE,
    TARGET_GROUP,
)

KINDS: Final = {
    GROUP: "group",
    LAUNCH_TEMPLATE: "launch-template",
    HOOK: "hook",
    POLICY: "policy",
    SCHEDULE: "schedule",
    ALARM: "alarm",
    TARGET_GROUP: "target-group",
    BALANCER: "load-balancer",
    LISTENER: "listener",
    RULE: "rule",
    FIREWALL: "firewall",
    ASSOCIATION: "firewall-association",
}
"""As findings and people call them."""

_BY_PATH: Final = (
    (GROUP, "MinSize", "fewer instances may be left than bear the load, or more are paid for"),
    (GROUP, "MaxSize", "the group stops growing too early, or outgrows database.max_connections"),
    (
        GROUP,
        "HealthCheckType",
        "with ELB an outage of the database has the whole group replaced, over and over",
    ),
    (
        GROUP,
        "HealthCheckGracePeriod",
        "instances are replaced before they have started, or sick ones too late",
    ),
    (
        GROUP,
        "DefaultInstanceWarmup",
        "newcomers count in the average too early or too late: the group grows twice, or flaps",
    ),
    (GROUP, "TerminationPolicies", "a scale-in takes another instance than the spec says"),
    (GROUP, "NewInstancesProtected", "the group cannot shrink: no instance may be taken"),
    (
        GROUP,
        "InstanceMaintenancePolicy",
        "a replacement takes away more instances at once than the rest can stand in for",
    ),
    (
        GROUP,
        "InstanceLifecyclePolicy",
        "an instance whose hook was abandoned is ended with its requests",
    ),
    (
        GROUP,
        "SuspendedProcesses",
        "the group does not do what these processes do: it may neither grow nor replace what died",
    ),
    (GROUP, "LaunchTemplate", "the next instance is started by another version"),
    (GROUP, "Tags", "who finds the machines by their tags, as Prometheus does, misses them"),
    (GROUP, "TargetGroupARNs", "the group's instances get no requests from the balancer"),
    (
        LAUNCH_TEMPLATE,
        "LaunchTemplateData.MetadataOptions",
        "a request that an instance is tricked into reaches the credentials of its role, or the"
        " instance does not reach its notices",
    ),
    (
        LAUNCH_TEMPLATE,
        "LaunchTemplateData.Monitoring",
        "alarms see one sample in five minutes, and act as late",
    ),
    (
        LAUNCH_TEMPLATE,
        "LaunchTemplateData.UserData",
        "new instances are set up otherwise than the spec says",
    ),
    (
        HOOK,
        "HeartbeatTimeout",
        "an instance is ended before its drain is over, or a dead one is waited for",
    ),
    (HOOK, "DefaultResult", "an instance whose hook ran out is treated otherwise than planned"),
    (HOOK, "LifecycleTransition", "a leaving instance is ended without its drain"),
    (TARGET_GROUP, "Port", "the balancer asks a port at which nobody listens"),
    (
        TARGET_GROUP,
        "HealthCheck",
        "the balancer finds a sick instance at another time than the lame duck counts with",
    ),
    (
        TARGET_GROUP,
        "HealthyThresholdCount",
        "an instance gets requests sooner or later than the spec says",
    ),
    (
        TARGET_GROUP,
        "UnhealthyThresholdCount",
        "the balancer finds a sick instance at another time than the lame duck counts with",
    ),
    (
        TARGET_GROUP,
        "Matcher",
        "an instance that says 503 may count as healthy, or a healthy one as sick",
    ),
    (
        TARGET_GROUP,
        "TargetGroupAttributes[deregistration_delay",
        "requests of a leaving instance are cut, or it is waited for longer than its drain takes",
    ),
    (
        TARGET_GROUP,
        "TargetGroupAttributes[slow_start",
        "a new instance gets its share of requests later than the warm-up counts with",
    ),
    (
        TARGET_GROUP,
        "TargetGroupAttributes",
        "requests are spread over the instances otherwise than the spec says",
    ),
    (TARGET_GROUP, "", "the balancer speaks otherwise to the instances than they listen"),
    (
        BALANCER,
        "LoadBalancerAttributes[idle_timeout",
        "not shorter than service.keep_alive, it sends requests into connections that are closing",
    ),
    (BALANCER, "", "requests get through that should not, or none while a firewall is away"),
    (LISTENER, "", "clients are not answered as the spec says, or without TLS"),
    (RULE, "", "what the rule hides, such as /metrics, is open to everybody, or it hides too much"),
    (POLICY, "Enabled", "its alarm changes nothing: the group does not scale"),
    (POLICY, "", "the group changes by another number, or at another time, than the spec says"),
    (ALARM, "ActionsEnabled", "the alarm goes off and nothing happens: the group does not scale"),
    (ALARM, "AlarmActions", "the alarm goes off and the group does not scale by its policy"),
    (ALARM, "Dimensions", "the alarm looks at other instances than this group's"),
    (ALARM, "", "the group scales at another load than the spec says, or never"),
    (FIREWALL, "", "a client's rate is limited otherwise than the spec says, or not"),
    (ASSOCIATION, "", "no firewall stands before the balancer, and nobody's rate is limited"),
)
"""The first that fits, by type and the beginning of the path."""

_MISSING: Final = {
    HOOK: "instances are ended without their drain, and requests in flight are cut",
    POLICY: "the group does not scale in this direction",
    ALARM: "nobody notices the load that it is for: the group does not scale in this direction",
    TARGET_GROUP: "no instance gets requests",
    BALANCER: "no instance gets requests",
    LAUNCH_TEMPLATE: "the group starts instances by something that the spec does not know",
}

_EXTRA: Final = {
    HOOK: "nobody of ours answers it: each instance waits for all of its timeout",
    POLICY: "it changes the group's size beside the spec's rules, and against them",
    ALARM: "it changes the group's size beside the spec's rules, and against them",
    SCHEDULE: "it sets min, max or the number of instances at its time, whatever the spec says",
    LAUNCH_TEMPLATE: "no instance is started by it yet; whoever says $Latest starts one",
    RULE: "requests go where the spec does not send them; one before ours may open what ours hide",
}

ANY: Final = "what the spec promises does not hold"


def of_difference(kind: str, path: str) -> str:
    """Of a path that differs."""
    fits = (text for of, start, text in _BY_PATH if of == kind and path.startswith(start))
    return next(fits, ANY)


def of_missing(kind: str) -> str:
    """Of a thing that is not there."""
    return _MISSING.get(kind) or of_difference(kind, "")


def of_extra(kind: str) -> str:
    """Of a thing that is not in the template."""
    return _EXTRA[kind]
