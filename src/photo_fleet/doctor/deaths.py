"""How boots of instances begin and end, and how their processes do."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from photo_fleet.doctor.finding import Finding, Level
from photo_fleet.doctor.lives import CLEAN, UNTOLD, Life, lives
from photo_fleet.doctor.looks.host import HostLook
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.looks.servers import ServersLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import listed, span
from photo_fleet.rules.health import replacement

DEATHS, STOPS = 2, 3
"""How often an instance may end by a death, or by being stopped soon after its start, before its
next start is one of a loop: a person restarts it once or twice."""
DEPLOYS = 3
SHORT_LIFE = 600.0
"""Seconds: whoever ends a boot so soon does not want another size of the fleet."""
TOGETHER, JUST_NOW = 2, 10.0
"""Boots, and seconds for which an order to end that an outage has caused may come after it."""
LONG_SILENT = 60.0
STARTING_AT_LEAST = 90.0
"""Seconds that a unit gives its processes to start."""


def events_sql(*events: str) -> str:
    """A command that shows these events."""
    names = ", ".join(f"'{event}'" for event in events)
    return (
        'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT at, instance, event, cause FROM'
        f' instance_events WHERE event IN ({names}) ORDER BY at DESC LIMIT 50"'
    )


def replaced_by_database(seen: Seen) -> Iterator[Finding]:
    """Nobody is ended for an outage of the database: not by the spec, nor by what has happened."""
    for contradiction in replacement(seen.spec):
        yield Finding(
            "error",
            "replaced-by-database",
            f"{contradiction.numbers} (the spec)",
            "photo-fleet check",
            'group.replace_on = "/health/live", and the same path at the cloud\'s group',
        )
    registry = seen.need(RegistryLook)
    ended = _ended_while_failing(registry)
    if len(ended) >= TOGETHER:
        told = listed(f"{name} {after:.0f} s after" for name, after in ended)
        yield Finding(
            "error",
            "replaced-by-database",
            f"{len(ended)} boots were told to stop by SIGTERM while their looks at the database"
            f" failed: {told} the first failure (instance_events, {span(registry.window)})",
            events_sql("check_fails", "check_passes", "draining"),
            "have the group replace instances on /health/live alone",
            tuple(dict.fromkeys(name for name, _ in ended)),
        )


def _ended_while_failing(registry: RegistryLook) -> list[tuple[str, float]]:
    """The instance of each boot that a signal told to end while the database failed it, and how
    many seconds after the first failure in a row."""
    failing: dict[str, tuple[float, float]] = {}
    found: list[tuple[str, float]] = []
    for event in reversed(registry.events):
        about_database = event.cause.startswith("database:")
        since, until = failing.get(event.boot_id, (event.at, 0.0))
        if event.event == "check_fails" and about_database:
            failing[event.boot_id] = (since if until > event.at else event.at, float("inf"))
        elif event.event == "check_passes" and about_database:
            failing[event.boot_id] = (since, event.at + JUST_NOW)
        elif event.event == "draining" and "SIGTERM" in event.cause and event.at <= until:
            found.append((event.instance, event.at - since))
    return found


def boot_slow(seen: Seen) -> Iterator[Finding]:
    """Instances are ready within the group's warm-up."""
    registry, limit = seen.need(RegistryLook), seen.spec.group.warm_up
    began = registry.now - registry.window
    boots = [one for one in lives(registry) if one.started is not None and one.started >= began]
    # Instances become ready again after an illness: the first time has to be among what was read.
    oldest = registry.events[-1].at if "events" in registry.left_out and registry.events else began
    took = {
        one: one.ready - one.started
        for one in boots
        if one.ready is not None and one.started is not None and one.started >= oldest
    }
    slow = {one: seconds for one, seconds in took.items() if seconds > limit}
    if slow and limit:
        yield _slow("warning", slow, f"became ready ({len(slow)} of {len(took)} boots)", limit)
    patience = max(limit, STARTING_AT_LEAST)
    # Its row, as the event that it became ready may be one of those that were not read or not kept.
    starting = {boot.boot_id for boot in registry.instances if boot.state == "starting"}
    waiting = {
        one: registry.now - one.started
        for one in boots
        if one.boot_id in starting and not one.ending and one.started is not None
    }
    stuck = {one: seconds for one, seconds in waiting.items() if seconds > patience}
    if stuck:
        yield _slow("error", stuck, "and is not ready yet", patience)
    if "events" in registry.left_out:
        raise Unseen("more events than are read", events_sql("started", "ready"))


