"""Whether the balancer and the service fit together."""

from collections.abc import Iterator

from photo_api.contract import LARGEST_UPLOAD
from photo_fleet.rules.findings import Contradiction
from photo_fleet.spec.fleet import Fleet

IDLE_MARGIN = 15.0
"""Seconds by which the service outlives the balancer's idle connections to it."""

USUAL_IDLE = 60.0
USUAL_CONNECT = 3.0

MIB = 1024 * 1024
FORM = MIB
"""What a form adds to the photo in it, generously."""


def keep_alive(fleet: Fleet) -> Iterator[Contradiction]:
    """The side that sends requests closes idle connections first."""
    service, balancer = fleet.service, fleet.balancer
    if service.keep_alive > balancer.keep_alive:
        return
    yield Contradiction(
        "error",
        "keep-alive",
        f"service.keep_alive {service.keep_alive:g}s ≤ balancer.keep_alive"
        f" {balancer.keep_alive:g}s",
        "now and then the balancer sends a request on a connection that the service is just"
        " closing: an upload that meets this fails with 502",
        (
            {"service.keep_alive": balancer.keep_alive + IDLE_MARGIN},
            {"balancer.keep_alive": service.keep_alive - IDLE_MARGIN},
            {"service.keep_alive": USUAL_IDLE + IDLE_MARGIN, "balancer.keep_alive": USUAL_IDLE},
        ),
    )


def connecting(fleet: Fleet) -> Iterator[Contradiction]:
    """There is time to try another member when one has vanished."""
    balancer = fleet.balancer
    if balancer.kind != "nginx":
        return
    name = min(("send_timeout", "read_timeout"), key=lambda item: float(getattr(balancer, item)))
    patience: float = getattr(balancer, name)
    if balancer.connect_timeout < patience:
        return
    yield Contradiction(
        "warning",
        "connect-timeout",
        f"balancer.connect_timeout {balancer.connect_timeout:g}s ≥ balancer.{name} {patience:g}s",
        "a request to a machine that has vanished ends with 504 instead of being tried at another:"
        " the time in which that is done is over by then",
        ({"balancer.connect_timeout": min(USUAL_CONNECT, patience / 2)},),
    )


def membership(fleet: Fleet) -> Iterator[Contradiction]:
    """Members are data, not configuration."""
    if fleet.balancer.kind != "nginx" or fleet.balancer.membership == "lua":
        return
    yield Contradiction(
        "warning",
        "membership-reload",
        'balancer.membership is "reload": nginx is reloaded at each change of members, up to'
        f" {2 * fleet.group.max} times when the group of {fleet.group.max} is renewed",
        "each reload closes the idle keep-alive connections of clients, whose next request may"
        " fail, and slow buffered uploads that began before it may go to a removed member",
        ({"balancer.membership": "lua"},),
    )


def buffering(fleet: Fleet) -> Iterator[Contradiction]:
    """Slow clients hold the balancer and not an instance. Balancers of clouds hold nothing back,
    whatever the spec says."""
    if fleet.balancer.buffer_uploads or fleet.group.cloud != "none":
        return
    wait = fleet.drain.in_flight_wait
    slowest = f"{fleet.balancer.upload_limit / wait / 1000:.0f} kB/s" if wait else "any speed"
    yield Contradiction(
        "warning",
        "upload-buffering",
        f"balancer.buffer_uploads is false, drain.in_flight_wait {wait:g}s",
        f"slow clients hold connections of instances, and an upload of the largest size below"
        f" {slowest} is cut when its instance leaves",
        ({"balancer.buffer_uploads": True},),
    )


def upload_limit(fleet: Fleet) -> Iterator[Contradiction]:
    """What the service takes passes the balancer."""
    limit, needed = fleet.balancer.upload_limit, LARGEST_UPLOAD + FORM
    if limit >= needed:
        return
    yield Contradiction(
        "warning",
        "upload-limit",
        f"balancer.upload_limit {limit / MIB:.4g} MiB < {LARGEST_UPLOAD // MIB} MiB, the service's"
        f" largest photo, + {FORM // MIB} MiB for the form around it",
        "the balancer refuses photos with 413 that the service would take",
        ({"balancer.upload_limit": needed},),
    )


def tls(fleet: Fleet) -> Iterator[Contradiction]:
    """A certificate and its key come together."""
    pair = fleet.balancer.tls
    if bool(pair.certificate) == bool(pair.key):
        return
    given, lacking = ("certificate", "key") if pair.certificate else ("key", "certificate")
    yield Contradiction(
        "error",
        "tls-pair",
        f"balancer.tls.{given} is given and balancer.tls.{lacking} is not",
        "nginx does not start",
        ({f"balancer.tls.{given}": ""},),
    )


def cloud_group(fleet: Fleet) -> Iterator[Contradiction]:
    """A cloud's group puts its members into that cloud's balancer."""
    cloud = fleet.group.cloud
    if cloud == "none" or fleet.balancer.kind == "cloud":
        return
    yield Contradiction(
        "error",
        "group-cloud",
        f'group.cloud "{cloud}" with balancer.kind "nginx"',
        f"the group of {cloud} makes its instances members of the cloud's own balancer: nginx would"
        " stand beside it, and no number of its own would hold",
        ({"balancer.kind": "cloud"}, {"group.cloud": "none"}),
    )


RULES = (keep_alive, connecting, membership, cloud_group, buffering, upload_limit, tls)
