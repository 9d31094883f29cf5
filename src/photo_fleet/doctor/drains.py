"""What drains came to, by their receipts; docs/operations.md says what these hold."""

from collections.abc import Callable, Iterator, Sequence

from photo_api.contract import LOST_AFTER, STOP_MARGIN
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.registry import Boot, Receipt, RegistryLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import listed, span

NEARLY = 0.9
SLOW_FLUSH = 3.0
"""Seconds: the mere end of processes takes up shorter budgets."""
SILENT = 3 * LOST_AFTER
LEAST_LEFT = STOP_MARGIN + 1.0
"""Seconds: a drain that waits for requests to the last leaves what the service keeps for itself."""
LEAST_WORK = 2.0
"""Seconds beyond the lame duck that a drain takes which has nothing to wait for."""
LATE = 15.0
"""Seconds beyond the grace at which a drain should have ended, whoever was to kill it."""
LEAST_LAME_DUCK = 5.0
"""Seconds in which balancers let go and clients of kept connections follow; a shorter lame duck
ends by itself."""

ENDED = {
    "killed": "processes were killed at the limit",
    "broken_off": "a second signal broke it off",
    "failed": "a process failed",
    "lost": "it drained and was never heard of again",
}
"""How a drain ends that others ended."""

RECEIPTS = (
    'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT written_at, instance, ending, cause, requests_cut,'
    " acknowledged, balancers, lame_duck_end, ended_at - asked_at AS took, flush_s, log_lines_lost"
    ' FROM instance_receipts ORDER BY written_at DESC LIMIT 20"'
)
FOLLOWERS = (
    'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT name, now() - seen_at AS silent FROM balancers"'
)


def drain_cut(seen: Seen) -> Iterator[Finding]:
    """Drains that ended in time by cutting what was under way."""
    registry = seen.need(RegistryLook)
    cut = [one for one in registry.receipts if one.requests_cut]
    if cut:
        worst = sorted(cut, key=lambda one: -(one.requests_cut or 0))
        total = sum(one.requests_cut or 0 for one in cut)
        wait = seen.spec.drain.in_flight_wait
        yield Finding(
            "error",
            "drain-cut",
            f"receipts: {len(cut)} of {len(registry.receipts)} ends cut {total} requests: "
            + _told(worst, lambda one: f"{one.requests_cut} of {_known(one.requests_accepted)}"),
            RECEIPTS,
            f"make these requests shorter than drain.in_flight_wait ({wait:g}s), or raise it with"
            " drain.grace and the kill delay; photo-fleet check has the arithmetic",
            _instances(worst),
        )
    _whole(registry, "receipts")


def drain_killed(seen: Seen) -> Iterator[Finding]:
    """Drains that others ended. Of a lost one the draining is known from the events."""
    registry = seen.need(RegistryLook)
    if silent := [one for one in registry.alive if _is_silent(one, registry)]:
        longest = max(registry.now - one.heartbeat_at for one in silent)
        yield Finding(
            "error",
            "drain-killed",
            f"registry: {listed(one.instance for one in silent)} drained, and nothing was heard of"
            f" it for up to {span(longest)}",
            RECEIPTS,
            _remedy("lost"),
            tuple(sorted(one.instance for one in silent)),
        )
    for ending, meaning in ENDED.items():
        these = [one for one in registry.receipts if one.ending == ending]
        if these and ending == "lost":
            began = {one.boot_id for one in registry.events if one.event == "draining"}
            these = [one for one in these if one.boot_id in began]
        if these:
            yield Finding(
                "error",
                "drain-killed",
                f"receipts: {len(these)} of {len(registry.receipts)} ends were {ending!r}"
                f" ({meaning}): " + _told(these, lambda one: one.cause or "no cause"),
                RECEIPTS,
                _remedy(ending),
                _instances(these),
            )
    _whole(registry, "receipts", "events")


