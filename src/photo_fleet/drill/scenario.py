"""What a scenario is: what stands, what load it carries, what is done to it and when, and which
gate it is held to.

Times are in seconds since the load began.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from photo_fleet.drill.clients.mix import Mix
from photo_fleet.drill.gates import Gate

STAGING = 12.0
"""Seconds that a scenario takes besides its load: its stage, the sweep and the reconciliation."""

RATE = 10.0
"""Acts a second that two instances carry on two cores, with all else that runs there."""

FAULTS: Mapping[str, str] = {
    "observe": "nothing is done for `seconds`",
    "hang-up": "`clients` begin a request each and break it off, again and again for `seconds`",
    "scale": "the desired size becomes `to`; over when the fleet has settled",
    "deploy": "every instance is replaced, one at a time",
    "boot": "`count` instances start at the same moment",
    "kill-instance": "SIGKILL to all processes of one instance",
    "vanish-instance": "the same, and its address answers nobody any more",
    "kill-worker": "SIGKILL to one web worker of one instance",
    "kill-draining-worker": "SIGKILL to the web worker of an instance that leaves",
    "kill-proxy-worker": "SIGKILL to one worker of nginx",
    "stop-while-starting": "an instance gets SIGTERM within `within` seconds of its start,"
    " `times` times",
    "freeze-instance": "SIGSTOP to all processes of one instance, SIGCONT after `seconds`",
    "remove-by-health": "one instance ends and its address answers nobody; only failing health"
    " checks take it out",
    "rotate-keys": "new signing and encryption keys in three rolling steps",
    "rotate-credentials": "another role of the database and another key of the store in the"
    " instances' files; the first ones are locked for `seconds`, and then it goes back",
    "skew-clock": "one instance is replaced by one whose clock is `seconds` ahead, or behind",
    "database-restart": "PostgreSQL restarts at once",
    "database-stop": "PostgreSQL is stopped for `seconds`",
    "database-freeze": "SIGSTOP to all of PostgreSQL, SIGCONT after `seconds`",
    "database-limit": "PostgreSQL allows the service only `connections` for `seconds`",
    "database-cut-one": "one instance alone hears nothing from PostgreSQL until it has left,"
    " and for `seconds` more",
    "commit-unanswered": "a synchronous standby that is not there, for `seconds`: commits are"
    " carried out and not answered",
    "standby-promoted": "SIGKILL to all of PostgreSQL; its synchronous standby takes its place"
    " after `seconds`",
    "lagging-standby-promoted": "the same, after `seconds`, with an asynchronous standby that has"
    " received nothing for `lag` when PostgreSQL dies",
    "registry-delete": "the rows of all instances in the registry are deleted",
    "registry-rewind": "they say `starting` again",
    "store-restart": "the object store restarts",
    "store-answer": "the object store answers `status` to everything (`writes`: only to writes)"
    " for `seconds`",
    "store-hang": "the object store does not answer for `seconds`",
    "store-slow": "the object store takes `delay` seconds longer for each request, for `seconds`",
    "balancer-kill": "SIGKILL to the process that keeps nginx's members; restarted after `seconds`",
    "balancer-cut-registry": "the balancer hears nothing from PostgreSQL for `seconds`",
    "balancer-cut-instance": "the balancer alone does not reach one instance until it has left, and"
    " for `seconds` more",
    "balancer-pause": "a member leaves, and nginx takes no new connection for `seconds`",
}
"""What can be done to a fleet, with its arguments."""

FROM_OUTSIDE = frozenset({"observe", "hang-up"})
"""What needs nothing but the fleet's address."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fault, `at` so many seconds; a step waits for the one before to be over."""

    at: float
    fault: str
    arguments: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One experiment. `seconds` is how long the load lasts; `health_only`: the balancer learns of
    an instance's end by failing checks alone, at the interval of the spec."""

    name: str
    title: str
    gate: Gate
    steps: tuple[Step, ...]
    seconds: float
    core: bool = True
    short: bool = False
    instances: int = 2
    load: Mix = Mix(rate=RATE)
    balancers: int = 1
    health_only: bool = False

    @property
    def outside(self) -> bool:
        """Whether a fleet can be held to it of which only the address is known."""
        return all(step.fault in FROM_OUTSIDE for step in self.steps)

    @property
    def largest(self) -> int:
        """The most instances that it has at a time, those that leave not counted."""
        asked = [step.arguments.get("to", self.instances) for step in self.steps]
        asked += [self.instances + step.arguments.get("count", 0) for step in self.steps]
        return int(max(asked, default=self.instances))

    @property
    def estimate(self) -> float:
        """Seconds in all."""
        return self.seconds + STAGING
