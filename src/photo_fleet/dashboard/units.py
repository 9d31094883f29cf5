"""Numbers with their units, as people read them, and the ticks of an axis."""

import math

from photo_fleet.dashboard.panel import Unit

AXES: dict[Unit, str] = {
    "short": "",
    "percentunit": "share",
    "s": "time",
    "bytes": "bytes",
    "Bps": "bytes per second",
    "reqps": "requests per second",
    "ops": "per second",
    "cores": "cores",
}
"""What an axis with this unit counts; a mere number needs no word."""

PER_SECOND = ("Bps", "reqps", "ops")
THOUSANDS = ("", "k", "M", "G", "T", "P")
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
TIMES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
STEPS = (1, 2, 2.5, 5, 10)
CLOCK: tuple[float, ...] = (2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
CLOCK += (21600, 43200, 86400)
"""Steps of an axis of time, in seconds."""
MOST_TICKS = 5


def told(value: float, unit: Unit) -> str:
    """A number with three digits that count, and its unit."""
    if not math.isfinite(value):
        return "–"
    if unit == "percentunit":
        return f"{_share(value)} %"
    if unit == "s":
        return _time(value)
    if unit in ("bytes", "Bps"):
        text = _scaled(value, 1024, BINARY, " ")
    else:
        text = _scaled(value, 1000, THOUSANDS, "")
    return f"{text}/s" if unit in PER_SECOND else text


def _digits(value: float, digits: int = 3) -> str:
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(places, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _share(value: float) -> str:
    """Of what is nearly everything, as many digits as tell it from all."""
    if 0.99 < value < 1:
        return f"{math.floor(value * 1e5) / 1e3:.3f}".rstrip("0").rstrip(".")
    return _digits(value * 100)


def _time(value: float) -> str:
    for size, name in TIMES:
        if abs(value) >= size * (1 if size <= 1 else 2):
            return f"{_digits(value / size)} {name}"
    return "0 s" if abs(value) < 1e-6 else f"{_digits(value * 1e6)} µs"


def _scaled(value: float, base: int, names: tuple[str, ...], gap: str) -> str:
    power = 0
    while abs(value) >= base and power < len(names) - 1:
        value /= base
        power += 1
    return f"{_digits(value)}{gap}{names[power]}"


def ticks(low: float, high: float, unit: Unit) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, which is greater; at most six."""
    step = _step((high - low) / (MOST_TICKS - 1), unit)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(first + 1, last) + 1)]


def _step(raw: float, unit: Unit) -> float:
    """The next round number that is not less: of bytes, of hours and minutes, or decimal."""
    if unit == "s" and raw > 1:
        return next((one for one in CLOCK if raw <= one), 0.0) or 86400 * _step(
            raw / 86400, "short"
        )
    base = 1.0
    if unit in ("bytes", "Bps"):
        base = 1024.0 ** max(0, math.floor(math.log(max(raw, 1), 1024)))
    size = base * 10.0 ** math.floor(math.log10(raw / base))
    step = next(one * size for one in STEPS if raw <= one * size * (1 + 1e-9))
    return max(step, 1.0) if unit in ("short", "bytes") else step
