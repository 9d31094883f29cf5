"""What the serving plane and those who watch it from outside must agree on: names and paths.

Standard library only: of `photo_api` the operations plane may import this alone.
"""

RELEASE = "0.1.0"

API_PREFIX = "/api"
DEFAULT_PORT = 8000

INSTANCE_HEADER = "X-Instance"
REQUEST_ID_HEADER = "X-Request-ID"
IDEMPOTENCY_HEADER = "Idempotency-Key"

HEALTH_PATH = "/health"
METRICS_PATH = "/metrics"
LIVE_PATH = "/health/live"

REGISTRY_CHANNEL = "photo_api_instances"
"""PostgreSQL's NOTIFY channel that tells of each change of an instance's state."""

LOST_AFTER = 20.0
"""Seconds without a heartbeat after which an instance may be declared lost, and after which nobody
waits for a balancer any more."""
