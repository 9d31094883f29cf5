"""Settings of the instance's own member in a cloud's load balancer, and who may change it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import ip_address

from photo_api.settings.swift import optional_keystone
from photo_base.environment import (
    PREFIX,
    SettingsError,
    optional_authorities,
    optional_url,
    read,
    setting,
)

NEEDED = ("network_url", "pool", "auth_url", "user", "password", "project")


def optional_id(value: str) -> str:
    if value and not re.fullmatch("[A-Za-z0-9-]{1,64}", value):
        raise ValueError("must be an id of letters, digits and hyphens, at most 64")
    return value


def optional_address(value: str) -> str:
    try:
        address = str(ip_address(value)) if value else ""
    except ValueError:
        address = "%"
    if "%" in address:
        raise ValueError("must be an IP address, without a zone")
    return address


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
    address: str = setting(
        "MEMBER_ADDRESS",
        "the instance's address in that pool; empty: that of the default route",
        default="",
        parse=optional_address,
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


def load_member(environ: Mapping[str, str]) -> MemberSettings:
    """These alone, all that is needed of them: what is wrong with another setting keeps nobody in
    the balancer, or out of it. Raises `SettingsError`."""
    problems: list[str] = []
    values = {
        item.name: read(item.metadata["variable"], environ, problems)
        for item in fields(MemberSettings)
    }
    for item in fields(MemberSettings):
        variable = item.metadata["variable"]
        if item.name in NEEDED and values[item.name] == "":
            problems.append(f"{PREFIX}{variable.name} must be set: {variable.doc}")
    if problems:
        raise SettingsError(problems)
    return MemberSettings(**values)
