"""What a broken variant of a fleet is, and the small scenarios that show it."""

from dataclasses import dataclass

from photo_fleet.drill.clients.mix import Mix
from photo_fleet.drill.gates import Gate
from photo_fleet.drill.scenario import Scenario, Step
from photo_fleet.drill.verdict import Verdict

SECONDS = 12.0


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


def experiment(
    name: str,
    gate: Gate,
    steps: tuple[Step, ...],
    load: Mix,
    *,
    instances: int = 2,
    seconds: float = SECONDS,
) -> Scenario:
    """One that only the self-test has."""
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
