"""Of whatever fractions a spec has: no limit is rendered shorter, and no budget longer."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_api.http.connections import Connections
from photo_api.settings.loading import load as load_settings
from photo_api.web_worker import server_config
from photo_base.embedded import EmbeddedAddresses
from photo_fleet.local_fleet.local_spec import local_spec
from photo_fleet.render import environment, nginx, systemd
from photo_fleet.render.nginx_text import rate, time
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer, Drain, Fleet, Service
from photo_fleet.spec.settings import settings as mapping

NOISE = 1e-8
EMBEDDED = EmbeddedAddresses("", "", "http://127.0.0.1:1", "", "photos", "us-east-1", "", "", {})
SECONDS = st.one_of(
    st.floats(0.001, 100_000, allow_nan=False),
    st.decimals(1, 4000, places=3).map(float),
    st.sampled_from([0.5, 2.5, 30.5, 59.9996, 3600.123]),
)
DRAINS = st.builds(
    Drain,
    lame_duck=SECONDS,
    in_flight_wait=SECONDS,
    log_flush=SECONDS,
    grace=SECONDS,
    kill_delay=SECONDS,
)
FLEETS = st.builds(
    Fleet,
    drain=DRAINS,
    service=st.builds(Service, longest_request=SECONDS, keep_alive=SECONDS),
    balancer=st.builds(
        Balancer,
        keep_alive=SECONDS,
        client_keep_alive=SECONDS,
        read_timeout=SECONDS,
        send_timeout=SECONDS,
        connect_timeout=SECONDS,
    ),
)


def _is_limit(rendered: float, wanted: float) -> bool:
    return wanted - NOISE <= rendered <= wanted + 0.001


@settings(deadline=None, max_examples=100)
@given(FLEETS)
def test_an_instance_gets_its_times_in_full(fleet: Fleet) -> None:
    [text] = environment.files(fleet).values()
    told = dict(re.findall(r"^PHOTO_API_(\w+)=(.*)$", text, re.MULTILINE))
    drain = fleet.drain
    local = mapping(local_spec(fleet, EMBEDDED, "http://127.0.0.1:2"))
    times = ("LAME_DUCK", "DRAIN_WAIT", "LOG_FLUSH", "GRACE", "KEEP_ALIVE")
    assert all(local[f"PHOTO_API_{name}"] == told[name] for name in times)
    assert _is_limit(float(told["LAME_DUCK"]), drain.lame_duck)
    assert _is_limit(float(told["DRAIN_WAIT"]), drain.in_flight_wait)
    assert _is_limit(float(told["LOG_FLUSH"]), drain.log_flush)
    assert int(told["KEEP_ALIVE"]) >= fleet.service.keep_alive
    assert drain.grace - 0.001 <= float(told["GRACE"]) <= drain.grace + NOISE
    unit = systemd.instance_files(fleet)["photo-api.service"]
    [stop] = re.findall(r"^TimeoutStopSec=(.*)$", unit, re.MULTILINE)
    assert _is_limit(float(stop), drain.grace)
    assert float(stop) >= float(told["GRACE"])


@settings(deadline=None, max_examples=60)
@given(FLEETS)
def test_nginx_gets_its_times_in_full(fleet: Fleet) -> None:
    text = nginx.files(fleet, Places())["nginx.conf"]
    balancer = fleet.balancer
    for name, wanted in {
        "worker_shutdown_timeout": fleet.service.longest_request,
        "proxy_read_timeout": balancer.read_timeout,
        "proxy_send_timeout": balancer.send_timeout,
        "proxy_connect_timeout": balancer.connect_timeout,
        "keepalive_timeout": balancer.client_keep_alive,
    }.items():
        found = re.findall(rf"\b{name} (\d+)(m?)s;", text)
        assert found, name
        seconds = [int(number) / (1000 if milli else 1) for number, milli in found]
        assert any(_is_limit(number, wanted) for number in seconds), name
    unit = systemd.balancer_files(fleet)["photo-fleet-nginx.service"]
    [stop] = re.findall(r"^TimeoutStopSec=(.*)$", unit, re.MULTILINE)
    assert float(stop) >= fleet.service.longest_request - NOISE


@given(SECONDS)
def test_nginx_s_numbers_are_rounded_up(number: float) -> None:
    told = time(number)
    assert _is_limit(float(told[:-2]) / 1000 if told.endswith("ms") else float(told[:-1]), number)
    told = rate(number)
    assert int(told[:-3]) * (60 if told.endswith("r/s") else 1) >= number * 60 - 1e-5


@pytest.mark.parametrize("wait", ["0.4", "2.5", "30", "30.5"])
def test_a_worker_waits_as_long_as_it_is_told(wait: str) -> None:
    given = {
        "PHOTO_API_MODE": "development",
        "PHOTO_API_DATABASE_URL": "postgresql://localhost/photos",
        "PHOTO_API_S3_ENDPOINT": "http://localhost:8333",
        "PHOTO_API_JWT_KEYS": "k1:" + "0123456789abcdef" * 2,
        "PHOTO_API_SECRET_KEYS": "s1:" + "0123456789abcdef" * 2,
        "PHOTO_API_DRAIN_WAIT": wait,
        "PHOTO_API_GRACE": "60",
    }
    config = server_config(load_settings(given), None, "a", Connections())
    assert config.timeout_graceful_shutdown == float(wait)
