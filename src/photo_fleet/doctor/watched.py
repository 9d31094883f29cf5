"""Rules about what Prometheus has of the fleet, held against the registry."""

from collections.abc import Iterator
from math import inf

from photo_fleet.dashboard.readings import Series
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.in_service import names, ready
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.prometheus import LOOKED_BACK, PrometheusLook
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.seen import Seen
from photo_fleet.doctor.words import span

SCRAPES, LEAST_PATIENCE = 5, 10.0
"""Scrapes, and seconds, within which a new instance has been seen."""
CLOUD_REFRESH = 60.0
"""Seconds between two looks of Prometheus at a cloud's list of machines."""
PUSHES = 60.0
"""Seconds within which an instance pushes several times."""


def unscraped(seen: Seen) -> Iterator[Finding]:
    """Ready, and of this boot there is no series that goes on: neither scraped nor pushed."""
    registry, look = seen.need(RegistryLook), seen.need(PrometheusLook)
    patience = _patience(seen, look)
    due = [boot for boot in ready(registry) if registry.now - boot.changed_at > patience]
    age = {
        one.labels.get("boot_id"): look.window.end - one.values[-1][1]
        for one in look.series("heard")
        if one.values
    }
    lacking = [boot for boot in due if age.get(boot.boot_id, inf) > patience]
    if not lacking:
        return
    pushes = bool(seen.spec.metrics.pushgateway)
    failing = {one.labels.get("instance") for one in look.series("up") if _is_zero(one)}

    def why(boot: Boot) -> str:
        last = f"told last {span(age[boot.boot_id])} ago, " if boot.boot_id in age else ""
        if pushes:
            return f"{last}no push of it"
        return last + ("its scrapes fail" if boot.place in failing else "no target of this address")

    told = "; ".join(
        f"{boot.instance} ({boot.place}), ready for {span(registry.now - boot.changed_at)}:"
        f" {why(boot)}"
        for boot in lacking[:10]
    )
    all_of = "none of them" if len(lacking) == len(due) else f"{len(lacking)} not"
    yield Finding(
        "warning",
        "instance-unscraped",
        f"of {len(due)} ready instances (registry) Prometheus at {look.address} sees {all_of}:"
        f" {told}",
        f"curl -sS '{look.address}/api/v1/targets?state=active'",
        "let instances reach the Pushgateway (metrics.pushgateway), and look at"
        " photo_api_pushes_total"
        if pushes
        else "let Prometheus reach the instance's port, and its discovery tell of it"
        " (metrics.discovery, metrics.cloud; with metrics access by token its credentials)",
        names(lacking),
    )


def _is_zero(series: Series) -> bool:
    return series.values[-1:] != () and series.values[-1][1] == 0


def _patience(seen: Seen, look: PrometheusLook) -> float:
    """Seconds in which Prometheus, by whatever way, has heard of one that is ready."""
    scrapes = max(LEAST_PATIENCE, SCRAPES * max(seen.spec.metrics.interval, look.window.interval))
    if seen.spec.metrics.pushgateway:
        return scrapes + PUSHES
    return scrapes + (CLOUD_REFRESH if seen.spec.balancer.kind == "cloud" else 0.0)


def ghosts(seen: Seen) -> Iterator[Finding]:
    """Series of boots that ended longer ago than Prometheus looks back, and targets or groups of
    the Pushgateway that stay behind."""
    registry, look = seen.need(RegistryLook), seen.need(PrometheusLook)
    ended = {
        boot.boot_id: boot
        for boot in registry.instances
        if not boot.alive and registry.now - boot.changed_at > LOOKED_BACK
    }
    lately = {
        boot.place
        for boot in registry.instances
        if boot.alive or registry.now - boot.changed_at <= LOOKED_BACK
    }
    told: dict[str, str] = {}
    for one in look.series("info"):
        if (boot := ended.get(one.labels.get("boot_id", ""))) is not None:
            told[boot.place] = f"{boot.state} for {span(registry.now - boot.changed_at)}"
    for place, age in _groups_left(registry, look).items():
        if place not in lately:
            told[place] = f"last pushed {span(age)} ago"
    pushed = {one.labels.get("instance") for one in look.series("pushed")} & told.keys()
    for place in _dead_targets(registry, look) - lately:
        told.setdefault(place, f"a target that has not answered for {span(LOOKED_BACK)}")
    if told:
        shown = "; ".join(f"{place}: {why}" for place, why in list(told.items())[:10])
        yield Finding(
            "warning",
            "series-ghost",
            f"Prometheus at {look.address} tells of {len(told)} instances that the registry does"
            f" not call alive: {shown}",
            f"curl -sS '{look.address}/api/v1/query?query=push_time_seconds'"
            if pushed
            else f"curl -sS '{look.address}/api/v1/targets?state=active'",
            f"curl -X DELETE {seen.spec.metrics.pushgateway or 'http://PUSHGATEWAY'}"
            f"/metrics/job/photo-api/instance/{min(map(str, pushed))}"
            if pushed
            else "take them out of Prometheus's targets (files, the cloud's tags)",
            tuple(told),
        )


def _groups_left(registry: RegistryLook, look: PrometheusLook) -> dict[str, float]:
    """Places whose group at the Pushgateway nobody has renewed, and for how long. Of one that the
    registry does not have at all a few pushes suffice, unless another fleet pushes there too."""
    known = {boot.place for boot in registry.instances}
    ages = {
        one.labels.get("instance", ""): look.window.end - one.values[-1][1]
        for one in look.series("pushed")
        if one.values and one.labels.get("job") == "photo-api"
    }
    shared = any(age <= PUSHES for place, age in ages.items() if place not in known)
    for_ours = {place: LOOKED_BACK if place in known or shared else PUSHES for place in ages}
    return {place: age for place, age in ages.items() if age > for_ours[place]}


def _dead_targets(registry: RegistryLook, look: PrometheusLook) -> set[str]:
    """Of the jobs that scrape our instances. Where others' are in them as well, theirs are none of
    ours."""
    own = {boot.boot_id for boot in registry.instances}
    jobs, shared = set[str](), set[str]()
    for one in look.series("info"):
        (jobs if one.labels.get("boot_id") in own else shared).add(one.labels.get("job", ""))
    return {
        one.labels.get("instance", "")
        for one in look.series("down")
        if one.labels.get("job") in jobs - shared
    }


RULES = (Rule("instance-unscraped", unscraped), Rule("series-ghost", ghosts))