def _slow(level: Level, boots: dict[Life, float], what: str, limit: float) -> Finding:
    worst = max(boots, key=lambda one: boots[one])
    return Finding(
        level,
        "boot-slow",
        f"{worst.instance} {what} {boots[worst]:.0f} s after its start (instance_events);"
        f" group.warm_up is {limit:g} s",
        events_sql("started", "ready", "check_fails"),
        "see in its log what it waits for (a migration, the database, names); if it needs the time,"
        f" group.warm_up = {max(boots.values()) * 1.2:.0f} s and the cloud's grace with it",
        tuple(dict.fromkeys(one.instance for one in boots)),
    )


def restart_loop(seen: Seen) -> Iterator[Finding]:
    """No instance starts again and again, nor does the whole fleet; a deploy, a scaling and a
    restart by hand are neither."""
    if host := seen.look(HostLook):
        yield from _loop_of_unit(host)
    registry = seen.need(RegistryLook)
    found = lives(registry)
    looping = [chain for chain in _chains(found, registry) if _is_loop(chain)]
    for chain in looping:
        yield _loop(chain, registry)
    if not looping:
        yield from _churn(found, registry)
    if "instances" in registry.left_out:
        raise Unseen("more boots than are read", events_sql("started", "stopped", "lost"))


def _chains(found: Sequence[Life], registry: RegistryLook) -> list[list[Life]]:
    """Of each instance the boots that began in the window and are of the last one's release; where
    several boots of one name live side by side, of each of their ports."""
    began = registry.now - registry.window
    by_name: dict[object, list[Life]] = defaultdict(list)
    for one in found:
        if one.started is not None and one.started >= began:
            by_name[one.instance].append(one)
    chains: list[list[Life]] = []
    for several in by_name.values():
        by_place: dict[object, list[Life]] = defaultdict(list)
        for one in several:
            by_place[one.place if _overlap(several) else ""].append(one)
        chains += by_place.values()
    return [[one for one in chain if one.version in (chain[-1].version, "")] for chain in chains]


def _overlap(boots: Sequence[Life]) -> bool:
    """Whether one began while another lived. `boots` are in the order of their starts."""
    return any(
        one.ended is None or (after.started or 0.0) < one.ended for one, after in pairwise(boots)
    )


def _is_loop(chain: Sequence[Life]) -> bool:
    deaths = sum(one.ending not in (*CLEAN, "") for one in chain)
    dies = deaths >= DEATHS and len(chain) > DEATHS
    return dies or (_short(chain) >= STOPS and len(chain) > STOPS)


def _short(boots: Sequence[Life]) -> int:
    return sum(one.lived is not None and one.lived < SHORT_LIFE for one in boots)


def _loop(chain: Sequence[Life], registry: RegistryLook) -> Finding:
    last = chain[-1]
    days = [one for one in registry.starts if one.instance == last.instance and one.days_ago]
    usual = sum(one.count for one in days) / 6
    return Finding(
        "error",
        "restart-loop",
        f"{last.instance} was started {len(chain)} times in {span(registry.window)}, {usual:.1f}"
        f" times a day before ({_reasons(chain)}; instance_events, instance_receipts)",
        events_sql("started", "draining", "stopped", "lost", "worker_died", "check_fails"),
        "journalctl -u photo-api on it tells the last lines before each end: mend what they name",
        (last.instance,),
    )


def _reasons(boots: Sequence[Life]) -> str:
    """How they ended, the most frequent first."""
    ends = Counter(
        "killed or gone without a word"
        if one.ending in UNTOLD
        else f"{one.ending} by {one.cause or 'nobody knows what'}"
        for one in boots
        if one.ending
    )
    return "; ".join(f"{number}× {end}" for end, number in ends.most_common(4))


def _churn(found: Sequence[Life], registry: RegistryLook) -> Iterator[Finding]:
    """Where each machine has a name of its own a loop shows by the many that lived shortly: some
    that died, or more than a few deploys in a row leave, each of which ends as many as live."""
    alive = [one for one in found if not one.ending]
    version = alive[-1].version if alive else found[-1].version if found else ""
    began = registry.now - registry.window
    short = [
        one
        for one in found
        if one.version == version and one.started is not None and one.started >= began
        if one.lived is not None and one.lived < SHORT_LIFE
    ]
    deaths = [one for one in short if one.ending not in CLEAN]
    if len(deaths) > DEATHS or len(short) > max(STOPS, DEPLOYS * len(alive)):
        yield Finding(
            "error",
            "restart-loop",
            f"{len(short)} instances of {version} ended within {span(SHORT_LIFE)} of their start in"
            f" {span(registry.window)}, and {len(alive)} live ({_reasons(short)};"
            " instance_events, instance_receipts)",
            events_sql("started", "draining", "stopped", "lost", "worker_died", "check_fails"),
            "see in the group's own log why it ends them; give new machines more time before the"
            " first look, and look at /health/live alone",
        )


