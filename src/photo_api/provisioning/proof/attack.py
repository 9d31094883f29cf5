"""One thing that is tried, and what follows from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from photo_api.provisioning.proof.outcomes import Outcome
from photo_api.provisioning.proof.stage import Stage


def always(_: Stage) -> bool:
    return True


def never(_: Stage) -> bool:
    return False


def on_swift(stage: Stage) -> bool:
    return stage.is_swift


def on_s3(stage: Stage) -> bool:
    return not stage.is_swift


@dataclass(frozen=True, slots=True)
class Attack:
    """`claim` is what should hold, `follows` what it means where it does not. `needed`: the
    service relies on that. What is not is only good to know."""

    code: str
    claim: str
    follows: str
    run: Callable[[Stage], Awaitable[Outcome]]
    needed: Callable[[Stage], bool] = always
    applies: Callable[[Stage], bool] = always
