"""Every code that the doctor may say, by section: a closed set, which docs/doctor.md explains."""

from collections.abc import Mapping
from dataclasses import dataclass

from photo_fleet.doctor.finding import Section


@dataclass(frozen=True, slots=True)
class Kind:
    """Of findings with one code: the section, and what it means in half a sentence."""

    section: Section
    meaning: str


GUIDE: Mapping[Section, str] = {
    "restarts": "docs/operations.md#instances-restart-again-and-again",
    "traffic": "docs/operations.md#traffic-is-uneven",
    "cuts": "docs/operations.md#requests-are-cut",
    "always": "docs/operations.md#what-is-always-looked-at",
}

RESTARTS = {
    "health-slow": "/health takes a large part of the balancer's patience, or more than it",
    "replaced-by-database": "what may replace an instance looks at the database",
    "boot-slow": "an instance takes longer to get ready than the group waits",
    "restart-loop": "an instance starts again and again",
    "worker-deaths": "processes of an instance die untold",
    "out-of-memory": "the kernel ends processes for their memory, or is about to",
    "instances-lost": "instances ended without a drain",
    "connections-exceed": "the grown fleet does not fit into the database",
    "connections-used-up": "the database has next to no connection left",
    "schema-behind": "the database lacks a migration that an instance needs",
    "database-down": "instances do not reach the database",
    "clock-offset": "a clock is off",
}
TRAFFIC = {
    "traffic-uneven": "requests are spread more unevenly than chance explains",
    "balancing-sticky": "the balancer's algorithm is not the spec's, or ties clients to instances",
    "connections-pinned": "long connections keep requests on the instances that they began at",
    "member-missing": "an instance is ready, and a balancer does not send to it",
    "member-ghost": "a balancer sends to what the registry does not have",
    "members-differ": "balancers have different members, or one follows the registry no more",
    "member-quarantined": "a balancer leaves out a member that hangs or refuses",
    "member-silent": "a member has not been heard of, or answers nobody",
    "single-member": "one instance has all requests, and nobody takes them over",
    "balancer-silent": "nginx answers nobody",
    "balancer-panic": "a balancer keeps ill members because too few are well",
    "instance-unscraped": "an instance is ready, and Prometheus does not see it",
    "series-ghost": "Prometheus or the Pushgateway tells of instances that are gone",
    "machines-uneven": "machines of the group differ in what they can do",
}
CUTS = {
    "spec-contradicts": "numbers of the spec contradict each other",
    "reality-contradicts": "numbers that are in force contradict each other",
    "reality-differs": "what is in force is not what the spec says",
    "unit-kills": "the unit or the platform ends an instance before its drain is over",
    "proxy-without-keep-alive": "nginx opens a connection for each request",
    "proxy-retries": "nginx repeats what must not be repeated, or tries no other member",
    "never-deregistered": "instances leave without any balancer having let go",
    "drain-cut": "drains cut requests",
    "drain-killed": "instances were killed before their drain was over",
    "drain-long": "drains take nearly all of the grace",
    "flush-short": "log lines were lost at the end of instances",
}
ALWAYS = {
    "secret-default": "a secret is published, weak or made up by a person",
    "secret-equal": "two secrets are the same",
    "proxies-unset": "balancers are not trusted: all clients are one",
    "proxies-open": "everybody is trusted to say who the client is",
    "key-old": "a key that signs or seals is older than it may be",
    "key-undated": "nobody knows how old a key is",
    "bucket-cors": "browsers cannot exchange bytes with the store, or anybody's page can",
    "bucket-public": "strangers read or list the bucket",
    "store-down": "instances do not reach the object store",
    "cdn-failed": "the CDN fails, and the fleet delivers without it",
    "maintenance-stopped": "nobody sweeps, prunes and counts for the fleet",
    "orphans-grow": "objects that are due to be deleted are not",
    "jobs-dead": "jobs have failed for good",
    "queue-old": "jobs wait for too long",
    "renditions-missing": "photos have no thumbnail, and no job makes it",
    "certificate-due": "a certificate ends soon, has ended, or is not the address's",
    "log-lines-lost": "log lines are lost",
    "versions-mixed": "two releases serve for longer than a deploy takes",
}

_ALL: Mapping[Section, Mapping[str, str]] = {
    "restarts": RESTARTS,
    "traffic": TRAFFIC,
    "cuts": CUTS,
    "always": ALWAYS,
}

CODES: Mapping[str, Kind] = {
    code: Kind(section, meaning)
    for section, meanings in _ALL.items()
    for code, meaning in meanings.items()
}
