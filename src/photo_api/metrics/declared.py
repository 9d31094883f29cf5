"""Every metric of the service, in one list. `docs/metrics.md` says what each is for.

Labels are bounded: each takes one of the values that stand here, or has a pattern that no id, token
or address matches.
"""

import re

from photo_api.metrics.metric import OTHER, Metric, counter, gauge, histogram, one_of

METHODS = one_of("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNMATCHED = "unmatched"
HANDLERS = re.compile(UNMATCHED + r"|/[a-z_{}./-]{0,80}")
"""Templates of routes, in which no digit is: `/api/photos/{photo_id}`."""
STATUSES = re.compile(r"[1-5][0-9]{2}")
IDENTITY = re.compile(r".{0,255}")
"""What an instance says of itself, of which there is one."""

PROCESSES = one_of("main", "web", "jobs")
CHECKS = one_of("database", "storage")

REQUEST_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds. Among them are the thresholds that objectives are set at: 0.25 for what is read, 1 for
what is written, 5 for an upload through the server."""

INFO = gauge(
    "photo_api_info",
    "The instance and this boot of it; always 1.",
    instance=IDENTITY,
    node=IDENTITY,
    region=IDENTITY,
    version=IDENTITY,
    boot_id=IDENTITY,
)
BUILD_INFO = gauge(
    "photo_api_build_info",
    "The release and the Python it runs on; always 1.",
    version=IDENTITY,
    python=IDENTITY,
)
START_TIME = gauge(
    "photo_api_start_time_seconds",
    "When this instance was started, in epoch seconds. Its counters begin there.",
)
READY = gauge("photo_api_ready", "Whether this instance wants requests, as /health says.")
CHECK_OK = gauge(
    "photo_api_check_ok",
    "Whether what the instance depends on was well at the last look.",
    check=CHECKS,
)
KEY_MADE = gauge(
    "photo_api_key_made_timestamp_seconds",
    "The date in the id of the key that signs, in epoch seconds; absent when its id has none.",
    keys=one_of("jwt", "secret", "cdn"),
)
WORKERS = gauge("photo_api_workers", "Web workers that take requests.")
WORKER_DEATHS = counter(
    "photo_api_worker_deaths_total",
    "Processes of this instance that ended untold, or in another way than they should.",
    process=one_of("web", "jobs"),
)
CPU_SECONDS = counter(
    "photo_api_cpu_seconds_total",
    "Processor time; decoders are the job worker's.",
    process=PROCESSES,
)
RESIDENT_MEMORY = gauge(
    "photo_api_resident_memory_bytes",
    "Resident memory; decoders are the job worker's.",
    process=PROCESSES,
)

REQUESTS = counter(
    "http_requests_total",
    "Requests that have ended; 499 are those whose clients went away before an answer.",
    method=METHODS,
    handler=HANDLERS,
    status=STATUSES,
)
REQUEST_DURATION = histogram(
    "http_request_duration_seconds",
    "From a request's head to the last byte of its answer.",
    REQUEST_EDGES,
    method=METHODS,
    handler=HANDLERS,
)
OBJECTIVE_REQUESTS = counter(
    "photo_api_objective_requests_total",
    "Requests by the objective that they count for, and whether they failed with 5xx.",
    objective=one_of("reads", "writes"),
    result=one_of("ok", "failed"),
)
UNBELIEVED_FORWARDS = counter(
    "photo_api_unbelieved_forwards_total",
    "Requests that name a client by X-Forwarded-For, and come from no trusted proxy.",
)
IN_FLIGHT = gauge(
    "http_requests_in_flight", "Requests that are being answered, to the end of their bodies."
)

DRAINING = gauge(
    "photo_api_draining_seconds", "For how long this instance has been draining; 0 before."
)
REQUESTS_CUT = counter(
    "photo_api_requests_cut_total", "Requests that the end of their worker has cut."
)

READERS = one_of("owners", "visitors")
WAYS = one_of("server", "direct")

UPLOADS = counter(
    "photo_api_uploads_total",
    "Uploads that ended: through the server with any result, direct ones that were confirmed.",
    way=WAYS,
    result=one_of(
        *("ok", "duplicate", "failed", "client_gone", "not_found", "too_large", "not_an_image"),
        *("bad_request", "validation_error", "request_timeout", "quota_exceeded", OTHER),
    ),
)
UPLOADED_BYTES = counter(
    "photo_api_uploaded_bytes_total", "Bytes of the uploads that ended well.", way=WAYS
)
PRESIGNS = counter(
    "photo_api_presigned_uploads_total",
    "Direct uploads that clients asked to begin.",
    result=one_of(
        *("ok", "duplicate", "failed", "unsupported_type", "too_large", "not_found"),
        *("upload_expired", "too_many_uploads", "quota_exceeded", OTHER),
    ),
)
CONFIRMS = counter(
    "photo_api_confirms_total",
    "Confirmations of direct uploads, repetitions among them.",
    result=one_of(
        *("ok", "duplicate", "failed", "not_found", "not_uploaded", "upload_mismatch"),
        *("too_many_requests", OTHER),
    ),
)
LOGINS = counter(
    "photo_api_logins_total",
    "Logins by e-mail and password.",
    result=one_of(
        *("ok", "failed", "invalid_credentials", "inactive_user", "too_many_requests"),
        *("overloaded", OTHER),
    ),
)
TOKEN_CHECKS = counter(
    "photo_api_token_checks_total",
    "Access tokens that were looked at: known from the last seconds, verified, or refused.",
    result=one_of("cached", "ok", "missing", "unauthenticated", "inactive_user", "failed", OTHER),
)
SHARE_VIEWS = counter(
    "photo_api_share_views_total",
    "Share links that were opened, by people or by programs.",
    by=one_of("person", "program"),
    result=one_of("ok", "not_found", "share_expired", "failed", OTHER),
)
URL_WAYS = one_of("cdn", "store")
READ_URLS = counter(
    "photo_api_read_urls_total",
    "Signed URLs that were handed out to read with, from the cache or newly signed.",
    readers=READERS,
    source=one_of("cached", "signed"),
    way=URL_WAYS,
)
URL_CACHE_BYTES = gauge(
    "photo_api_url_cache_bytes",
    "What the caches of signed URLs hold.",
    readers=READERS,
    way=URL_WAYS,
)

STREAMED = counter(
    "photo_api_streamed_images_total",
    "Images that were streamed through this server, or refused since too many were.",
    readers=READERS,
    result=one_of("begun", "refused"),
)
STREAMS = gauge("photo_api_streams", "Images that are being streamed through this server.")
UPLOAD_MEMORY_HELD = gauge(
    "photo_api_upload_memory_held_bytes",
    "What uploads through this server hold of PHOTO_API_UPLOAD_MEMORY.",
)
CDN_PROBES = counter(
    "photo_api_cdn_probes_total",
    "Looks at the CDN by the one instance that makes them for the fleet.",
    result=one_of("ok", "failed", "unknown"),
)
CDN_FALLBACK = gauge(
    "photo_api_cdn_fallback",
    "Whether this instance delivers without its CDN; absent where there is none.",
)

KINDS = one_of("renditions", "display", "shared_album", "metadata", "closed_account")

JOB_DURATION = histogram(
    "photo_api_job_duration_seconds",
    "Jobs that this instance ran, by how they ended.",
    (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    kind=KINDS,
    result=one_of(
        *("done", "not_wanted", "refused", "failed", "postponed", "taken_over", "handed_back"),
        "kept",
    ),
)

STORAGE_CALL_DURATION = histogram(
    "photo_api_storage_call_duration_seconds",
    "Calls of the object store, each try of its own.",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0),
    operation=one_of(
        *("put", "get", "peek", "open", "read", "head", "copy", "delete", "discard_parts"),
        *("list", "ping"),
    ),
    result=one_of("ok", "missing", "refused", "unavailable", "broken_off"),
)
BREAKER_OPEN = gauge(
    "photo_api_breaker_open",
    "Whether a process of this instance takes a dependency to be down, and does not ask it.",
    joined="max",
    breaker=one_of("database", "store", "store_writes"),
)
DATABASE_CONNECTIONS = gauge(
    "photo_api_database_connections",
    "Connections of the pools.",
    process=one_of("web", "jobs"),
    state=one_of("in_use", "idle"),
)
DATABASE_WAITING = gauge(
    "photo_api_database_waiting",
    "Requests and jobs that wait for a connection of a pool.",
    process=one_of("web", "jobs"),
)
DATABASE_REFUSALS = counter(
    "photo_api_database_refusals_total",
    "Those that got no connection: after the wait, or at once while the database is down.",
    process=one_of("web", "jobs"),
)
HEALTH_CHECKS = counter(
    "photo_api_health_checks_total",
    "Looks at what the instance depends on.",
    check=CHECKS,
    result=one_of("ok", "timeout", "schema", "refused", "unavailable"),
)
LOG_LINES_WAITING = gauge(
    "photo_api_log_lines_waiting",
    "Log lines that wait for the sink, or for a reader of standard error.",
    process=PROCESSES,
    way=one_of("sink", "stderr"),
)
LOG_LINES_LOST = counter(
    "photo_api_log_lines_lost_total",
    "Log lines that were lost on their way.",
    process=PROCESSES,
    way=one_of("sink", "stderr"),
)

TRACES = counter(
    "photo_api_traces_total",
    "Requests that were sampled, by chance or for their caller, or were not in spite of that one.",
    decision=one_of("own", "caller", "beyond_limit"),
)
SPANS_WAITING = gauge(
    "photo_api_spans_waiting",
    "Spans that wait for the collector.",
    process=one_of("web", "jobs"),
)
SPANS_LOST = counter(
    "photo_api_spans_lost_total",
    "Spans that the collector did not take.",
    process=one_of("web", "jobs"),
)

PUSHES = counter(
    "photo_api_pushes_total",
    "Pushes of these metrics to a Pushgateway.",
    result=one_of("ok", "failed"),
)

# Of the whole fleet: counted by one instance at a time, and told alike by all.

FLEET_COUNTED = gauge(
    "photo_api_fleet_counted_timestamp_seconds",
    "When the oldest of these numbers was counted, in epoch seconds.",
)
FLEET_USERS = gauge("photo_api_fleet_users", "Accounts.")
FLEET_ALBUMS = gauge("photo_api_fleet_albums", "Albums.")
FLEET_SHARES = gauge("photo_api_fleet_shares", "Share links that work.")
FLEET_PHOTOS = gauge("photo_api_fleet_photos", "Photos.")
FLEET_PHOTO_BYTES = gauge("photo_api_fleet_photo_bytes", "Bytes of the photos as uploaded.")
FLEET_TRASHED = gauge("photo_api_fleet_trashed_photos", "Photos in the trash.")
FLEET_TRASHED_BYTES = gauge(
    "photo_api_fleet_trashed_bytes", "Bytes of those as uploaded, which the store still has."
)
FLEET_WITHOUT_THUMBNAIL = gauge(
    "photo_api_fleet_photos_without_thumbnail",
    "Photos that have no thumbnail, though their file is not at fault, and no job for one.",
)
FLEET_JOBS = gauge(
    "photo_api_fleet_jobs",
    "Jobs that wait, are at work, or are dead.",
    kind=KINDS,
    state=one_of("queued", "leased", "dead"),
)
FLEET_OLDEST_JOB = gauge(
    "photo_api_fleet_oldest_job_seconds",
    "For how long the oldest job that may run has been waiting.",
    kind=KINDS,
)
FLEET_PENDING_UPLOADS = gauge(
    "photo_api_fleet_pending_uploads", "Direct uploads that wait for their confirmation."
)
FLEET_OLDEST_UPLOAD = gauge(
    "photo_api_fleet_oldest_pending_upload_seconds", "The age of the oldest of them."
)
FLEET_ORPHANS = gauge(
    "photo_api_fleet_orphan_objects", "Objects that the sweep is due to delete from the store."
)
FLEET_ORPHAN_BYTES = gauge(
    "photo_api_fleet_orphan_bytes", "Bytes of those among them whose size is known."
)
FLEET_OLDEST_ORPHAN = gauge(
    "photo_api_fleet_oldest_orphan_seconds",
    "For how long the oldest of them has been due.",
)
FLEET_KEPT_ORPHANS = gauge(
    "photo_api_fleet_kept_orphan_objects",
    "Those that a sweep took over a minute ago and that the store has kept.",
)
FLEET_INSTANCES = gauge(
    "photo_api_fleet_instances",
    "Boots in the registry, by state.",
    state=one_of("starting", "ready", "draining", "lost"),
)
DRAIN_RESULTS = one_of("whole", "cut")
FLEET_DRAIN = histogram(
    "photo_api_fleet_drain_seconds",
    "Drains from their begin to their end, those of instances that are gone among them.",
    (1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0),
    result=DRAIN_RESULTS,
)

METRICS = {metric.name: metric for metric in list(globals().values()) if isinstance(metric, Metric)}
"""By name, in the order in which they are declared and written down."""