def _is_silent(one: Boot, registry: RegistryLook) -> bool:
    """Whether somebody would have declared it lost while it drained, were there anybody."""
    return one.state == "draining" and registry.now - one.heartbeat_at > SILENT


def _remedy(ending: str) -> str:
    if ending == "broken_off":
        return "send one signal and wait for the grace: nobody and nothing should send a second one"
    if ending == "lost":
        return "let TimeoutStopSec and the platform's kill delay be drain.grace or more"
    return "its journal of that time says which processes (`killed at the limit`, `process died`)"


def drain_long(seen: Seen) -> Iterator[Finding]:
    """Drains that leave next to no time, which the next one may not have."""
    registry, grace = seen.need(RegistryLook), seen.spec.drain.grace
    long = [one for one in registry.receipts if _is_long(one, grace)]
    if long:
        yield Finding(
            "warning",
            "drain-long",
            f"receipts: {len(long)} of {len(registry.receipts)} drains left next to nothing of"
            f" drain.grace {grace:g}s: "
            + _told(
                long, lambda one: f"{_took(one) or 0:.1f} s, in flight {one.in_flight_s or 0:.1f} s"
            ),
            RECEIPTS,
            "find what takes so long (in_flight_s: requests, flush_s: log lines), or raise"
            " drain.grace and the kill delay",
            _instances(long),
        )
    stuck = [
        one
        for one in registry.alive
        if one.state == "draining"
        and not _is_silent(one, registry)
        and registry.now - one.changed_at > grace + LATE
    ]
    if stuck:
        oldest = max(registry.now - one.changed_at for one in stuck)
        yield Finding(
            "error",
            "drain-long",
            f"registry: {len(stuck)} instances drain for up to {span(oldest)} and still give signs"
            f" of life; drain.grace is {grace:g}s",
            "photo-fleet status",
            "look at its journal, then end it by a second SIGTERM",
            tuple(sorted(one.instance for one in stuck)),
        )
    _whole(registry, "receipts")


def _is_long(one: Receipt, grace: float) -> bool:
    """Whether next to nothing was left of the grace, and not for the lame duck alone: less than the
    service keeps for itself, or than a tenth of what it has after the lame duck."""
    took, lame_duck = _took(one), one.lame_duck_s or 0.0
    if took is None or one.ending != "drained" or took - lame_duck < LEAST_WORK:
        return False
    return grace - took < max(LEAST_LEFT, (1 - NEARLY) * (grace - lame_duck))


def flush_short(seen: Seen) -> Iterator[Finding]:
    """Log lines that were lost, or nearly, at the end of instances."""
    registry, budget = seen.need(RegistryLook), seen.spec.drain.log_flush
    lost = [one for one in registry.receipts if one.log_lines_lost]
    remedy = "see whether the collector answers (log_queue of /health/detailed), or raise"
    if lost:
        total = sum(one.log_lines_lost or 0 for one in lost)
        yield Finding(
            "warning",
            "flush-short",
            f"receipts: {len(lost)} of {len(registry.receipts)} instances that ended had lost"
            f" {total} log lines: " + _told(lost, lambda one: f"{one.log_lines_lost} lines"),
            RECEIPTS,
            f"{remedy} drain.log_flush ({budget:g}s) with drain.grace",
            _instances(lost),
        )
    near = [
        one
        for one in registry.receipts
        if not one.log_lines_lost and budget >= SLOW_FLUSH and (one.flush_s or 0) > NEARLY * budget
    ]
    if near:
        yield Finding(
            "warning",
            "flush-short",
            f"receipts: {len(near)} of {len(registry.receipts)} instances took more than"
            f" {NEARLY * 100:g} % of drain.log_flush {budget:g}s for their last lines: "
            + _told(near, lambda one: f"{one.flush_s:.1f} s"),
            RECEIPTS,
            f"{remedy} drain.log_flush with drain.grace",
            _instances(near),
        )
    _whole(registry, "receipts")