def _loop_of_unit(host: HostLook) -> Iterator[Finding]:
    """One that fails before it reaches the registry is known to systemd alone."""
    for unit, state in host.states.items():
        if state.active == "failed" or state.sub == "auto-restart":
            yield Finding(
                "error",
                "restart-loop",
                f"{unit} on {host.node} is {state.active} ({state.sub}), started again"
                f" {state.restarts} times: {state.result} (systemctl show)",
                f"journalctl -u {unit} -o cat -n 50",
                "photo-api config check in the unit's environment; mend what the journal names",
                (host.node,),
            )


def worker_deaths(seen: Seen) -> Iterator[Finding]:
    """No process of an instance ends by itself."""
    registry = seen.need(RegistryLook)
    causes: dict[str, Counter[str]] = defaultdict(Counter)
    for event in registry.events:
        if event.event == "worker_died":
            causes[event.instance][event.cause] += 1
    if causes:
        numbers = {name: sum(told.values()) for name, told in causes.items()}
        worst = max(numbers, key=lambda name: numbers[name])
        why = ", ".join(f"{cause} {n}×" for cause, n in causes[worst].most_common(3))
        others = f", {len(causes) - 1} more have lost some" if len(causes) > 1 else ""
        yield Finding(
            "error" if numbers[worst] > DEATHS else "warning",
            "worker-deaths",
            f"{worst}: {numbers[worst]} in {span(registry.window)} ({why}; instance_events)"
            f"{others}; what a web process carried was cut",
            events_sql("worker_died"),
            "see the traceback before `process died` in its log; after SIGKILL see out-of-memory",
            tuple(causes),
        )
    if "events" in registry.left_out:
        raise Unseen("more events than are read", events_sql("worker_died"))


def instances_lost(seen: Seen) -> Iterator[Finding]:
    """Every instance ends by a drain."""
    registry = seen.need(RegistryLook)
    found = lives(registry)
    began = registry.now - registry.window
    lost = [
        one
        for one in found
        if one.ending in UNTOLD and one.ended is not None and one.ended >= began
    ]
    yield from _taken_for_lost(registry)
    silent = _silent(seen, registry)
    names = [*(one.instance for one in lost), *silent]
    if not names:
        return
    alive = sum(not one.ending for one in found) - len(silent)
    last = ", ".join(f"{name} {seconds:.0f} s ago" for name, seconds in list(silent.items())[:3])
    more = f"; {len(silent)} count as alive and are silent: {last}" if silent else ""
    yield Finding(
        "error" if len(names) > max(DEATHS, alive // 2) or not alive else "warning",
        "instances-lost",
        f"{len(lost)} ended without a word in {span(registry.window)} ({listed(names)}){more};"
        f" {alive} live (instances, instance_events)",
        events_sql("started", "lost", "recovered"),
        "see in the log of the host or of the cloud's group who ended the machines, and have it"
        " wait for the drain; one that hangs is to be restarted",
        tuple(dict.fromkeys(names)),
    )


def _taken_for_lost(registry: RegistryLook) -> Iterator[Finding]:
    names = [event.instance for event in registry.events if event.event == "recovered"]
    if names:
        yield Finding(
            "warning",
            "instances-lost",
            f"{listed(names)} stood still or was cut off from the database for so long that others"
            f" declared it lost, {len(names)} times in {span(registry.window)} (instance_events)",
            events_sql("lost", "recovered", "peers_unreachable"),
            "look at the host (pauses, memory, steal time) and at the network to the database",
            tuple(dict.fromkeys(names)),
        )


def _silent(seen: Seen, registry: RegistryLook) -> dict[str, float]:
    """Instances that the registry calls alive though they have been silent, and that answer nobody;
    seconds of silence by name."""
    look = seen.look(ServersLook) or ServersLook()
    answering = {server.boot.boot_id for server in look.servers if server.answers}
    gone = {one.boot_id for one in lives(registry) if one.ending}
    return {
        boot.instance: registry.now - boot.heartbeat_at
        for boot in registry.alive
        if registry.now - boot.heartbeat_at > LONG_SILENT
        if boot.boot_id not in answering | gone
    }
