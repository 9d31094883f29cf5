"""Every fault that can be done to a stage, by its name in the catalogue."""

from collections.abc import Awaitable, Callable, Mapping

from photo_fleet.drill.faults import (
    balancers,
    cdn,
    changes,
    clocks,
    credentials,
    cuts,
    deaths,
    edge,
    keystone,
    outages,
    outside,
    promotions,
    registry_rows,
    releases,
    sinks,
)
from photo_fleet.drill.faults.outside import Surroundings
from photo_fleet.drill.records import Fault
from photo_fleet.drill.scenario import Step

AVAILABLE: Mapping[str, Callable[..., Awaitable[Fault]]] = {
    "observe": outside.observe,
    "hang-up": outside.hang_up,
    "scale": changes.scale,
    "deploy": changes.deploy,
    "upgrade": releases.upgrade,
    "go-back": releases.go_back,
    "boot": changes.boot,
    "stop-while-starting": changes.stop_while_starting,
    "rotate-keys": changes.rotate_keys,
    "rotate-credentials": credentials.rotate_credentials,
    "kill-instance": deaths.kill_instance,
    "vanish-instance": deaths.vanish_instance,
    "kill-worker": deaths.kill_worker,
    "kill-draining-worker": deaths.kill_draining_worker,
    "kill-proxy-worker": deaths.kill_proxy_worker,
    "freeze-instance": deaths.freeze_instance,
    "remove-by-health": balancers.remove_by_health,
    "skew-clock": clocks.skew_clock,
    "balancer-kill": balancers.kill_balancer,
    "balancer-pause": balancers.pause_balancer,
    "balancer-cut-instance": cuts.cut_balancer_from_instance,
    "balancer-cut-registry": cuts.cut_balancer_from_registry,
    "registry-delete": registry_rows.delete_rows,
    "registry-rewind": registry_rows.rewind_rows,
    "commit-unanswered": outages.leave_commits_unanswered,
    "standby-promoted": promotions.promote_standby,
    "lagging-standby-promoted": promotions.promote_lagging_standby,
    "database-cut-one": cuts.cut_instance_from_database,
    "database-restart": outages.restart_database,
    "database-stop": outages.stop_database,
    "database-freeze": outages.freeze_database,
    "database-limit": outages.limit_connections,
    "sinks-down": sinks.lose_sinks,
    "sinks-slow": sinks.slow_sinks,
    "sinks-refuse": sinks.refuse_at_sinks,
    "store-restart": outages.restart_store,
    "store-stop": outages.stop_store,
    "store-answer": outages.store_answers,
    "store-hang": outages.store_hangs,
    "store-slow": outages.store_is_slow,
    "cdn-down": cdn.fail_cdn,
    "edge-alone": edge.serve_alone,
    "tokens-expire": keystone.outlive_tokens,
    "keystone-down": keystone.lose_keystone,
    "keystone-down-boot": keystone.grow_without_keystone,
}


async def inject(scene: Surroundings, step: Step) -> Fault:
    """Do what the step says, now; returns when it is over. Raises `KeyError` for a fault that this
    release cannot do, and what a stage raises that does not do as it is told."""
    return await AVAILABLE[step.fault](scene, **step.arguments)
