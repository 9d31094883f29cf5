"""What a broken variant of a fleet is."""

from dataclasses import dataclass

from photo_fleet.drill.scenario import Scenario
from photo_fleet.drill.verdict import Verdict


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
