"""Several fleets in one Prometheus: which series are of the one that is reported on."""

import pytest

from photo_fleet.dashboard.panel import series
from photo_fleet.dashboard.readings import Answer, Series
from photo_fleet.dashboard.window import Window
from photo_fleet.report.boots import Boot
from photo_fleet.report.history import Registered
from photo_fleet.report.own_series import Ambiguous, Own, own_series

OURS = Registered((Boot("a1", "10.0.1.1"), Boot("a2", "10.0.1.2")))


def told(*targets: str) -> Answer:
    """By `job instance boot`."""
    labels = ("job", "instance", "boot_id")
    return Answer(
        tuple(Series(dict(zip(labels, one.split(), strict=True)), ((1.0, 1.0),)) for one in targets)
    )


def jobs(*names: str) -> Answer:
    return Answer(tuple(Series({"job": name}, ((1.0, 1.0),)) for name in names))


@pytest.mark.parametrize(
    ("targets", "names", "registered", "own"),
    [
        ((), (), OURS, Own()),
        ((), ("photo-api",), None, Own()),
        # Of a release, or a backfill, that tells nothing of itself.
        ((), ("photo-api",), OURS, Own()),
        (("p 10.0.1.1:80 a1", "p 10.0.1.2:80 a2"), ("p",), OURS, Own("p")),
        (("p 10.0.1.1:80 a1", "push 10.0.1.2:80 a2"), ("p", "push"), OURS, Own("p|push")),
        (("p 10.0.1.1:80 a1",), ("p", "x.y"), OURS, Own("p", left_out="the jobs x.y")),
        (("p.1 10.0.1.1:80 a1", "q 1:80 b1"), ("p.1", "q"), OURS, Own(r"p\.1", ".+", "the jobs q")),
        # Two fleets in one job.
        (
            ("p 10.0.1.1:80 a1", "p 10.0.9.1:80 b1"),
            ("p",),
            OURS,
            Own("p", r"10\.0\.1\.1:80", "instances that the registry does not know (10.0.9.1:80)"),
        ),
        # A boot that the registry has never heard of, at the place of one of ours.
        (("p 10.0.1.1:80 a1", "p 10.0.1.1:80 a0"), ("p",), OURS, Own("p")),
    ],
)
def test_the_registry_s_instances_decide(
    targets: tuple[str, ...], names: tuple[str, ...], registered: Registered | None, own: Own
) -> None:
    assert own_series(told(*targets), jobs(*names), registered) == own


@pytest.mark.parametrize(
    ("targets", "names", "registered", "why"),
    [
        (("p 1:80 b1", "q 2:80 c1"), ("p", "q"), None, r"in 2 jobs \(p, q\); name this fleet's by"),
        ((), ("p", "q"), OURS, "in 2 jobs"),
        (("p 1:80 b1",), ("p",), OURS, r"of no instance in it \(p\) the registry knows"),
        (("p 1:80 b1", "q 2:80 c1"), ("p", "q"), Registered(), "in 2 jobs"),
    ],
)
def test_where_nothing_tells_nothing_is_counted(
    targets: tuple[str, ...], names: tuple[str, ...], registered: Registered | None, why: str
) -> None:
    with pytest.raises(Ambiguous, match=why):
        own_series(told(*targets), jobs(*names), registered)


def test_a_registry_that_was_not_read_as_a_whole_tells_jobs_apart_alone() -> None:
    cut = Registered(OURS.boots, left_out="more boots than are read")
    found = own_series(told("p 1:80 a1", "p 2:80 b1", "q 3:80 c1"), jobs("p", "q"), cut)
    assert found == Own("p", left_out="the jobs q")


def test_what_is_asked_is_of_these_alone() -> None:
    window = Window(0, 60, job=r"p\.1|q", instance=r"10\.0\.1\.1:80")
    asked = window.expression(series("up"))
    assert asked == r'up{job=~"p\\.1|q",instance=~"10\\.0\\.1\\.1:80"}'
