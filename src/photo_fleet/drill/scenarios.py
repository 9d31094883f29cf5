"""The scenarios of every drill, as data."""

from dataclasses import replace

from photo_fleet.drill.clients.mix import EVERYDAY, Mix
from photo_fleet.drill.gates import Gate
from photo_fleet.drill.scenario import Scenario, Step

SLOW = Mix(rate=4, weights={**EVERYDAY, "slow_upload": 15, "slow_download": 15})
"""Uploads and downloads that take longer than an instance's other work."""

ARRIVING = Mix(rate=7, weights={**EVERYDAY, "slow_upload": 15}, slow=(3, 9))
"""At any moment there are uploads of which nothing but the last transaction is still to come."""

QUIET = Mix(rate=1)
"""Somebody is there, so that a loss would be seen, but hardly ever at the moment that counts."""

CORE = (
    Scenario(
        "scale-in-idle", "An instance leaves a fleet that has hardly anything to do", Gate.LOSSLESS,
        (Step(8, "scale", {"to": 2}),), 30, instances=3, load=QUIET,
    ),
    Scenario(
        "scale-in", "An instance leaves under load", Gate.LOSSLESS,
        (Step(10, "scale", {"to": 2}),), 40, short=True, instances=3,
    ),
    Scenario(
        "scale-in-slow", "An instance leaves during slow uploads and downloads", Gate.LOSSLESS,
        (Step(12, "scale", {"to": 2}),), 50, instances=3, load=SLOW,
    ),
    Scenario(
        "deploy", "A rolling deploy", Gate.LOSSLESS,
        (Step(8, "deploy"),), 40,
    ),
    Scenario(
        "resize", "From 2 instances to 10 and back", Gate.LOSSLESS,
        (Step(5, "scale", {"to": 10}), Step(30, "scale", {"to": 2})), 65,
    ),
    Scenario(
        "kill-instance", "kill -9 of an instance", Gate.KILL,
        (Step(10, "kill-instance"),), 28, short=True, instances=3,
    ),
    Scenario(
        "kill-worker", "kill -9 of an instance's web worker", Gate.KILL,
        (Step(10, "kill-worker"),), 30,
    ),
    Scenario(
        "kill-proxy-worker", "kill -9 of an nginx worker", Gate.PROXY_KILL,
        (Step(10, "kill-proxy-worker"),), 25,
    ),
    Scenario(
        "stop-while-starting", "SIGTERM to instances that are still starting", Gate.LOSSLESS,
        (Step(5, "stop-while-starting", {"within": 2.0, "times": 4}),), 35,
    ),
    Scenario(
        "freeze-instance", "SIGSTOP of an instance", Gate.FREEZE,
        (Step(10, "freeze-instance", {"seconds": 25}),), 46, instances=3,
    ),
    Scenario(
        "database-restart", "The database restarts", Gate.OUTAGE,
        (Step(10, "database-restart"),), 40, short=True,
    ),
    Scenario(
        "database-stop", "The database is away for 30 seconds", Gate.OUTAGE,
        (Step(8, "database-stop", {"seconds": 30}),), 55,
    ),
    Scenario(
        "store-restart", "The object store restarts", Gate.OUTAGE,
        (Step(10, "store-restart"),), 30,
    ),
    Scenario(
        "store-errors", "The object store answers 5xx", Gate.OUTAGE,
        (Step(8, "store-answer", {"status": 500, "seconds": 8}),
        Step(16, "store-answer", {"status": 503, "seconds": 8})), 37,
    ),
    Scenario(
        "store-hang", "The object store does not answer", Gate.OUTAGE,
        (Step(8, "store-hang", {"seconds": 15}),), 40,
    ),
    Scenario(
        "commit-unanswered", "Commits are carried out and not answered for 16 seconds", Gate.OUTAGE,
        (Step(8, "commit-unanswered", {"seconds": 16}),), 38, load=ARRIVING,
    ),
    Scenario(
        "boots", "Ten instances boot at the same moment", Gate.LOSSLESS,
        (Step(5, "boot", {"count": 10}),), 40, load=Mix(rate=5),
    ),
    Scenario(
        "rotate-keys", "Keys are rotated in three rolling steps", Gate.LOSSLESS,
        (Step(5, "rotate-keys"),), 70, load=Mix(rate=5),
    ),
    Scenario(
        "deregister-first",
        "An instance is taken out of the balancer first, then ends (beside health-only)",
        Gate.LOSSLESS, (Step(10, "scale", {"to": 2}),), 35, instances=3,
    ),
    Scenario(
        "health-only", "An instance ends, and only failing health checks take it out",
        Gate.COMPARISON, (Step(5, "remove-by-health"),), 102, instances=3, health_only=True,
    ),
)  # fmt: skip

