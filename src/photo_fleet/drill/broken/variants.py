"""The broken variants as data: what is broken, which small scenario shows it, and which rule of its
gate must be violated by it, and no other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from photo_fleet.drill.clients.mix import Mix
from photo_fleet.drill.gates import Gate
from photo_fleet.drill.scenario import Scenario, Step
from photo_fleet.drill.verdict import Verdict

WRITES = Mix(rate=8, clients=8, weights={"create_album": 6, "list_photos": 1, "thumbnail": 1})
"""Writes that are under way at any moment, where creations are slow."""

UPLOADS = Mix(rate=6, clients=8, weights={"direct_upload": 1, "upload": 1, "thumbnail": 2})
"""Photos of which nobody reads the original again."""

ONLY_WRITES = Mix(rate=16, clients=16, weights={"create_album": 1})
"""What nobody may send to another member: it meets whatever is wrong with this one."""

READS = Mix(
    rate=16, clients=16, weights={"list_photos": 2, "list_albums": 1, "thumbnail": 1}, fresh=0.8
)
"""Over connections that go to any worker of nginx, and take so little time that hardly one is open
when a worker is killed."""

UPLOADS_ALONE = Mix(rate=8, clients=8, weights={"upload": 1})
"""Requests of which each needs the store."""

EDITS = Mix(rate=6, clients=8, weights={"edit_album": 2, "list_albums": 1})

CARELESS = Mix(rate=4, clients=8, weights={"careless_upload": 1, "list_photos": 1})

SECONDS = 12.0
FROZEN = 25.0
"""Seconds: longer than it takes to leave the members, and then to be killed and replaced."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A broken fleet. `rule` is what its gate must say, None for the sound one, whose gate must
    hold; `also` are rules that the same damage cannot but violate too. `breaks` are changes of the
    service (`breaks.BREAKS`), `proxy_breaks` of nginx (`proxy.PROXY_BREAKS`)."""

    name: str
    title: str
    scenario: Scenario
    rule: str | None
    also: frozenset[str] = frozenset()
    breaks: tuple[str, ...] = ()
    proxy_breaks: tuple[str, ...] = ()

    def caught(self, verdict: Verdict) -> bool:
        """Whether the gate said exactly what it must."""
        violated = {item.rule for item in verdict.violations}
        if self.rule is None:
            return not violated
        return self.rule in violated and violated <= {self.rule, *self.also}


def _experiment(
    name: str,
    gate: Gate,
    steps: tuple[Step, ...],
    load: Mix,
    *,
    instances: int = 2,
    seconds: float = SECONDS,
) -> Scenario:
    return Scenario(
        name,
        "part of the self-test",
        gate,
        steps,
        seconds,
        core=False,
        instances=instances,
        load=load,
    )


def _store_outage(name: str, seconds: float = SECONDS, load: Mix = UPLOADS) -> Scenario:
    step = Step(4, "store-answer", {"status": 503, "seconds": 6})
    return _experiment(name, Gate.OUTAGE, (step,), load, seconds=seconds)


def _observed(name: str, load: Mix) -> Scenario:
    return _experiment(name, Gate.LOSSLESS, (Step(4, "observe", {"seconds": 4}),), load)


def _comparison(name: str, harm: str) -> Scenario:
    return _experiment(name, Gate.COMPARISON, (Step(4, harm),), UPLOADS)


def _scale_in(name: str) -> Scenario:
    return _experiment(name, Gate.LOSSLESS, (Step(4, "scale", {"to": 2}),), WRITES, instances=3)


def _freeze(name: str) -> Scenario:
    step = Step(4, "freeze-instance", {"seconds": FROZEN})
    return _experiment(name, Gate.FREEZE, (step,), ONLY_WRITES, instances=3, seconds=FROZEN + 10)


def _proxy_kill(name: str) -> Scenario:
    return _experiment(name, Gate.PROXY_KILL, (Step(4, "kill-proxy-worker"),), READS)


def _pause(name: str) -> Scenario:
    step = Step(4, "balancer-pause", {"seconds": 1})
    return _experiment(name, Gate.PAUSE, (step,), WRITES, instances=3)


def _rotation(name: str) -> Scenario:
    step = Step(4, "rotate-credentials", {"seconds": 8})
    return _experiment(name, Gate.LOSSLESS, (step,), UPLOADS, seconds=40)


REPEATED = frozenset({"refused"})
"""A client repeats what failed, and may be told that the first one's key is still in use."""

