"""The broken variants as data: what is broken, which small scenario shows it, and which rule of its
gate must be violated by it, and no other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from photo_fleet.drill.gates import Gate
from photo_fleet.drill.mix import Mix
from photo_fleet.drill.scenario import Scenario, Step
from photo_fleet.drill.verdict import Verdict

WRITES = Mix(rate=8, clients=8, weights={"create_album": 6, "list_photos": 1, "thumbnail": 1})
"""Writes that are under way at any moment, where creations are slow."""

UPLOADS = Mix(rate=6, clients=8, weights={"direct_upload": 1, "upload": 1, "thumbnail": 2})
"""Photos of which nobody reads the original again."""

SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Variant:
    """A broken fleet. `rule` is what its gate must say, None for the sound one, whose gate must
    hold; `also` are rules that the same damage cannot but violate too. `breaks` are changes of the
    service (`breaks.BREAKS`); with `replayed_writes` the proxy sends again what it sent already."""

    name: str
    title: str
    scenario: Scenario
    rule: str | None
    also: frozenset[str] = frozenset()
    breaks: tuple[str, ...] = ()
    replayed_writes: bool = False

    def caught(self, verdict: Verdict) -> bool:
        """Whether the gate said exactly what it must."""
        violated = {item.rule for item in verdict.violations}
        if self.rule is None:
            return not violated
        return self.rule in violated and violated <= {self.rule, *self.also}


def _experiment(
    name: str, gate: Gate, steps: tuple[Step, ...], load: Mix, *, instances: int = 2
) -> Scenario:
    return Scenario(
        name,
        "part of the self-test",
        gate,
        steps,
        SECONDS,
        core=False,
        instances=instances,
        load=load,
    )


def _store_outage(name: str) -> Scenario:
    step = Step(4, "store-answer", {"status": 503, "seconds": 6})
    return _experiment(name, Gate.OUTAGE, (step,), UPLOADS)


def _scale_in(name: str) -> Scenario:
    return _experiment(name, Gate.LOSSLESS, (Step(4, "scale", {"to": 2}),), WRITES, instances=3)


REPEATED = frozenset({"refused"})
"""A client repeats what failed, and may be told that the first one's key is still in use."""

VARIANTS: Sequence[Variant] = (
    Variant(
        "lost-object",
        "an acknowledged upload is removed from the store",
        _experiment("lost-object", Gate.LOSSLESS, (Step(4, "remove-object"),), UPLOADS),
        "acknowledged-loss",
        also=frozenset({"ghost"}),
    ),
    Variant(
        "exit-at-once",
        "the server ends at once on SIGTERM",
        _scale_in("exit-at-once"),
        "failed",
        also=REPEATED,
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
        "displaced-handler",
        "the handler of SIGTERM was displaced, and the instance is killed at its grace",
        _scale_in("displaced-handler"),
        "failed",
        also=REPEATED,
        breaks=("slow-creations", "displaced-handler"),
    ),
    Variant(
        "late-drain",
        "readiness fails only after the listening socket is closed",
        _scale_in("late-drain"),
        "failed",
        also=REPEATED,
        breaks=("slow-creations", "late-drain"),
    ),
    Variant(
        "replayed-post",
        "the proxy sends POSTs again, to a server that forgets idempotency keys",
        _experiment("replayed-post", Gate.KILL, (Step(4, "kill-worker"),), WRITES),
        "duplicate",
        breaks=("slow-creations", "forgotten-keys"),
        replayed_writes=True,
    ),
    Variant(
        "refusal-without-date",
        "who is refused in an outage is not told when to come again",
        _store_outage("refusal-without-date"),
        "failed",
        breaks=("refusal-without-date",),
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
        "sound-replayed",
        "the proxy sends POSTs again, and idempotency keys make that harmless",
        _experiment("sound-replayed", Gate.KILL, (Step(4, "kill-worker"),), WRITES),
        None,
        breaks=("slow-creations",),
        replayed_writes=True,
    ),
    Variant(
        "sound-outage",
        "nothing is broken, and the store is away for a while",
        _store_outage("sound-outage"),
        None,
    ),
)
"""In the order in which they run."""

BY_HAND = (
    "no broken part of a fleet shows it alone; it is shown by records made by hand, in the tests"
    " of the gates"
)

WITHOUT_VARIANT: Mapping[str, str] = {
    "no-evidence": "a drill without load or fault is no broken fleet; " + BY_HAND,
    "refused": "comes along where clients repeat what failed; " + BY_HAND,
    "cut": "nginx holds back whole answers of the service as small as these; " + BY_HAND,
    "lost": "nginx answers before the patience of the clients ends; " + BY_HAND,
    "half-done": BY_HAND,
    "read-failed": BY_HAND,
    "cut-elsewhere": BY_HAND,
    "write-failed-elsewhere": BY_HAND,
    "elsewhere": BY_HAND,
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
