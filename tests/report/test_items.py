"""The founding guide's check list, item by item, and what each item of ours has."""

from itertools import chain

from photo_fleet.report.line import PERIODS, Period
from photo_fleet.report.making import ITEMS

OF_THE_GUIDE: dict[Period, dict[str, tuple[str, ...]]] = {
    "daily": {
        "do all instances pass their health checks?": ("health",),
        "is traffic spread evenly over instances?": ("traffic",),
        "is the frequency of restarts normal?": ("restarts",),
    },
    "weekly": {
        "review of the log of autoscaling events": ("scaling", "oscillation"),
        "analysis of performance differences among instances": ("outliers",),
        "analysis of the patterns of health check failures": ("health-patterns",),
    },
    "monthly": {
        "optimisation of the autoscaling policy": ("sizes", "replay", "headroom"),
        "review of the size of instances": ("cpu-size", "memory-size"),
        "optimisation of cost": ("cost", "idle-hours"),
    },
}
"""Section 7 of it, and the lines that answer."""


def test_each_item_of_the_guide_is_a_line() -> None:
    for period, asked in OF_THE_GUIDE.items():
        told = {item.code for item in ITEMS[period]}
        assert set(chain.from_iterable(asked.values())) <= told
    assert set(ITEMS) == set(PERIODS) == set(OF_THE_GUIDE)


def test_each_line_says_what_to_do_and_what_shows_more() -> None:
    for items in ITEMS.values():
        assert len({item.code for item in items}) == len(items)
        for item in items:
            assert item.question.endswith("?")
            assert item.todo
            assert item.command
