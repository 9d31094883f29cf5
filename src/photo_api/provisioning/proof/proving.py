"""All attacks, one after the other."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from photo_api.provisioning.proof import confirming, keeping, reading, strangers, uploads
from photo_api.provisioning.proof.attack import Attack
from photo_api.provisioning.proof.outcomes import Outcome
from photo_api.provisioning.proof.stage import NotTaken, Stage
from photo_api.storage.base import ObjectChanged, ObjectMissing, StoreUnavailable

ATTACKS: tuple[Attack, ...] = (
    *uploads.ATTACKS,
    *confirming.ATTACKS,
    *reading.ATTACKS,
    *strangers.ATTACKS,
    *keeping.ATTACKS,
)


@dataclass(frozen=True, slots=True)
class Proof:
    """How an attack went. `follows` is for where it does not hold."""

    code: str
    needed: bool
    claim: str
    follows: str
    outcome: Outcome


async def prove(stage: Stage, progress: Callable[[str], None]) -> AsyncIterator[Proof]:
    """One after the other, so that the store has no more to do than for a single client."""
    attacks = [one for one in ATTACKS if one.applies(stage)]
    for at, attack in enumerate(attacks, start=1):
        progress(f"{at} of {len(attacks)}: {attack.claim}")
        outcome = await tried(attack, stage)
        yield Proof(attack.code, attack.needed(stage), attack.claim, attack.follows, outcome)


async def tried(attack: Attack, stage: Stage) -> Outcome:
    """What the store gives no answer about is unknown."""
    try:
        return await attack.run(stage)
    except ObjectMissing:
        return Outcome("unknown", "an object that was just put is not there")
    except ObjectChanged:
        return Outcome("unknown", "an object that was just put is another")
    except (StoreUnavailable, NotTaken) as error:
        return Outcome("unknown", str(error))
