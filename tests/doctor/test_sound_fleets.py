"""Of fleets that are sound nothing is found.

`UPDATE_GOLDEN=1` writes the table of docs/doctor.md anew.
"""

import pytest

from tests.doctor import rates_page
from tests.doctor.rates import all_visited
from tests.doctor.sound import SOUND

needs = pytest.mark.needs("nginx", "prometheus", "prometheus-pushgateway")


@needs
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_nothing_is_found_of_any_sound_fleet() -> None:
    results = list(all_visited(SOUND))
    rates_page.put(rates_page.SOUND, rates_page.sound_told(results))
    assert [str(one) for one in results if one.findings or one.problem] == []
