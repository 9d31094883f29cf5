"""The lines of a month, beside those of what it costs."""

from photo_fleet.dashboard.units import told
from photo_fleet.report.boots import sizes, time_at_sizes
from photo_fleet.report.cost import COST, IDLE
from photo_fleet.report.coverage import DAY, age_told, counting_gaps, prometheus_gaps, registry_gaps
from photo_fleet.report.ends import LEAVING
from photo_fleet.report.history import History, Missing
from photo_fleet.report.item import Item, Judgement, table
from photo_fleet.report.line import Curve, Plot
from photo_fleet.report.replayed import REPLAYED
from photo_fleet.report.scaling import cores_of
from photo_fleet.rules.sizing import FULL
from photo_fleet.spec.settings import dated_keys

AT_MOST = 0.05
"""The share of the time at `group.max` from which the group would have grown further."""
TOO_FEW = 0.001
"""The share of the time below `group.min` that losses and deploys explain."""
LONG_FULL, LONG_FEW = 3600.0, 300.0
"""Seconds of these that a fleet may have had for them, however young it is."""
BUSY = 0.85
IDLE_SIZE = 0.3
"""Shares of a machine: its 95th percentile shall not be beyond the one, nor its peak below the
other, if a smaller machine is to be had."""
MEMORY_USED = 0.85
ORPHANED = 0.05
"""Of the stored bytes: so much that is due to be deleted is no delay but a fault."""


def time_at_size(history: History) -> Judgement:
    """From when instances were ready to when they drained."""
    registry, group, gaps = history.registry, history.spec.group, registry_gaps(history)
    ready = [one.ready for one in registry.boots if one.ready is not None]
    # How the fleet itself began is no lack of instances.
    begin = max(history.start, min(ready, default=history.start))
    spent = time_at_sizes(sizes(registry.boots, begin, history.end), history.end)
    whole = sum(spent.values())
    shares = {size: seconds / whole for size, seconds in spent.items()}
    full = sum(share for size, share in shares.items() if size >= group.max)
    low = sum(share for size, share in shares.items() if size < group.min)
    faults = []
    if full > AT_MOST and full * whole > LONG_FULL and group.max > group.min:
        faults.append(f"{full:.1%} of the time at group.max {group.max}: it wanted to grow further")
    if low > TOO_FEW and low * whole > LONG_FEW:
        faults.append(f"{low:.2%} of the time below group.min {group.min}")
    rows = [
        (str(size), told(seconds, "s"), f"{shares[size]:.1%}") for size, seconds in spent.items()
    ]
    answer = f"{min(spent)} to {max(spent)} instances, usually {max(spent, key=spent.__getitem__)}"
    shown = table(("instances", "time", "share"), rows)
    return Judgement(answer + age_told(history), faults, gaps, (shown,))


def cpu_size(history: History) -> Judgement:
    """Five minutes' use of each instance's processors against those of its machine."""
    gaps, measured, cores = prometheus_gaps(history), history.measured, cores_of(history)
    middle, high, peak = (measured.of(f"cores_{name}") for name in ("p50", "p95", "max"))
    faults = [
        f"{name}: up to {told(value / cores, 'percentunit')} of its cores 95 % of the time"
        for name, value in sorted(high.items())
        if value / cores > BUSY
    ]
    most = told(max(peak.values()) / cores, "percentunit")
    if max(peak.values()) / cores < IDLE_SIZE and cores > 1:
        faults.append(f"no instance ever used more than {most} of its cores: half would do")
    rows = [
        (name, *(told(of.get(name, 0.0) / cores, "percentunit") for of in (middle, high, peak)))
        for name in sorted(peak)
    ]
    answer = f"at most {most} of {cores:g} cores each"
    curves = tuple(
        Curve(name, tuple((at, seconds / measured.window.step) for at, seconds in values))
        for name, values in sorted(measured.points("cpu_each").items())
    )
    plot = Plot("Cores in use", "cores", curves, cores)
    shown = table(("instance", "half of the time", "95 %", "most"), rows)
    return Judgement(answer, faults, gaps, (shown,), (plot,))


def memory_size(history: History) -> Judgement:
    """Resident memory of all its processes against that of the machine."""
    gaps, measured = prometheus_gaps(history), history.measured
    high, peak = measured.of("memory_p95"), measured.of("memory_max")
    most = max(peak.values())
    rows = [
        (name, told(high.get(name, 0.0), "bytes"), told(peak[name], "bytes"))
        for name in sorted(peak)
    ]
    shown = (table(("instance", "95 %", "most"), rows),)
    answer = f"at most {told(most, 'bytes')} an instance"
    machine = history.wanted.memory
    if machine is None:
        gaps.append("nobody tells how much memory an instance's machine has (--memory)")
        return Judgement(answer, (), gaps, shown)
    faults = [
        f"{name}: {told(value, 'bytes')} of {told(machine, 'bytes')}"
        for name, value in sorted(peak.items())
        if value > MEMORY_USED * machine
    ]
    return Judgement(f"{answer}, of {told(machine, 'bytes')}", faults, gaps, shown)


