"""The fleet as a whole: what users were promised, what they ask for, and what answers them."""

from photo_fleet.dashboard import objectives
from photo_fleet.dashboard.panel import (
    Board,
    Section,
    lines,
    quantile,
    rate,
    series,
    stack,
    stat,
    sum_or_none,
    total,
)
from photo_fleet.spec.fleet import Objectives

REQUESTS, DURATION = "http_requests_total", "http_request_duration_seconds"
API = 'handler=~"/api/.+"'
INSTANCES, DRAIN = "photo_api_fleet_instances", "photo_api_fleet_drain_seconds"


def _quantiles(matchers: str) -> tuple[tuple[str, str], ...]:
    return tuple((quantile(q, DURATION, matchers), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99))


TRAFFIC = Section(
    "Traffic",
    (
        stack(
            "Requests by status",
            "4xx: the client is at fault, or (499) went away. 5xx: the service is.",
            "reqps",
            *(
                (sum_or_none(rate(REQUESTS, f'status=~"{one}.."'), rate(REQUESTS)), f"{one}xx")
                for one in (5, 4, 3, 2)
            ),
        ),
        lines(
            "Requests by route",
            "The ten busiest routes of the API at each moment.",
            "reqps",
            (
                f"topk(10, {total(rate(REQUESTS, API), 'method, handler')})",
                "{{method}} {{handler}}",
            ),
        ),
        lines(
            "Duration of reads",
            "From a request's head to the last byte of its answer.",
            "s",
            *_quantiles(objectives.READS_TIMED),
        ),
        lines(
            "Duration of writes",
            "Without uploads through the server, which take as long as their clients need.",
            "s",
            *_quantiles(objectives.WRITES_TIMED),
        ),
    ),
)

CAPACITY = Section(
    "Capacity",
    (
        lines(
            "Instances wanted, ready and reached",
            "Wanted by the group where we run it, ready as they say, and members of nginx.",
            "short",
            (f"max({series('photo_fleet_desired_instances')})", "wanted"),
            (total(series("photo_api_ready")), "ready"),
            (f"max({series('photo_fleet_members')})", "members"),
        ),
        stack(
            "Instances by state",
            "Boots in the registry: starting, ready, draining, or lost in the last days.",
            "short",
            (f"max by (state) ({series(INSTANCES)})", "{{state}}"),
        ),
        lines(
            "Cores in use by an instance",
            "Processor time of all its processes; the group grows and shrinks by the average.",
            "cores",
            (f"avg({total(rate('photo_api_cpu_seconds_total'), 'instance')})", "average"),
            (f"max({total(rate('photo_api_cpu_seconds_total'), 'instance')})", "busiest"),
        ),
        stack(
            "Instances by release",
            "More than one while a deploy is under way.",
            "short",
            (f"count by (version) ({series('photo_api_build_info')})", "{{version}}"),
        ),
        lines(
            "Longest drain in an hour",
            "99 % of those that ended in the hour before took at most so long; the platform kills"
            " after the grace.",
            "s",
            (
                "histogram_quantile(0.99, max by (le)"
                f" (increase({series(f'{DRAIN}_bucket')}[1h])))",
                "longest",
            ),
        ),
        stack(
            "Drains in an hour",
            "Cut are those at whose limit requests were still under way.",
            "short",
            (f"round(max by (result) (increase({series(f'{DRAIN}_count')}[1h])))", "{{result}}"),
        ),
        lines(
            "Age of the fleet's numbers",
            "One job process counts them for all; nobody does when this grows.",
            "s",
            (f"time() - max({series('photo_api_fleet_counted_timestamp_seconds')})", "age"),
        ),
    ),
)

HOLDINGS = Section(
    "What it holds",
    (
        stat(
            "Users",
            "Accounts that there are.",
            "short",
            (f"max({series('photo_api_fleet_users')})", "users"),
        ),
        stat(
            "Albums",
            "Of all users.",
            "short",
            (f"max({series('photo_api_fleet_albums')})", "albums"),
        ),
        stat(
            "Share links",
            "That work now.",
            "short",
            (f"max({series('photo_api_fleet_shares')})", "links"),
        ),
        stat(
            "Photos",
            "Of all users.",
            "short",
            (f"max({series('photo_api_fleet_photos')})", "photos"),
        ),
        stat(
            "Originals",
            "Bytes of the photos as uploaded, without renditions.",
            "bytes",
            (f"max({series('photo_api_fleet_photo_bytes')})", "originals"),
        ),
        stat(
            "Photos in the trash",
            "Until PHOTO_API_TRASH_DAYS are over, or their owners empty it.",
            "short",
            (f"max({series('photo_api_fleet_trashed_photos')})", "photos"),
        ),
        stat(
            "Originals in the trash",
            "Bytes that the store has besides those of photos.",
            "bytes",
            (f"max({series('photo_api_fleet_trashed_bytes')})", "originals"),
        ),
    ),
)

NOW = Section(
    "Now",
    (
        stat(
            "Instances ready",
            "Instances that want requests, as /health says.",
            "short",
            (total(series("photo_api_ready")), "ready"),
        ),
        stat("Requests", "At the end of what is shown.", "reqps", (total(rate(REQUESTS)), "all")),
        stat(
            "In flight",
            "Requests that are being answered.",
            "short",
            (total(series("http_requests_in_flight")), "all"),
        ),
    ),
)


def fleet_board(spec: Objectives) -> Board:
    """With the objectives of a spec."""
    return Board(
        "photo-api-fleet",
        "Photo API: fleet",
        "What users were promised, what they ask for, and what answers them.",
        (Section("Objectives", objectives.panels(spec)), NOW, TRAFFIC, CAPACITY, HOLDINGS),
    )
