"""The broken variants as data: what is broken, which small scenario shows it, and which rule of its
gate must be violated by it, and no other."""

from collections.abc import Collection, Sequence

from photo_fleet.drill.gates import Gate
from photo_fleet.drill.scenario import Step
from self_test.experiments import (
    CARELESS,
    EDITS,
    READS,
    UPLOADS,
    UPLOADS_ALONE,
    WRITES,
    comparison,
    cut_one,
    edge_alone,
    experiment,
    failover,
    freeze,
    observed,
    pause,
    proxy_kill,
    read_only,
    rotation,
    scale_in,
    sinks,
    store_outage,
    unanswered,
)
from self_test.variant import Variant

REPEATED = frozenset({"refused"})
"""A client repeats what failed, and may be told that the first one's key is still in use."""

UNREACHED = frozenset({"acknowledged-loss"})
"""What is refused to the clients is refused to the drill too when it fetches their uploads."""

DIED = frozenset({*REPEATED, "unaccounted"})
"""An instance that ends without a drain also loses the end of its log."""

UNDRAWN = frozenset({"half-done"})
"""What is no picture gets no renditions."""

THUMBNAILS = frozenset({"failed"})
"""Who asks for a thumbnail that cannot be made has asked in vain."""

VARIANTS: Sequence[Variant] = (
    Variant(
        "lost-object",
        "an acknowledged upload is removed from the store",
        experiment("lost-object", Gate.LOSSLESS, (Step(4, "remove-object"),), UPLOADS),
        "acknowledged-loss",
        also=frozenset({"ghost"}),
    ),
    Variant(
        "compared-loss",
        "the same, in a run that is only compared",
        comparison("compared-loss", "remove-object"),
        "acknowledged-loss",
        also=frozenset({"ghost"}),
    ),
    Variant(
        "exit-at-once",
        "the server ends at once on SIGTERM",
        scale_in("exit-at-once"),
        "failed",
        also=DIED,
        breaks=("slow-creations", "exit-at-once"),
    ),
    Variant(
        "trusting-confirm",
        "confirmations are believed without a look at the store",
        experiment(
            "trusting-confirm", Gate.LOSSLESS, (Step(4, "confirm-without-upload"),), UPLOADS
        ),
        "ghost",
        also=UNDRAWN,
        breaks=("trusting-confirm",),
    ),
    Variant(
        "trusting-bytes",
        "confirmations are believed, whatever the uploaded bytes are",
        observed("trusting-bytes", CARELESS),
        "failed",
        also=UNDRAWN,
        breaks=("trusting-confirm",),
    ),
    Variant(
        "forgotten-edits",
        "changes of albums are answered and not carried out",
        observed("forgotten-edits", EDITS),
        "acknowledged-loss",
        breaks=("forgotten-edits",),
    ),
    Variant(
        "refused-renditions",
        "no photo can be decoded, so none gets its renditions",
        observed("refused-renditions", UPLOADS),
        "half-done",
        also=THUMBNAILS,
        breaks=("refused-renditions",),
    ),
    Variant(
        "leaking-log",
        "every tenth line of the instances' logs is lost",
        observed("leaking-log", READS),
        "unaccounted",
        breaks=("leaking-log",),
    ),
    Variant(
        "displaced-handler",
        "the handler of SIGTERM was displaced, and the instance is killed at its grace",
        scale_in("displaced-handler"),
        "failed",
        also=DIED,
        breaks=("slow-creations", "displaced-handler"),
    ),
    Variant(
        "late-drain",
        "readiness fails only after the listening socket is closed",
        scale_in("late-drain"),
        "failed",
        also=DIED,
        breaks=("slow-creations", "late-drain"),
    ),
    Variant(
        "hasty-end",
        "an instance that leaves cuts requests, and says so",
        scale_in("hasty-end"),
        "refused",
        also=frozenset({"failed"}),
        breaks=("slow-creations", "hasty-end"),
    ),
    Variant(
        "flattering-receipt",
        "the same, and its receipt says that it finished them",
        scale_in("flattering-receipt"),
        "false-receipt",
        also=frozenset({"refused", "failed"}),
        breaks=("slow-creations", "hasty-end", "flattering-receipt"),
    ),
    Variant(
        "replayed-post",
        "the proxy sends POSTs again, to a server that forgets idempotency keys",
        experiment("replayed-post", Gate.KILL, (Step(4, "kill-worker"),), WRITES),
        "duplicate",
        breaks=("slow-creations", "forgotten-keys"),
        proxy_breaks=("replayed-writes",),
    ),
    Variant(
        "refusal-without-date",
        "refusals in an outage come without Retry-After",
        store_outage("refusal-without-date"),
        "failed",
        breaks=("refusal-without-date",),
    ),
    Variant(
        "late-recovery",
        "an outage is over, and the service does not take note for 14 seconds",
        store_outage("late-recovery", 34.0),
        "recovered-late",
        also=frozenset({"refused-after"}),
        breaks=("late-recovery",),
    ),
    Variant(
        "unseen-secrets",
        "the instances do not look at the files of their secrets again",
        rotation("unseen-secrets"),
        "refused",
        also=frozenset({"failed"}),  # URLs that were signed with the key that is locked
        breaks=("unseen-secrets",),
    ),
    Variant(
        "discarding-upload",
        "the bytes of an upload are deleted when its commit gets no answer",
        unanswered("discarding-upload"),
        "ghost",
        also=frozenset({"acknowledged-loss", "half-done", "store-failed"}),
        breaks=("discarding-upload",),
    ),
    Variant(
        "lagging-standby",
        "the standby that is promoted is not synchronous, and lags",
        experiment("lagging-standby", Gate.OUTAGE, (Step(4, "untold-lag"),), UPLOADS),
        "acknowledged-loss",
        also=frozenset({"failed", "ghost", "half-done", "recovered-late", "not-recovered"}),
    ),
    Variant(
        "untold-lag",
        "the same, in a drill that allows for a lag and is told of none",
        failover("untold-lag", "untold-lag"),
        "acknowledged-loss",
        also=frozenset({"failed", "ghost", "half-done"}),
    ),
    Variant(
        "burying-runner",
        "a store that refuses writes counts as the failure of the job that meets it",
        read_only("burying-runner"),
        "half-done",
        breaks=("burying-runner",),
    ),
    Variant(
        "unmended-row",
        "an instance does not look at its row in the registry again",
        experiment("unmended-row", Gate.LOSSLESS, (Step(4, "registry-delete"),), UPLOADS),
        "unkept",
        breaks=("unmended-row",),
    ),
    Variant(
        "untold-losses",
        "log lines that are lost on their way to a collector are neither counted nor told",
        sinks("untold-losses", "sinks-refuse"),
        "unkept",
        breaks=("untold-losses",),
    ),
    Variant(
        "patient-queues",
        "an instance that leaves waits until a collector that is gone has its last line",
        sinks("patient-queues", "sinks-down"),
        "unkept",
        breaks=("patient-queues",),
    ),
    Variant(
        "born-ready",
        "a worker that is started during a drain is ready",
        experiment("born-ready", Gate.KILL, (Step(4, "kill-draining-worker"),), READS, instances=3),
        "unkept",
        also=frozenset({"unaccounted"}),
        breaks=("born-ready",),
    ),
    Variant(
        "always-healthy",
        "an instance without its database says that it is well",
        cut_one("always-healthy", "database-cut-one"),
        "unkept",
        breaks=("always-healthy",),
    ),
    Variant(
        "forgotten-members",
        "a balancer that is cut from the registry forgets its members",
        experiment(
            "forgotten-members",
            Gate.LOSSLESS,
            (Step(4, "balancer-cut-registry", {"seconds": 8}),),
            READS,
        ),
        "unkept",
        also=frozenset({"refused", "failed", *UNREACHED}),
        breaks=("forgotten-members",),
    ),
    Variant(
        "trusted-registry",
        "a balancer keeps a member that it does not reach, because the registry calls it ready",
        cut_one("trusted-registry", "balancer-cut-instance"),
        "unkept",
        breaks=("trusted-registry",),
    ),
    Variant(
        "sluggish-recovery",
        "an outage is over, and the service does not take note for 9 seconds",
        store_outage("sluggish-recovery", load=UPLOADS_ALONE),
        "refused-after",
        breaks=("sluggish-recovery",),
    ),
    Variant(
        "kept-members",
        "a frozen instance has left the members, and the proxy still sends requests to it",
        freeze("kept-members"),
        "elsewhere",
        proxy_breaks=("kept-members",),
    ),
    Variant(
        "forgetful-worker",
        "a worker of the proxy that takes a killed one's place knows no members",
        proxy_kill("forgetful-worker"),
        "elsewhere",
        also=UNREACHED,
        proxy_breaks=("forgetful-worker",),
    ),
    Variant(
        "forgetful-edge",
        "the edge keeps no image",
        edge_alone("forgetful-edge"),
        "unkept",
        proxy_breaks=("forgetful-edge",),
    ),
    Variant(
        "trusting-edge",
        "the edge takes no notice of the end of a URL",
        edge_alone("trusting-edge"),
        "unkept",
        proxy_breaks=("trusting-edge",),
    ),
    Variant(
        "exit-at-pause",
        "the server ends at once on SIGTERM while the balancer takes no connections",
        pause("exit-at-pause"),
        "elsewhere",
        also=frozenset({"unaccounted"}),
        breaks=("slow-creations", "exit-at-once"),
    ),
    Variant(
        "sound",
        "nothing is broken, and the same is done to it",
        experiment(
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
        comparison("sound-compared", "confirm-without-upload"),
        None,
    ),
    Variant(
        "sound-replayed",
        "the proxy sends POSTs again, and idempotency keys make that harmless",
        experiment("sound-replayed", Gate.KILL, (Step(4, "kill-worker"),), WRITES),
        None,
        breaks=("slow-creations",),
        proxy_breaks=("replayed-writes",),
    ),
    Variant(
        "sound-outage",
        "nothing is broken, and the store is away for a while",
        store_outage("sound-outage"),
        None,
    ),
    Variant(
        "sound-edge",
        "nothing is broken, and the edge alone is there",
        edge_alone("sound-edge"),
        None,
    ),
    Variant(
        "sound-failover",
        "nothing is broken, and a standby that lags is promoted",
        failover("sound-failover", "lagging-standby-promoted", lag=4, seconds=2),
        None,
    ),
    Variant(
        "sound-freeze",
        "nothing is broken, and an instance stands still",
        freeze("sound-freeze"),
        None,
    ),
    Variant(
        "sound-proxy-kill",
        "nothing is broken, and a worker of the proxy is killed",
        proxy_kill("sound-proxy-kill"),
        None,
    ),
    Variant(
        "sound-pause",
        "nothing is broken, and the balancer takes no connections for a second",
        pause("sound-pause"),
        None,
        breaks=("slow-creations",),
    ),
)
"""In the order in which they run."""


class UnknownVariant(Exception):
    """There is none of this name."""


def chosen(names: Collection[str]) -> list[Variant]:
    """Those of these names, or all. Raises `UnknownVariant`."""
    unknown = sorted(set(names) - {item.name for item in VARIANTS})
    if unknown:
        known = ", ".join(item.name for item in VARIANTS)
        raise UnknownVariant(f"{', '.join(unknown)}: the variants are {known}")
    return [item for item in VARIANTS if not names or item.name in names]
