"""`photo-api storage init` on Swift: the containers, the keys of their signed URLs, and CORS."""

from collections.abc import Mapping
from urllib.parse import quote

from photo_api.provisioning.findings import Finding
from photo_api.provisioning.looking import unless_unknown
from photo_api.provisioning.swift_rules import (
    WHO,
    Plan,
    Wanted,
    plan_cors,
    plan_keys,
    wanted_containers,
)
from photo_api.provisioning.swift_urls import try_keys
from photo_api.settings.loading import Settings
from photo_api.storage.base import SignInRefused, StoreRefused
from photo_api.storage.plain_requests import PlainRequests
from photo_api.storage.swift_requests import SLOW, Asked, SwiftRequests

BY_HAND = (
    "by hand, as a user who owns the account (in Swift's operator_roles): make the container, its"
    " X-Container-Meta-Temp-URL-Key, and X-Container-Meta-Access-Control-Allow-Origin"
)


async def init_account(
    settings: Settings, requests: SwiftRequests, plain: PlainRequests, *, exact: bool, dry_run: bool
) -> list[Finding]:
    """Make what is missing, and try what signs its URLs. Raises `StoreUnavailable`."""
    found = []
    for wanted in wanted_containers(settings, exact=exact):
        found += await init_container(requests, wanted, dry_run=dry_run)
        if found[-1].code in ("container", "credentials") and found[-1].state == "wrong":
            return found  # who may not make one, may not make the next
    told = "Swift has no such rules: the sweep deletes what is staged and was not confirmed"
    found.append(Finding("lifecycle", "left", told))
    if not any(one.state == "planned" for one in found):
        found += await unless_unknown("digest", try_keys(settings, requests, plain))
    return found


async def init_container(
    requests: SwiftRequests, wanted: Wanted, *, dry_run: bool = False
) -> list[Finding]:
    """Make what is missing of this one, and tell of all. A proxy of Swift may know for a minute
    what was: sign with a new key only later than that. Raises `StoreUnavailable` while nothing
    answers."""
    made, current = await _container(requests, wanted.name, dry_run=dry_run)
    if made.state == "wrong":
        return [made]
    plans = {"keys": plan_keys(current, wanted), "cors": plan_cors(current, wanted)}
    headers = {name: value for plan in plans.values() for name, value in plan.headers.items()}
    problem = ""
    if headers and not dry_run:
        problem = await _set(requests, wanted.name, headers)
    return [made, *(_told(name, plan, problem, dry_run) for name, plan in plans.items())]


def _told(name: str, plan: Plan, problem: str, dry_run: bool) -> Finding:
    if plan.problem:
        return Finding(name, "wrong", plan.told, plan.problem)
    if not plan.headers:
        return Finding(name, "left", plan.told)
    if problem:
        return Finding(name, "wrong", f"{plan.told}: {problem}", BY_HAND)
    return Finding(name, "planned" if dry_run else "made", plan.told)


async def _container(
    requests: SwiftRequests, name: str, *, dry_run: bool
) -> tuple[Finding, Mapping[str, str]]:
    """What was done for it to be there, and its headers."""
    place = quote(name, safe="")
    try:
        answer = await requests.ask(Asked("HEAD", place))
        if answer.status in (200, 204):
            return Finding("container", "left", f"{name} is there"), answer.headers
        if answer.status == 404 and dry_run:
            return Finding("container", "planned", f"{name} would be made"), {}
        if answer.status == 404:
            answer = await requests.ask(Asked("PUT", place, timeout=SLOW))
            if answer.status in (201, 202):
                return Finding("container", "made", name), {}
        told = f"the store answers {answer.status}"
    except SignInRefused as error:
        return Finding("credentials", "wrong", str(error), WHO), {}
    except StoreRefused as error:
        told = str(error)
    return Finding("container", "wrong", f"{name}: {told}", BY_HAND), {}


async def _set(requests: SwiftRequests, name: str, headers: Mapping[str, str]) -> str:
    """Why these could not be set; Swift drops in silence those that only an owner may."""
    place = quote(name, safe="")
    try:
        answer = await requests.ask(Asked("POST", place, headers, timeout=SLOW))
        if answer.status not in (201, 202, 204):
            return f"the store answers {answer.status}"
        found = (await requests.ask(Asked("HEAD", place))).headers
    except StoreRefused as error:
        return str(error)
    lost = [one for one, value in headers.items() if found.get(one.lower(), "") != value]
    return f"the store has not taken {', '.join(sorted(lost))}" if lost else ""