FURTHER = tuple(replace(item, core=False) for item in (
    Scenario(
        "steady", "Nothing is done to the fleet", Gate.LOSSLESS,
        (Step(5, "observe", {"seconds": 40}),), 50,
    ),
    Scenario(
        "upgrade", "A deploy from the release before to this one, and one back", Gate.LOSSLESS,
        (Step(5, "upgrade"), Step(10, "go-back")), 75, instances=3,
    ),
    Scenario(
        "hang-up", "Clients that break off what they began", Gate.LOSSLESS,
        (Step(5, "hang-up", {"clients": 20, "seconds": 30}),), 45,
    ),
    Scenario(
        "database-freeze", "SIGSTOP of the database", Gate.OUTAGE,
        (Step(8, "database-freeze", {"seconds": 20}),), 55,
    ),
    Scenario(
        "database-limit", "The database allows hardly any connections", Gate.OUTAGE,
        (Step(8, "database-limit", {"connections": 3, "seconds": 25}),), 55,
    ),
    Scenario(
        "store-throttle", "The object store answers 429", Gate.OUTAGE,
        (Step(8, "store-answer", {"status": 429, "seconds": 20}),), 50,
    ),
    Scenario(
        "store-slow", "The object store takes 2 seconds longer", Gate.OUTAGE,
        (Step(8, "store-slow", {"delay": 2.0, "seconds": 25}),), 55,
    ),
    Scenario(
        "store-full", "The object store has no room left", Gate.OUTAGE,
        (Step(8, "store-answer", {"status": 507, "seconds": 20, "writes": 1}),), 50,
    ),
    Scenario(
        "vanish-instance", "An instance's machine vanishes, and its address answers nobody",
        Gate.KILL, (Step(8, "vanish-instance"),), 40, instances=3,
    ),
    Scenario(
        "rotate-credentials",
        "The credentials of database and store are rotated, and nothing is restarted",
        Gate.LOSSLESS, (Step(5, "rotate-credentials", {"seconds": 12}),), 60,
    ),
    Scenario(
        "skew-clock", "An instance's clock is 2 minutes ahead, then another's 2 minutes behind",
        Gate.LOSSLESS, (Step(5, "skew-clock", {"seconds": 120}),
        Step(35, "skew-clock", {"seconds": -120})), 90,
    ),
    Scenario(
        "balancer-kill", "The balancer's process is killed and restarted, then an instance leaves",
        Gate.LOSSLESS, (Step(8, "balancer-kill", {"seconds": 5}),
        Step(20, "scale", {"to": 2})), 60, instances=3,
    ),
    Scenario(
        "two-balancers", "An instance leaves behind two balancers", Gate.LOSSLESS,
        (Step(10, "scale", {"to": 2}),), 45, instances=3, balancers=2,
    ),
    Scenario(
        "balancer-pause", "A balancer takes no new connections for 1 second when a member leaves",
        Gate.PAUSE, (Step(10, "balancer-pause", {"seconds": 1}),), 45, instances=3,
    ),
    Scenario(
        "registry-lost", "Rows of the registry are deleted, then put back to `starting`",
        Gate.LOSSLESS, (Step(5, "registry-delete"), Step(14, "registry-rewind")), 30,
    ),
    Scenario(
        "database-cut-one", "One instance alone is cut from its database", Gate.FREEZE,
        (Step(5, "database-cut-one", {"seconds": 10}),), 75, instances=3,
    ),
    Scenario(
        "cdn-down", "The edge answers with errors, and the store is well", Gate.EDGE,
        (Step(8, "cdn-down", {"seconds": 12}),), 55,
    ),
    Scenario(
        "edge-alone", "API and store are away, and the edge serves what it has, for 20 seconds",
        Gate.EDGE, (Step(8, "edge-alone", {"seconds": 20}),), 60,
    ),
    Scenario(
        "store-readonly", "The object store refuses writes for 60 seconds", Gate.OUTAGE,
        (Step(8, "store-answer", {"status": 507, "seconds": 60, "writes": 1}),), 85,
    ),
    Scenario(
        "worker-death-in-lame-duck", "kill -9 of a web worker while its instance leaves", Gate.KILL,
        (Step(8, "kill-draining-worker"),), 40, instances=3,
    ),
    Scenario(
        "balancer-cut-registry", "The balancer is cut from the registry for 20 seconds",
        Gate.LOSSLESS, (Step(8, "balancer-cut-registry", {"seconds": 20}),), 45,
    ),
    Scenario(
        "balancer-cut-instance", "The balancer alone does not reach one instance", Gate.FREEZE,
        (Step(5, "balancer-cut-instance", {"seconds": 10}),), 60, instances=3,
    ),
    Scenario(
        "standby-promoted", "The database dies for good, and its synchronous standby is promoted",
        Gate.OUTAGE, (Step(5, "standby-promoted", {"seconds": 5}),), 45,
    ),
    Scenario(
        "lagging-standby-promoted",
        "The database dies for good, and a standby is promoted that lags 5 seconds",
        Gate.FAILOVER, (Step(5, "lagging-standby-promoted", {"lag": 5, "seconds": 5}),), 45,
    ),
    Scenario(
        "sinks-down", "An instance leaves while no collector of logs and no Pushgateway listens",
        Gate.LOSSLESS, (Step(5, "sinks-down", {"seconds": 6}),), 40, instances=3,
    ),
    Scenario(
        "sinks-slow", "An instance leaves while the collector answers too late and the gateway not",
        Gate.LOSSLESS, (Step(5, "sinks-slow", {"seconds": 6}),), 40, instances=3,
    ),
    Scenario(
        "sinks-refuse", "An instance leaves while the collector answers 429 and the gateway 500",
        Gate.LOSSLESS, (Step(5, "sinks-refuse", {"seconds": 6}),), 40, instances=3,
    ),
))  # fmt: skip
"""Those that `--all` adds."""

SCENARIOS = CORE + FURTHER
