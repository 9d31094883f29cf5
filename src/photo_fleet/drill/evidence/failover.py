"""What a fleet may forget when a standby takes its database's place that had not received all of
it: the clients' account without what was acknowledged in that gap. Pure."""

import math
from dataclasses import dataclass, replace

from photo_fleet.drill.evidence.reconcile import Evidence, reconcile
from photo_fleet.drill.records import Discrepancies

OBJECT = "object "
"""With this begin the words for an object in the store that belongs to no photo."""


@dataclass(frozen=True, slots=True)
class Gap:
    """From when the standby received nothing more until it took the database's place, on the
    ledger's clock."""

    began: float
    ended: float

    def __contains__(self, moment: float) -> bool:
        return self.began <= moment <= self.ended


def reconciled(evidence: Evidence, gap: Gap | None) -> Discrepancies:
    """Everything on which the evidence disagrees; what is lost of a gap's acknowledgements, and the
    objects of photos of which no row tells any more, are `left_behind`."""
    if gap is None:
        return reconcile(evidence)
    all_of_it, kept = reconcile(evidence), reconcile(_outside(evidence, gap))
    orphans = tuple(words for words in kept.ghosts if words.startswith(OBJECT))
    lost = set(kept.acknowledged_lost)
    return replace(
        kept,
        ghosts=tuple(words for words in kept.ghosts if words not in orphans),
        left_behind=(
            *(words for words in all_of_it.acknowledged_lost if words not in lost),
            *orphans,
        ),
    )


def _outside(evidence: Evidence, gap: Gap) -> Evidence:
    """The same, as if no answer had come in the gap: what was asked for may be there or not."""
    return replace(
        evidence,
        uploads=tuple(
            replace(item, deleted=False) if item.deleted_at in gap else item
            for item in evidence.uploads
            if item.acknowledged not in gap
        ),
        creations=tuple(
            replace(item, id=None) if item.acknowledged in gap else item
            for item in evidence.creations
        ),
        edits=tuple(
            replace(item, ended=math.inf, request=None) if item.ended in gap else item
            for item in evidence.edits
        ),
    )
