"""What is rendered of a spec is what the spec says: no finding about cut requests."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from photo_fleet.rules.checks import check
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet
from tests.doctor.cut_stage import NEW, ended, host

SOUND: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "reload": {"balancer.membership": "reload"},
    "least connections": {"balancer.algorithm": "least-connections", "balancer.ipv6": False},
    "tls and store": {
        "balancer.tls.certificate": "/etc/ssl/a.pem",
        "balancer.tls.key": "/etc/ssl/a.key",
        "balancer.store": "http://10.0.0.5:8333",
    },
    "health only": {
        "drain.removal": "health-only",
        "drain.lame_duck": 105.0,
        "drain.grace": 144.0,
        "drain.kill_delay": 144.0,
    },
    "cloud": {"balancer.kind": "cloud"},
    "one": {"group.min": 1, "group.max": 1, "group.desired": 1},
    "fractions": {
        "drain.lame_duck": 10.12345,
        "drain.in_flight_wait": 30.00051,
        "service.longest_request": 30.0005,
        "balancer.read_timeout": 30.0005,
        "drain.grace": 61.98765,
    },
    "streaming": {"balancer.buffer_uploads": False},
    "many workers": {"service.workers": 4, "database.max_connections": 1000},
    "upload limit": {"balancer.upload_limit": 200 * 1024**2},
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_rendered_of_a_sound_spec_is_fine(name: str) -> None:
    fleet = changed(Fleet(), SOUND[name])
    assert not [one for one in check(fleet) if one.level == "error"]
    with host(fleet) as sound:
        sound.receipts = tuple(ended(number) for number in range(3))
        assert sound.found() == []
        sound.version = NEW
        assert sound.found() == []
        sound.receipts = ()
        assert sound.found() == []


SECONDS = st.floats(0.1, 500, allow_nan=False)


@settings(deadline=None, max_examples=15, phases=(Phase.generate,))
@given(
    st.fixed_dictionaries(
        {
            "service.longest_request": SECONDS,
            "service.keep_alive": st.integers(1, 3600).map(float),
            "balancer.keep_alive": st.integers(1, 3600).map(float),
            "balancer.client_keep_alive": st.integers(1, 3600).map(float),
            "balancer.connect_timeout": SECONDS,
            "balancer.send_timeout": SECONDS,
            "balancer.read_timeout": SECONDS,
            "balancer.upload_limit": st.integers(1, 5 * 1024**3),
            "drain.lame_duck": SECONDS,
            "drain.in_flight_wait": SECONDS,
            "drain.log_flush": SECONDS,
            "drain.grace": st.floats(1, 3600),
            "balancer.membership": st.sampled_from(["lua", "reload"]),
            "balancer.buffer_uploads": st.booleans(),
        }
    )
)
def test_of_whatever_spec_the_rendered_files_are_what_it_says(changes: dict[str, Any]) -> None:
    """What contradicts then is the spec alone."""
    with host(changed(Fleet(), changes)) as rendered:
        found = rendered.found()
        assert [one.evidence for one in found if one.code.startswith("reality")] == []
        codes = {one.code for one in found}
        # Of a spec that contradicts itself a unit may kill, and nginx may have no time to try.
        sound = not {one.code for one in check(rendered.fleet)}
        assert codes <= (set() if sound else {"spec-contradicts", "unit-kills", "proxy-retries"})


def test_a_spec_that_contradicts_is_told_as_check_tells_it() -> None:
    with host(
        changed(Fleet(), {"balancer.keep_alive": 75.0, "balancer.buffer_uploads": False})
    ) as it:
        found = it.only("spec-contradicts")
        assert "service.keep_alive 75s ≤ balancer.keep_alive 75s" in found.evidence
        assert "set service.keep_alive to 90s" in found.fix
        assert len(it.found()) == 1, "its warnings are check's"
