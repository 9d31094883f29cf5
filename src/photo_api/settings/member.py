"""Settings of the instance's own member in a cloud's load balancer, and who may change it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields

from photo_api.settings.swift import optional_keystone
from photo_base.environment import PREFIX, optional_authorities, optional_url, setting

NEEDED = ("network_url", "pool", "auth_url", "user", "password", "project")


def optional_id(value: str) -> str:
    if value and not re.fullmatch("[A-Za-z0-9-]{1,64}", value):
        raise ValueError("must be an id of letters, digits and hyphens, at most 64")
    return value


@dataclass(frozen=True, slots=True)
class MemberSettings:
    network_url: str = setting(
        "MEMBER_NETWORK_URL",
        "network API of the cloud whose load balancer `photo-api member` takes the instance out of,"
        " without /v2.0",
        default="",
        parse=optional_url,
    )
    pool: str = setting(
        "MEMBER_POOL",
        "id of the load balancer's pool (NHN Cloud: member group)",
        default="",
        parse=optional_id,
    )
    auth_url: str = setting(
        "MEMBER_AUTH_URL",
        "Keystone's address for it, which ends with /v3 or /v2.0",
        default="",
        parse=optional_keystone,
    )
    user: str = setting("MEMBER_USER", "the name of a user who may change members", default="")
    password: str = setting("MEMBER_PASSWORD", "the user's password", default="", secret=True)
    project: str = setting(
        "MEMBER_PROJECT_ID", "the id of the project, which version 2.0 calls tenant", default=""
    )
    domain: str = setting(
        "MEMBER_USER_DOMAIN_ID", "the id of the user's domain, for version 3", default="default"
    )
    authorities: str = setting(
        "MEMBER_CA_FILE",
        "PEM file of the authorities whose certificates both may have besides those that the system"
        " believes",
        default="",
        parse=optional_authorities,
    )


def missing(settings: MemberSettings) -> Iterator[str]:
    """What is not given, without which no member can be changed."""
    for item in fields(MemberSettings):
        if item.name in NEEDED and not getattr(settings, item.name):
            variable = item.metadata["variable"]
            yield f"{PREFIX}{variable.name} must be set: {variable.doc}"