def headroom(history: History) -> Judgement:
    """At the busiest five minutes of each point: the load of all on one instance less."""
    gaps, measured, cores = prometheus_gaps(history), history.measured, cores_of(history)
    others = measured.points("cores_of_others", "").get("", ())
    serving = measured.points("fewest_serving", "").get("", ())
    limits = [
        one.threshold
        for one in history.spec.group.policies
        if one.metric == "cpu" and one.is_scale_out
    ]
    without = tuple((at, 100 * used / cores) for at, used in others)
    alone = sum(number < 2 for _, number in serving)
    if not without and alone < len(serving):
        raise Missing("Prometheus has nothing that tells of cores of others")
    most = max((load for _, load in without), default=0.0)
    faults = [f"{most:.0f} % of each of the others at the busiest"] if most >= FULL else []
    if alone:
        faults.append(f"one alone in {alone} of {len(serving)} points, with nobody to stand in")
    limit = min(limits, default=FULL)
    side = "below" if most < limit else "above"
    answer = (
        f"without one at most {most:.0f} % each, {side} the {limit:g} % at which the group grows"
    )
    curve = Curve("% of each of the others", without)
    plot = Plot("Load without one instance", "short", (curve,), FULL)
    return Judgement(answer, faults, gaps, plots=(plot,))


def stored(history: History) -> Judgement:
    """Bytes of photos, and of what is due to be deleted."""
    gaps, measured = prometheus_gaps(history), history.measured
    photos = measured.points("photo_bytes", "").get("", ())
    orphans = measured.points("orphan_bytes", "").get("", ())
    if not (photos and orphans):
        raise Missing("Prometheus has nothing of the stored bytes in this time")
    gaps += counting_gaps(history)
    first, last, left = photos[0][1], photos[-1][1], orphans[-1][1]
    days = max(1.0, (photos[-1][0] - photos[0][0]) / DAY)
    faults = []
    if left > ORPHANED * max(last, 1.0) and left > orphans[0][1]:
        faults.append(f"{told(left, 'bytes')} are due to be deleted, and become more")
    daily = told(max(0.0, last - first) / days, "bytes")
    answer = (
        f"{told(last, 'bytes')} of photos, {daily} more a day; {told(left, 'bytes')} due to be"
        " deleted"
    )
    curves = (Curve("photos", photos), Curve("due to be deleted", orphans))
    return Judgement(answer, faults, gaps, plots=(Plot("Stored", "bytes", curves),))


def keys(history: History) -> Judgement:
    """At the end: by the dates in their ids, and the certificate that a balancer reads."""
    gaps, measured, spec = prometheus_gaps(history), history.measured, history.spec.objectives
    made, ends = measured.of("keys", "keys"), measured.of("certificate", "").get("")
    ages = {name: (history.end - at) / DAY for name, at in made.items()}
    gaps += [
        f"the age of the {name} key is not known: name its id after its date"
        for name in dated_keys(history.spec)
        if name not in ages and spec.oldest_key
    ]
    faults = [
        f"the {name} key is {age:.0f} days old, of {spec.oldest_key}"
        for name, age in sorted(ages.items())
        if spec.oldest_key and age > spec.oldest_key
    ]
    answer = (
        ", ".join(f"{name} {age:.0f} days" for name, age in sorted(ages.items()))
        or "no key has a date"
    )
    if ends is not None:
        left = (ends - history.end) / DAY
        answer += f"; the certificate is valid for {left:.0f} days"
        if left < spec.certificate_left:
            faults.append(f"the certificate ends in {left:.0f} days")
    elif history.spec.balancer.tls.certificate:
        gaps.append("nobody tells when the certificate ends")
    return Judgement(answer, faults, gaps)


ITEMS = (
    Item(
        "sizes",
        "Are the policies right?",
        "at group.max: raise it; below group.min: see what was lost, and how soon it was replaced",
        "photo-fleet check --strict",
        time_at_size,
    ),
    REPLAYED,
    Item(
        "headroom",
        "Would the group have stood the loss of one at its peaks?",
        "raise group.min, or lower the threshold at which the group grows",
        "photo-fleet check --strict",
        headroom,
    ),
    Item(
        "cpu-size",
        "Is the machine's size right?",
        "take a machine with more, or fewer, processors; more workers than cores help nobody",
        "photo-fleet dashboard --html --since 30d",
        cpu_size,
    ),
    Item(
        "memory-size",
        "Does an instance fit into its memory?",
        "take a larger machine, or set PHOTO_API_RECYCLE_AFTER",
        "photo-fleet dashboard --html --since 30d",
        memory_size,
    ),
    COST,
    IDLE,
    Item(
        "stored",
        "How much is stored, and does what is due go?",
        "see who holds the lease maintenance, and what the store says to deletions",
        "photo-api reconcile --json",
        stored,
    ),
    Item(
        "keys",
        "Are keys or certificates due?",
        "make new ones, and keep the old ones until what they signed is over",
        "photo-fleet doctor --only always",
        keys,
    ),
    LEAVING,
)
