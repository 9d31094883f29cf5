"""A machine of NHN Cloud: under systemd its units keep its place in the load balancer."""

import httpx
import pytest

from photo_fleet.render.environment import SITE
from photo_fleet.spec.changes import changed
from photo_fleet.spec.targets import for_target
from tests.machines.stage import BOOTS, GRACE, ONE_MACHINE, PINNED, VAULT, Stage, is_ready
from tests.openstack import keystone_v2
from tests.openstack.load_balancer import POOL, running
from tests.service import eventually, free_port

pytestmark = [pytest.mark.long, *BOOTS]

ADDRESS = "10.0.0.4"


def test_it_leaves_the_load_balancer_before_it_drains_and_is_put_back_at_its_next_boot(
    stage: Stage,
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running() as (balancer, keystone):
        told = {
            "group.nhn.network": balancer.url,
            "group.nhn.pool": POOL,
            "group.nhn.auth": keystone.url,
            "group.nhn.user": keystone_v2.USER,
        }
        fleet = changed(for_target(stage.fleet(port, PINNED), "nhn"), told)
        machine = stage.machine("photo-4", fleet)
        machine.write(f"{VAULT}/member-password", keystone_v2.PASSWORD, 0o600)
        site = f"PHOTO_API_MEMBER_ADDRESS={ADDRESS}\n"
        site += f"PHOTO_API_MEMBER_PROJECT_ID={keystone_v2.TENANT}\n"
        machine.write(SITE, ONE_MACHINE + site, 0o600)
        own = balancer.add(ADDRESS, port)
        with machine.booted() as booted:
            eventually(booted.has_started, 300, 0.2)
            assert is_ready(url), booted.log_of_cloud_init()
            assert balancer.members[own]["admin_state_up"]
            booted.power_off()
            eventually(lambda: not balancer.members[own]["admin_state_up"], 30, 0.02)
            assert httpx.get(f"{url}/health").status_code == 200, "it drains only after that"
            assert booted.process.wait(GRACE + 40) == 0, machine.console()
        with machine.booted() as booted:
            eventually(lambda: balancer.members[own]["admin_state_up"], 120, 0.1)
            assert is_ready(url)
