"""All dashboards, and the events that are marked in their pictures. This is the one truth for
Grafana's JSON and for the page of `photo-fleet dashboard --html`."""

from photo_fleet.dashboard.dependencies_board import DEPENDENCIES
from photo_fleet.dashboard.fleet_board import fleet_board
from photo_fleet.dashboard.instances_board import INSTANCES
from photo_fleet.dashboard.panel import Board, Event, series
from photo_fleet.dashboard.uploads_board import UPLOADS_AND_RENDITIONS
from photo_fleet.spec.fleet import Objectives


def boards(spec: Objectives) -> tuple[Board, ...]:
    """With the objectives of a spec."""
    return fleet_board(spec), INSTANCES, UPLOADS_AND_RENDITIONS, DEPENDENCIES


BOARDS = boards(Objectives())
"""With those of the built-in defaults, as Grafana gets them."""

START = "photo_api_start_time_seconds"
DRAIN = "photo_api_fleet_drain_seconds"
LOST = 'state="lost"'

EVENTS = (
    Event(
        "Started",
        "{{instance}}, release {{version}}",
        f"1000 * {series(START)} * on (job, instance) group_left (version)"
        f" {series('photo_api_build_info')}",
        "green",
        at_value=True,
    ),
    Event(
        "Draining",
        "{{instance}}",
        f"max_over_time({series('photo_api_draining_seconds')}[$__rate_interval]) > 0",
        "blue",
    ),
    Event(
        "Drained",
        "an instance, {{result}}",
        f"max by (result) (increase({series(f'{DRAIN}_count')}[$__rate_interval])) > 0.5",
        "blue",
    ),
    Event(
        "Gone",
        "{{instance}}",
        # The second half is for series that end without a mark, as those of a gateway do.
        f"(last_over_time({series(START)}[$__rate_interval])"
        f" or {series(START)} offset $__rate_interval) unless {series(START)}",
        "purple",
    ),
    Event(
        "Lost",
        "an instance, as the others found",
        f"max(delta({series('photo_api_fleet_instances', LOST)}[$__rate_interval])) > 0",
        "red",
    ),
    Event(
        "Process died",
        "{{process}} of {{instance}}",
        f"increase({series('photo_api_worker_deaths_total')}[$__rate_interval]) > 0",
        "orange",
    ),
    Event(
        "Taken to be down",
        "{{breaker}}",
        "max by (breaker) (max_over_time("
        f"{series('photo_api_breaker_open')}[$__rate_interval])) > 0",
        "red",
    ),
)
