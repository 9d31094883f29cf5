"""What a drill lists of a Swift: all objects of its containers, with a token of Keystone."""

from dataclasses import replace

import pytest

from photo_fleet.drill.evidence.objects import Account, CannotList, list_objects
from photo_local.keystone import PROJECT, USER
from tests.openstack.keystone import PASSWORD, Keystone
from tests.openstack.swift import Swift, ask

pytestmark = [pytest.mark.slow, pytest.mark.needs("memcached"), pytest.mark.timeout(300)]


async def test_all_objects_of_both_containers_are_listed(openstack: tuple[Keystone, Swift]) -> None:
    keystone, swift = openstack
    token, _ = keystone.sign_in(USER, PASSWORD, PROJECT)
    url = f"{swift.url}/v1/AUTH_{PROJECT}"
    put = {"photos/1/a": b"12", "photos/1/b c": b"123", "staging/x": b""}
    for container in ("listed", "listed-staging"):
        assert ask("PUT", f"{url}/{container}", X_Auth_Token=token).status in (201, 202)
    for key, body in put.items():
        container = "listed-staging" if key.startswith("staging") else "listed"
        place = f"{url}/{container}/{key.replace(' ', '%20')}"
        assert ask("PUT", place, body, X_Auth_Token=token).status == 201
    who = f"{keystone.url}/v3", USER, PROJECT, PASSWORD
    account = Account(url, ("listed", "listed-staging"), *who)
    assert await list_objects(account) == {key: len(body) for key, body in put.items()}
    for wrong in (replace(account, password="x"), replace(account, containers=("none",))):
        with pytest.raises(CannotList):
            await list_objects(wrong)
