"""What the serving plane and its observers must agree on: names and paths.

Standard library only: of `photo_api` the operations plane may import this alone.
"""

RELEASE = "0.2.0"
UPGRADES_FROM = ("0.1.0",)
"""Releases that may serve beside this one on one database, whichever of the two migrated it: from
them a deploy leads here, and back."""

API_PREFIX = "/api"
DEFAULT_PORT = 8000

GALLERY_VIEWS = (
    *("/", "/albums", "/albums/{id}", "/favourites", "/archive", "/trash", "/search", "/account"),
    *("/register", "/reset"),
)
"""Addresses of the gallery's own views, which all get its page."""
GALLERY_ASSETS = "/assets/"
"""What the page loads, each file named after what is in it."""
GALLERY_FILES = (
    *("/index.html", "/icon.svg", "/icon-192.png", "/icon-512.png", "/icon-maskable.png"),
    *("/apple-touch-icon.png", "/manifest.webmanifest", "/start.js"),
)
"""What browsers look for under names that stay."""
SHARE_PAGES = "/share/"
"""Below it, by a link's token, what its visitors see."""

INSTANCE_HEADER = "X-Instance"
REQUEST_ID_HEADER = "X-Request-ID"
IDEMPOTENCY_HEADER = "Idempotency-Key"

CROSS_ORIGIN_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CROSS_ORIGIN_HEADERS = (
    *("Authorization", "Content-Type", IDEMPOTENCY_HEADER, REQUEST_ID_HEADER),
    *("traceparent", "tracestate", "baggage"),
    *("Range", "If-Range", "If-None-Match", "If-Modified-Since"),
)
"""What a front end on an allowed origin may send: to those of the API come what tracing adds to
every request, and what a player or a cache of one's own asks with."""
OF_BYTES_READABLE = ("Accept-Ranges", "Content-Range", "Content-Disposition")
CROSS_ORIGIN_READABLE = (
    *(REQUEST_ID_HEADER, INSTANCE_HEADER, "Link", "Retry-After"),
    *OF_BYTES_READABLE,
)
"""What that front end may read: with the last, a part of a file and its name."""
CROSS_ORIGIN_MAX_AGE = 600
"""Seconds for which a browser remembers a preflight's answer."""

HEALTH_PATH = "/health"
METRICS_PATH = "/metrics"
LIVE_PATH = "/health/live"

WEB_WORKER = "photo_api.web_worker"
"""The module that a web worker runs, as its command line says."""

PROBE_TIMEOUT = 1.5
"""Seconds that an instance's look at its database may take; after them the database is away."""

REGISTRY_CHANNEL = "photo_api_instances"
"""PostgreSQL's NOTIFY channel for each change of an instance's state."""

HEARTBEAT = 5.0
"""Seconds between two signs of life of an instance, and of a balancer, in the registry."""

ALIVE = ("starting", "ready", "draining")
"""States of a boot that may run."""

LOST_AFTER = 20.0
"""Seconds without a heartbeat after which an instance may be declared lost, and after which nobody
waits for a balancer any more."""

CDN_PROBE_PREFIX = "renditions/probe/"
"""Of the keys of objects that are there to be fetched through the CDN. No photo's key begins so."""

LARGEST_UPLOAD = 50 * 1024 * 1024
"""Bytes of a photo that the service takes, unless it is told otherwise."""

UPLOAD_MEMORY = 64 * 1024 * 1024
"""Bytes that a web worker holds of uploads through it, unless it is told otherwise."""

STOP_MARGIN = 4.0
"""Seconds that an instance's end takes for what has no setting: cutting what is left (1), the last
word to the registry (2) and the supervisor's own log lines (1). It refuses to start without them.
"""