def never_deregistered(seen: Seen) -> Iterator[Finding]:
    """Instances that balancers had not let go of. A cloud's balancer acknowledges nothing: whether
    it deregisters first, nobody can tell from here."""
    spec = seen.spec
    if spec.balancer.kind != "nginx" or spec.drain.removal != "deregister-first":
        return
    registry = seen.need(RegistryLook)
    if not registry.present_balancers and any(one.state == "ready" for one in registry.alive):
        yield _nobody_follows(registry)
    asked = [one for one in registry.receipts if _left_others(one, registry)]
    deaf = [one for one in asked if not one.balancers or (one.acknowledged or 0) < one.balancers]
    if deaf:
        yield Finding(
            "error" if len(deaf) * 2 > len(asked) else "warning",
            "never-deregistered",
            f"receipts: {len(deaf)} of {len(asked)} drains ended without every balancer's word: "
            + _told(deaf, _who_let_go),
            FOLLOWERS,
            "restart photo-fleet-balance on the hosts that are silent; its journal says why it"
            " does not acknowledge",
            _instances(deaf),
        )
    sent_to = [one for one in asked if one not in deaf and _was_sent_to(one)]
    if sent_to:
        yield Finding(
            "warning",
            "never-deregistered",
            f"receipts: in {len(sent_to)} of {len(asked)} drains every balancer let go, and new"
            " connections came to the end of the lame duck: "
            + _told(sent_to, lambda one: f"lame duck {one.lame_duck_s:.1f} s"),
            RECEIPTS,
            "let requests reach instances through balancers that follow the registry only",
            _instances(sent_to),
        )
    _whole(registry, "receipts")


def _left_others(one: Receipt, registry: RegistryLook) -> bool:
    """Whether it left a fleet that went on: a balancer that is live may be missed then."""
    if one.ending != "drained" or one.balancers is None or one.was_ready is False:
        return False
    ended = one.ended_at or one.written_at
    return one.balancers > 0 or any(boot.started_at < ended for boot in registry.alive)


def _who_let_go(one: Receipt) -> str:
    if not one.balancers:
        return "no balancer was live"
    return f"{one.acknowledged or 0} of {one.balancers} let go"


def _was_sent_to(one: Receipt) -> bool:
    return one.lame_duck_end == "elapsed" and (one.lame_duck_s or 0) >= LEAST_LAME_DUCK


def _nobody_follows(registry: RegistryLook) -> Finding:
    silent = [f"{one.name} for {span(registry.now - one.seen_at)}" for one in registry.balancers]
    known = f"silent: {listed(silent)}" if silent else "none was ever seen"
    return Finding(
        "error",
        "never-deregistered",
        f"registry: no balancer follows it ({known}), and drain.removal is deregister-first",
        FOLLOWERS,
        "start photo-fleet-balance on each nginx host: without it no instance is left out before it"
        " stops",
    )


def _took(one: Receipt) -> float | None:
    if one.asked_at is None or one.ended_at is None:
        return None
    return one.ended_at - one.asked_at


def _told(receipts: Sequence[Receipt], say: Callable[[Receipt], str]) -> str:
    """The first few of them in words."""
    return listed(f"{one.instance} {say(one)}" for one in receipts)


def _known(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _instances(receipts: Sequence[Receipt]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.instance for one in receipts))


def _whole(registry: RegistryLook, *names: str) -> None:
    """Raises `Unseen` when some of this was left out."""
    if cut := registry.left_out & set(names):
        raise Unseen(f"the registry has more {', '.join(sorted(cut))} than are read", RECEIPTS)


RULES = (
    Rule("never-deregistered", never_deregistered),
    Rule("drain-cut", drain_cut),
    Rule("drain-killed", drain_killed),
    Rule("drain-long", drain_long),
    Rule("flush-short", flush_short),
)
