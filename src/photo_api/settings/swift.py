"""Settings of an object store that is OpenStack Swift."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from photo_base.environment import (
    PREFIX,
    choice,
    integer,
    optional_authorities,
    optional_url,
    setting,
)

SHORTEST_KEY = 32
DOTS = (".", "..")
"""What browsers take out of a path."""
NEEDED = ("url", "url_keys", "staging_url_keys", "auth_url")
CREDENTIAL = ("credential_id", "credential_secret")
BY_PASSWORD = ("user", "password", "project")
"""What is needed without an application credential; a project may be given by its name."""


def optional_account(value: str) -> str:
    address = optional_url(value)
    account = re.search(r"[^/]/v1/([\w.:~-]+)$", address, re.ASCII)
    if address and (account is None or account[1] in DOTS):
        raise ValueError("must end with /v1/ and the account, such as /v1/AUTH_1234")
    return address


def optional_origin(value: str) -> str:
    if urlsplit(optional_url(value)).path:
        raise ValueError("must be an address without a path")
    return optional_url(value)


def optional_keystone(value: str) -> str:
    if value and not optional_url(value).endswith(("/v3", "/v2.0")):
        raise ValueError("must end with /v3 or /v2.0")
    return optional_url(value)


def container_name(value: str) -> str:
    if not value or value in DOTS or "/" in value or len(value.encode()) > 220:
        raise ValueError("must be a name without a slash, of at most 220 bytes, and not . or ..")
    return value


def signing_keys(value: str) -> tuple[str, ...]:
    """At most two, which go into headers as they are."""
    found = tuple(filter(None, (part.strip() for part in value.split(","))))
    if len(found) > 2 or len(set(found)) < len(found):
        raise ValueError("must be one key, or two different ones with a comma between them")
    if any(len(key) < SHORTEST_KEY or not key.isascii() for key in found):
        raise ValueError(f"must have {SHORTEST_KEY} ASCII characters or more in each key")
    return found


@dataclass(frozen=True, slots=True)
class SwiftSettings:
    url: str = setting(
        "SWIFT_URL",
        "the account's address as this server uses it,"
        " `https://swift.example.org/v1/AUTH_1234`; needed where PHOTO_API_STORE is swift",
        default="",
        parse=optional_account,
    )
    public_endpoint: str = setting(
        "SWIFT_PUBLIC_ENDPOINT",
        "the store's address in the URLs that clients get, without a path; empty: that of"
        " SWIFT_URL",
        default="",
        parse=optional_origin,
    )
    container: str = setting(
        "SWIFT_CONTAINER", "the container of the photos", default="photos", parse=container_name
    )
    staging_container: str = setting(
        "SWIFT_STAGING_CONTAINER",
        "the container that clients upload to, which is another one",
        default="photos-staging",
        parse=container_name,
    )
    url_keys: tuple[str, ...] = setting(
        "SWIFT_URL_KEYS",
        "the key of the container's temporary URLs, and one more, after a comma, while one replaces"
        " the other: the first signs; needed where PHOTO_API_STORE is swift",
        default="",
        parse=signing_keys,
        secret=True,
    )
    staging_url_keys: tuple[str, ...] = setting(
        "SWIFT_STAGING_URL_KEYS",
        "the same for the staging container, with other keys",
        default="",
        parse=signing_keys,
        secret=True,
    )
    digest: Literal["auto", "sha1", "sha256", "sha512"] = setting(
        "SWIFT_DIGEST",
        "what temporary URLs are signed by; `auto`: the best of what the store's /info names, else"
        " sha256",
        default="auto",
        parse=choice("auto", "sha1", "sha256", "sha512"),
    )
    segment_size: int = setting(
        "SWIFT_SEGMENT_SIZE",
        "bytes; where photos may be larger, they become static large objects, whose segments are"
        " with the photos, under `segments/`",
        default=str(1024**3),
        parse=integer(1024**2, 5 * 1024**3),
    )
    auth_url: str = setting(
        "SWIFT_AUTH_URL",
        "Keystone's address, which ends with /v3 or /v2.0; needed where PHOTO_API_STORE is swift",
        default="",
        parse=optional_keystone,
    )
    user: str = setting(
        "SWIFT_USER", "the user's name in Keystone; not with an application credential", default=""
    )
    password: str = setting("SWIFT_PASSWORD", "the user's password", default="", secret=True)
    project: str = setting(
        "SWIFT_PROJECT_ID", "the id of the project, which version 2.0 calls tenant", default=""
    )
    project_name: str = setting(
        "SWIFT_PROJECT_NAME", "the project's name, where its id is not known", default=""
    )
    project_domain: str = setting(
        "SWIFT_PROJECT_DOMAIN_ID",
        "the id of the domain that has a project of this name, for version 3",
        default="default",
    )
    domain: str = setting(
        "SWIFT_USER_DOMAIN_ID", "the id of the user's domain, for version 3", default="default"
    )
    credential_id: str = setting(
        "SWIFT_APPLICATION_CREDENTIAL_ID",
        "the id of an application credential of version 3, in place of user, password and project",
        default="",
        secret=True,
    )
    credential_secret: str = setting(
        "SWIFT_APPLICATION_CREDENTIAL_SECRET",
        "its secret; the next credential has another id, too: both change together",
        default="",
        secret=True,
    )
    authorities: str = setting(
        "SWIFT_CA_FILE",
        "PEM file of the authorities whose certificates Swift and Keystone may have besides those"
        " that the system believes; read at the start",
        default="",
        parse=optional_authorities,
    )


def missing(values: Mapping[str, Any]) -> Iterator[str]:
    """What is not given of what is needed, where Swift is the store."""
    given = {item.name: values[f"swift.{item.name}"] for item in fields(SwiftSettings)}
    who = CREDENTIAL if any(map(given.get, CREDENTIAL)) else BY_PASSWORD
    for item in fields(SwiftSettings):
        named = item.name == "project" and given["project_name"]
        if item.name in (*NEEDED, *who) and given[item.name] in ("", ()) and not named:
            variable = item.metadata["variable"]
            yield f"{PREFIX}{variable.name} must be set: {variable.doc}"


def contradictions(values: Mapping[str, Any]) -> Iterator[str]:
    """What does not fit, where Swift is the store."""
    photos, staging = values["swift.container"], values["swift.staging_container"]
    if photos == staging:
        yield f"{PREFIX}SWIFT_STAGING_CONTAINER must be another container than SWIFT_CONTAINER"
    if set(values["swift.url_keys"]) & set(values["swift.staging_url_keys"]):
        yield (
            f"{PREFIX}SWIFT_STAGING_URL_KEYS must be other keys than {PREFIX}SWIFT_URL_KEYS: who"
            " has one could use the other container"
        )
    yield from _contradictions_of_who(values)


def _contradictions_of_who(values: Mapping[str, Any]) -> Iterator[str]:
    if values["swift.project"] and values["swift.project_name"]:
        yield f"{PREFIX}SWIFT_PROJECT_ID and {PREFIX}SWIFT_PROJECT_NAME: set one of them"
    if not values["swift.credential_id"]:
        return
    credential = f"{PREFIX}SWIFT_APPLICATION_CREDENTIAL_ID"
    if not values["swift.auth_url"].endswith("/v3"):
        yield f"{credential} needs a Keystone of version 3: {PREFIX}SWIFT_AUTH_URL ends with /v3"
    if any(values[f"swift.{name}"] for name in (*BY_PASSWORD, "project_name")):
        yield (
            f"{credential} brings a user and a project of its own: remove {PREFIX}SWIFT_USER,"
            f" {PREFIX}SWIFT_PASSWORD, {PREFIX}SWIFT_PROJECT_ID and {PREFIX}SWIFT_PROJECT_NAME"
        )