UNREACHED = frozenset({"acknowledged-loss"})
"""What is refused to the clients is refused to the drill too when it fetches their uploads."""

DIED = frozenset({*REPEATED, "unaccounted"})
"""And who ends without a drain takes along the end of its log."""

VARIANTS: Sequence[Variant] = (
    Variant(
        "lost-object",
        "an acknowledged upload is removed from the store",
        _experiment("lost-object", Gate.LOSSLESS, (Step(4, "remove-object"),), UPLOADS),
        "acknowledged-loss",
        also=frozenset({"ghost"}),
    ),
    Variant(
        "compared-loss",
        "the same, in a run that is only compared",
        _comparison("compared-loss", "remove-object"),
        "acknowledged-loss",
        also=frozenset({"ghost"}),
    ),
    Variant(
        "exit-at-once",
        "the server ends at once on SIGTERM",
        _scale_in("exit-at-once"),
        "failed",
        also=DIED,
        breaks=("slow-creations", "exit-at-once"),
    ),
    Variant(
        "trusting-confirm",
        "confirmations are believed without a look at the store",
        _experiment(
            "trusting-confirm", Gate.LOSSLESS, (Step(4, "confirm-without-upload"),), UPLOADS
        ),
        "ghost",
        breaks=("trusting-confirm",),
    ),
    Variant(
        "trusting-bytes",
        "confirmations are believed, whatever the uploaded bytes are",
        _observed("trusting-bytes", CARELESS),
        "failed",
        breaks=("trusting-confirm",),
    ),
    Variant(
        "forgotten-edits",
        "changes of albums are answered and not carried out",
        _observed("forgotten-edits", EDITS),
        "acknowledged-loss",
        breaks=("forgotten-edits",),
    ),
    Variant(
        "refused-renditions",
        "no photo can be decoded, so none gets its renditions",
        _observed("refused-renditions", UPLOADS),
        "half-done",
        breaks=("refused-renditions",),
    ),
    Variant(
        "leaking-log",
        "every tenth line of the instances' logs is lost",
        _observed("leaking-log", READS),
        "unaccounted",
        breaks=("leaking-log",),
    ),
    Variant(
        "displaced-handler",
        "the handler of SIGTERM was displaced, and the instance is killed at its grace",
        _scale_in("displaced-handler"),
        "failed",
        also=DIED,
        breaks=("slow-creations", "displaced-handler"),
    ),
    Variant(
        "late-drain",
        "readiness fails only after the listening socket is closed",
        _scale_in("late-drain"),
        "failed",
        also=DIED,
        breaks=("slow-creations", "late-drain"),
    ),
    Variant(
        "replayed-post",
        "the proxy sends POSTs again, to a server that forgets idempotency keys",
        _experiment("replayed-post", Gate.KILL, (Step(4, "kill-worker"),), WRITES),
        "duplicate",
        breaks=("slow-creations", "forgotten-keys"),
        proxy_breaks=("replayed-writes",),
    ),
    Variant(
        "refusal-without-date",
        "who is refused in an outage is not told when to come again",
        _store_outage("refusal-without-date"),
        "failed",
        breaks=("refusal-without-date",),
    ),
    Variant(
        "late-recovery",
        "an outage is over, and the service does not take note for 14 seconds",
        _store_outage("late-recovery", 34.0),
        "recovered-late",
        also=frozenset({"refused-after"}),
        breaks=("late-recovery",),
    ),
    Variant(
        "unseen-secrets",
        "the instances do not look at the files of their secrets again",
        _rotation("unseen-secrets"),
        "refused",
        also=frozenset({"failed"}),  # URLs that were signed with the key that is locked
        breaks=("unseen-secrets",),
    ),
    Variant(
        "sluggish-recovery",
        "an outage is over, and the service does not take note for 9 seconds",
        _store_outage("sluggish-recovery", load=UPLOADS_ALONE),
        "refused-after",
        breaks=("sluggish-recovery",),
    ),
    Variant(
        "kept-members",
        "a frozen instance has left the members, and the proxy still sends requests to it",
        _freeze("kept-members"),
        "elsewhere",
        proxy_breaks=("kept-members",),
    ),
    Variant(
        "forgetful-worker",
        "a worker of the proxy that takes a killed one's place knows no members",
        _proxy_kill("forgetful-worker"),
        "elsewhere",
        also=UNREACHED,
        proxy_breaks=("forgetful-worker",),
    ),
    Variant(
        "exit-at-pause",
        "the server ends at once on SIGTERM while the balancer takes no connections",
        _pause("exit-at-pause"),
        "elsewhere",
        also=frozenset({"unaccounted"}),
        breaks=("slow-creations", "exit-at-once"),
    ),
    Variant(
        "sound",
        "nothing is broken, and the same is done to it",
        _experiment(
            "sound",
            Gate.LOSSLESS,
            (Step(4, "scale", {"to": 2}), Step(8, "confirm-without-upload")),
            WRITES,
            instances=3,
        ),
        None,
        breaks=("slow-creations",),
    ),
    Variant(
        "sound-compared",
        "nothing is broken in a run that is only compared",
        _comparison("sound-compared", "confirm-without-upload"),
        None,
    ),
    Variant(
        "sound-replayed",
        "the proxy sends POSTs again, and idempotency keys make that harmless",
        _experiment("sound-replayed", Gate.KILL, (Step(4, "kill-worker"),), WRITES),
        None,
        breaks=("slow-creations",),
        proxy_breaks=("replayed-writes",),
    ),
    Variant(
        "sound-outage",
        "nothing is broken, and the store is away for a while",
        _store_outage("sound-outage"),
        None,
    ),
    Variant(
        "sound-freeze",
        "nothing is broken, and an instance stands still",
        _freeze("sound-freeze"),
        None,
    ),
    Variant(
        "sound-proxy-kill",
        "nothing is broken, and a worker of the proxy is killed",
        _proxy_kill("sound-proxy-kill"),
        None,
    ),
    Variant(
        "sound-pause",
        "nothing is broken, and the balancer takes no connections for a second",
        _pause("sound-pause"),
        None,
        breaks=("slow-creations",),
    ),
)
"""In the order in which they run."""

BY_HAND = (
    "no broken part of a fleet shows it alone; it is shown by records made by hand, in the tests"
    " of the gates"
)

WITHOUT_VARIANT: Mapping[str, str] = {
    "no-evidence": "a drill without load or fault is no broken fleet; " + BY_HAND,
    "cut": "nginx holds back whole answers of the service as small as these; " + BY_HAND,
    "lost": "nginx answers before the patience of the clients ends; " + BY_HAND,
    "read-failed": BY_HAND,
    "cut-elsewhere": BY_HAND,
    "write-failed-elsewhere": BY_HAND,
    "store-failed": BY_HAND,
    "refused-without-outage": BY_HAND,
    "not-recovered": BY_HAND,
}
"""Rules that no variant is for, and why."""


class UnknownVariant(Exception):
    """There is none of this name."""


def chosen(names: Collection[str]) -> list[Variant]:
    """Those of these names, or all. Raises `UnknownVariant`."""
    unknown = sorted(set(names) - {item.name for item in VARIANTS})
    if unknown:
        known = ", ".join(item.name for item in VARIANTS)
        raise UnknownVariant(f"{', '.join(unknown)}: the variants are {known}")
    return [item for item in VARIANTS if not names or item.name in names]
