"""Reports that no fleet has told: a usual one, and one whose every text wants to be something
else."""

import math
from dataclasses import replace

from photo_fleet.report.line import Curve, Line, Plot, Report, Table

END = 1_792_800_000.0
DAY = 86_400.0

HOSTILE = (
    '"><script src=//evil.example.org></script><img src=x onerror=alert(1)>&amp;\u202e\u2066'
    "|`x`|``\\|** _b_ [a](javascript:alert(1)) ![i](//evil.example.org/i)\n# head\n\n| a | b |\r\n"
    "\x1b[2J\x07\x00\u200f\u2028<!-- -->]]></style>~~$x$ https://mina:secret@example.org/ שלום"
)
SECRET = "secret"


def wave(
    low: float, high: float, phase: float, step: float = 360.0
) -> tuple[tuple[float, float], ...]:
    """A day's points."""
    times = [END - DAY + step * number for number in range(int(DAY / step) + 1)]
    middle, size = (low + high) / 2, (high - low) / 2
    return tuple((at, middle + size * math.sin(at / 9000 + phase)) for at in times)


def usual() -> Report:
    """Two lines that pass, one that fails, one that is unknown, with all that lines may have."""
    names = [f"10.0.1.{10 + number}:8000" for number in range(5)]
    checks = Line(
        "checks-pass",
        "Does every instance pass its health checks?",
        "pass",
        "99.98 % of 28,800 checks passed; the least instance 99.95 %",
        todo="not shown",
        command="photo-fleet doctor --only restarts",
        plots=(
            Plot(
                "Checks that passed",
                "percentunit",
                tuple(Curve(name, wave(0.998, 1.0, n)) for n, name in enumerate(names)),
                limit=0.995,
                at_least=True,
            ),
        ),
    )
    traffic = Line(
        "traffic-even",
        "Is traffic even?",
        "fail",
        "10.0.1.14:8000 has 31.2 % of the requests, where chance gives 19.6 % to 20.4 %",
        todo="look for connections that stay at one instance",
        command="photo-fleet doctor --only traffic -v",
        tables=(
            Table(
                ("instance", "requests", "share", "mean time"),
                tuple(
                    (name, f"{12345 + n}", f"{17 + n} %", f"{n + 8} ms")
                    for n, name in enumerate(names)
                ),
                left_out=3,
            ),
        ),
        plots=(
            Plot("Requests", "reqps", tuple(Curve(n, wave(2, 9, k)) for k, n in enumerate(names))),
            Plot("Time of an answer", "s", (Curve("p95", wave(0.02, 0.2, 1)),), limit=0.3),
            Plot(
                "Members", "short", (Curve("members", wave(3, 5, 0, 3600)),), limit=2, at_least=True
            ),
            Plot("Requests that failed", "percentunit", ()),
        ),
    )
    logs = Line(
        "logs-whole",
        "Are log lines lost?",
        "unknown",
        "",
        why_unknown="Prometheus at http://10.0.0.9:9090: no answer within 10 s",
        todo="have Prometheus answer",
        command="curl -fsS http://10.0.0.9:9090/-/healthy",
    )
    drains = Line("drains-clean", "Were drains clean?", "pass", "6 drains, none cut a request")
    sources = ("Prometheus http://10.0.0.9:9090, all of 12 questions", "registry: 214 events")
    return Report(
        "daily", "photos", END - DAY, END, END + 4, (checks, traffic, logs, drains), sources
    )


def hostile() -> Report:
    """The same in which all that a fleet, Prometheus or a person may name is hostile, as numbers
    are that are none."""
    line = Line(
        "traffic-even", HOSTILE, "fail", HOSTILE, HOSTILE, HOSTILE, HOSTILE,
        tables=(Table((HOSTILE, "n"), ((HOSTILE, "1"), ("- 1", "# 2"), ("1. a", "+" * 5000))),),
        plots=(
            Plot(
                HOSTILE, "no unit",
                (
                    Curve(HOSTILE, ((END - 60, math.nan), (END - 30, math.inf), (END, 3.0))),
                    Curve("empty", ()), Curve("same time", ((END, 1.0), (END, 2.0))),
                    Curve("huge", ((-1e30, 1e300), (1e30, -1e300))),
                ),
                limit=math.nan,
            ),
            *(Plot(HOSTILE, "s", (Curve(HOSTILE, ((END, at),)),), limit=1.0) for at in (0, -1e9)),
        ),
    )  # fmt: skip
    return replace(usual(), fleet=HOSTILE, lines=(line,), sources=(HOSTILE,))
