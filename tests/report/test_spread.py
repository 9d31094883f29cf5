"""Which steps count for an instance, by hand-made answers."""

from photo_fleet.dashboard.readings import Answer, Series
from photo_fleet.dashboard.window import Window
from photo_fleet.report.history import History, Measured, Wanted
from photo_fleet.report.spread import traffic
from photo_fleet.spec.fleet import Fleet

END = 1_800_000_000.0
STEP = 360.0
Told = dict[str, list[float | None]]


def history(**told: Told) -> History:
    """The last steps of a day, by name of the question and instance."""
    window = Window(END - 86400, END)
    told = {"web": {name: [float(name != "jobs")] for name in told["ready"]}, **told}
    answers = {
        name: Answer(
            tuple(
                Series(
                    {"instance": instance},
                    tuple(
                        (END - STEP * (len(numbers) - 1 - n), number)
                        for n, number in enumerate(numbers)
                        if number is not None
                    ),
                )
                for instance, numbers in each.items()
            )
        )
        for name, each in told.items()
    }
    return History(
        Wanted("daily", Fleet(), END), 0, Measured(window, answers), Measured(window, {})
    )


def test_a_step_in_the_midst_of_which_one_came_does_not_count_for_it() -> None:
    found = traffic(
        history(
            ready={"a": [1, 1], "b": [1, 1], "c": [None, 1]},
            samples={"a": [24, 24], "b": [24, 24], "c": [None, 8]},
            requests={"a": [600, 500], "b": [600, 500], "c": [None, 160]},
        )
    )
    assert found.faults == []
    assert {row[0] for row in found.tables[0].rows} == {"a", "b"}


def test_one_that_gets_too_little_for_all_of_its_steps_does() -> None:
    found = traffic(
        history(
            ready={"a": [1, 1], "b": [1, 1], "c": [1, 1]},
            samples={"a": [24, 24], "b": [24, 24], "c": [24, 24]},
            requests={"a": [600, 600], "b": [600, 600], "c": [160, 160]},
        )
    )
    assert any(fault.startswith("c had 0.35 times") for fault in found.faults)


def test_one_that_was_there_for_a_moment_keeps_nobody_from_being_judged() -> None:
    found = traffic(
        history(
            ready={"a": [1, 1, 1], "b": [1, 1, 1], "c": [1, None, None]},
            samples={"a": [24, 24, 24], "b": [24, 24, 24], "c": [24, None, None]},
            requests={"a": [9, 2000, 2000], "b": [9, 500, 500], "c": [9, None, None]},
        )
    )
    assert any(fault.startswith("a had 1.60 times") for fault in found.faults)


def test_one_that_runs_jobs_only_has_no_part() -> None:
    found = traffic(
        history(
            ready={"a": [1, 1], "b": [1, 1], "jobs": [1, 1]},
            samples={"a": [24, 24], "b": [24, 24], "jobs": [24, 24]},
            requests={"a": [600, 600], "b": [600, 600], "another's": [9000, 9000]},
        )
    )
    assert found.faults == []
    assert {row[0] for row in found.tables[0].rows} == {"a", "b"}
    assert [curve.name for curve in found.plots[0].curves] == ["a", "b"]
