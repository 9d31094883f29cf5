"""What the fleet stands on: database, object store, and where logs and numbers go."""

from photo_fleet.dashboard.panel import (
    Board,
    Section,
    lines,
    quantile,
    rate,
    series,
    stack,
    total,
)

CALLS = "photo_api_storage_call_duration_seconds"

SEEN = Section(
    "As instances see them",
    (
        lines(
            "Instances for which all is well",
            "At their last look at database and object store.",
            "short",
            (f"sum by (check) ({series('photo_api_check_ok')})", "{{check}}"),
        ),
        lines(
            "Instances that take it to be down",
            "A process of theirs asks it no more, until a try succeeds.",
            "short",
            (
                "sum by (breaker) (max by (instance, breaker)"
                f" ({series('photo_api_breaker_open')}))",
                "{{breaker}}",
            ),
        ),
        lines(
            "Looks that found a fault",
            "Timeout, missing migrations, refused credentials, unavailable.",
            "ops",
            (
                total(rate("photo_api_health_checks_total", 'result!="ok"'), "check, result"),
                "{{check}}: {{result}}",
            ),
        ),
    ),
)

DATABASE = Section(
    "Database",
    (
        stack(
            "Connections",
            "Of all pools; the spec's max_connections bounds them.",
            "short",
            (
                total(series("photo_api_database_connections"), "process, state"),
                "{{process}}: {{state}}",
            ),
        ),
        lines(
            "Waiting for a connection",
            "Requests and jobs at the moment of a report; more than none for long is a pool too"
            " small, or a database too slow.",
            "short",
            (total(series("photo_api_database_waiting"), "process"), "{{process}}"),
        ),
        lines(
            "Got no connection",
            "After the wait, or at once while the database is down.",
            "ops",
            (total(rate("photo_api_database_refusals_total"), "process"), "{{process}}"),
        ),
    ),
)

STORE = Section(
    "Object store",
    (
        stack(
            "Calls",
            "Each try of its own.",
            "ops",
            (total(rate(f"{CALLS}_count"), "operation"), "{{operation}}"),
        ),
        lines(
            "Duration of 95 % of the calls",
            "Of those that succeeded.",
            "s",
            (quantile(0.95, CALLS, 'result="ok"', "operation"), "{{operation}}"),
        ),
        lines(
            "Calls by result",
            "Unavailable ones are tried again; broken off are those that a reader or writer gave"
            " up.",
            "ops",
            (total(rate(f"{CALLS}_count"), "result"), "{{result}}"),
        ),
        lines(
            "Caches of signed URLs",
            "In all web workers.",
            "bytes",
            (total(series("photo_api_url_cache_bytes"), "readers"), "{{readers}}"),
        ),
    ),
)

CDN = Section(
    "CDN",
    (
        lines(
            "Looks at the CDN",
            "By one instance for all. Failed are those while the store is well; three in a row"
            " switch.",
            "ops",
            (total(rate("photo_api_cdn_probes_total"), "result"), "{{result}}"),
        ),
        lines(
            "Instances that deliver without it",
            "All of them, seconds after the switch.",
            "short",
            (f"sum({series('photo_api_cdn_fallback')})", "fallback"),
        ),
    ),
)

TELLING = Section(
    "Logs, metrics and traces",
    (
        lines(
            "Log lines that wait",
            "For the sink, or for a reader of standard error; the queue is bounded.",
            "short",
            (f"max by (way) ({series('photo_api_log_lines_waiting')})", "{{way}}"),
        ),
        lines(
            "Log lines lost",
            "Because a queue was full.",
            "ops",
            (total(rate("photo_api_log_lines_lost_total"), "way"), "{{way}}"),
        ),
        lines(
            "Pushes to a gateway",
            "None where Prometheus scrapes.",
            "ops",
            (total(rate("photo_api_pushes_total"), "result"), "{{result}}"),
        ),
        lines(
            "Requests that are traced",
            "By chance, for their caller, or not in spite of that one. None without a collector.",
            "ops",
            (total(rate("photo_api_traces_total"), "decision"), "{{decision}}"),
        ),
        lines(
            "Spans that wait",
            "For their collector; the queue is bounded.",
            "short",
            (f"max by (process) ({series('photo_api_spans_waiting')})", "{{process}}"),
        ),
        lines(
            "Spans lost",
            "Because the queue was full, or refused by the collector.",
            "ops",
            (total(rate("photo_api_spans_lost_total"), "process"), "{{process}}"),
        ),
    ),
)

AGES = Section(
    "What expires",
    (
        lines(
            "Age of keys",
            "Since the key that signs was made.",
            "s",
            (
                f"time() - max by (keys) ({series('photo_api_key_made_timestamp_seconds')})",
                "{{keys}}",
            ),
        ),
        lines(
            "Certificate valid for",
            "That of the nginx host, where it has one.",
            "s",
            (
                f"min({series('photo_fleet_certificate_expires_timestamp_seconds')}) - time()",
                "certificate",
            ),
        ),
    ),
)

DEPENDENCIES = Board(
    "photo-api-dependencies",
    "Photo API: dependencies",
    "What the fleet stands on: database, object store, and where logs and numbers go.",
    (SEEN, DATABASE, STORE, CDN, TELLING, AGES),
)
