"""Which clock decides: time by an instance's own is asked for in few places, each for a reason, and
nothing is deleted that one clock alone says is old."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "src"
PLANES = ("photo_api", "photo_base")

TOLD = "it is told to people and programs that read times"
SIGNED = "the other end judges by its own clock, with a margin for both"
MEASURED = "the clocks themselves are compared"
WALL = {
    "photo_api/accounts/authentication.py": "a verdict ends no later than its token",
    "photo_api/accounts/tokens.py": "a token bears its end; sessions end in the database",
    "photo_api/cloud/keystone.py": TOLD,
    "photo_api/cloud/query_api.py": f"{SIGNED}; set by the API's",
    "photo_api/cloud/sigv4.py": SIGNED,
    "photo_api/db/clocks.py": "to hold up a deletion, never to bring one about",
    "photo_api/delivery/bucketed.py": SIGNED,
    "photo_api/delivery/cdn.py": SIGNED,
    "photo_api/delivery/nginx_edge.py": SIGNED,
    "photo_api/delivery/s3.py": SIGNED,
    "photo_api/delivery/swift.py": SIGNED,
    "photo_api/health/configuration.py": "how old keys are, in days",
    "photo_api/health/worker_health.py": TOLD,
    "photo_api/jobs/statistics.py": TOLD,
    "photo_api/metrics/counts.py": TOLD,
    "photo_api/photos/thumbnail_urls.py": SIGNED,
    "photo_api/provisioning/cdn_check.py": "a certificate's end",
    "photo_api/provisioning/looking.py": MEASURED,
    "photo_api/provisioning/proof/opening.py": "an attack with a clock that is off",
    "photo_api/provisioning/proof/stage.py": "throw-away objects of earlier proofs",
    "photo_api/provisioning/s3_requests.py": SIGNED,
    "photo_api/provisioning/swift_check.py": "a certificate's end",
    "photo_api/renditions/dates.py": "which dates are of the future, by a day",
    "photo_api/storage/bucket.py": SIGNED,
    "photo_api/storage/role_credentials.py": "a key bears its end; an hour's renewal before it",
    "photo_api/supervisor/metrics.py": TOLD,
    "photo_api/telemetry/logs.py": TOLD,
    "photo_api/telemetry/loki.py": "Loki refuses lines of the future",
    "photo_api/tracing.py": TOLD,
    "photo_base/clock.py": MEASURED,
}
"""Files that ask for the time of day, and why that does no harm where it is wrong. How long
something takes, and when to try again, is the monotonic clock's; what rows say, the database's."""

NAMES = {"time.time", "time.time_ns", "time.localtime", "time.gmtime"} | {
    f"{name}.{method}"
    for name in ("datetime", "date", "datetime.datetime", "datetime.date")
    for method in ("now", "utcnow", "today")
}


def test_the_time_of_day_is_asked_for_in_known_places_alone() -> None:
    paths = [path for plane in PLANES for path in sorted((SOURCES / plane).rglob("*.py"))]
    asking = {str(path.relative_to(SOURCES)) for path in paths if any(asks(path.read_text()))}
    assert asking == set(WALL)


def asks(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    by_name = {
        alias.asname or alias.name: f"time.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
    }
    for node in ast.walk(tree):
        named = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
        if by_name.get(named, named) in NAMES:
            yield named


def test_the_walk_sees_every_way_to_ask() -> None:
    for source in (
        "import time\nclock = time.time",
        "from time import time\nnow = time()",
        "from time import time_ns as t\nnow = t()",
        "from datetime import datetime\ndatetime.now(UTC)",
        "import datetime\ndatetime.date.today()",
    ):
        assert any(asks(source)), source
    for source in ("loop.time()", "from time import monotonic\nmonotonic()", "time = 3"):
        assert not any(asks(source)), source
