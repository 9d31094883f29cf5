"""Faults that are done to a real fleet are found, by the right code.

`UPDATE_GOLDEN=1` writes the table of docs/doctor.md anew.
"""

from collections.abc import Iterator

import pytest

from tests.doctor import rates_page
from tests.doctor.faults.fault import Fault
from tests.doctor.ground import Ground
from tests.doctor.rates import FAULTS, all_done, done, ground_for_faults

MOST_MISSED = 5
"""Of all: what a busy machine makes of some."""

needs = pytest.mark.needs("nginx", "prometheus", "prometheus-pushgateway", "faketime")


@pytest.fixture(scope="module")
def on() -> Iterator[Ground]:
    with ground_for_faults() as made:
        yield made


@needs
@pytest.mark.slow
def test_nothing_is_found_before_anything_is_done(on: Ground) -> None:
    assert on.findings() == {}


@needs
@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [one for one in FAULTS if one.slow], ids=lambda one: f"{one.code}: {one.name}"
)
def test_a_fault_is_found(fault: Fault, on: Ground) -> None:
    result = done(fault, on)
    assert result.right, str(result)


@needs
@pytest.mark.long
@pytest.mark.timeout(5400)
def test_nearly_all_faults_are_found() -> None:
    results = list(all_done())
    rates_page.put(rates_page.FAULTS, rates_page.faults_told(results))
    missed = [str(one) for one in results if not one.right]
    assert len(missed) <= MOST_MISSED, "\n".join(missed)
