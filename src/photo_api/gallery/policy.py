"""What a page of ours may load, and from whom."""

import re
from collections.abc import Set

from starlette.datastructures import Headers
from starlette.types import Scope

OURS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Of each page."""

ALONE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; manifest-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
"""Nothing inline runs, nothing else is asked, and no page of others frames it."""


THIS_MACHINE = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?")


def opener_policy(scope: Scope, public_url: str) -> dict[str, str]:
    """Where browsers heed it: on plain HTTP they log an error for each page that has it. Behind a
    balancer that does not tell the protocol, the public address does."""
    headers = Headers(scope=scope)
    protocol = headers.get("x-forwarded-proto") or scope.get("scheme")
    if (
        protocol == "https"
        or public_url.startswith("https:")
        or THIS_MACHINE.fullmatch(headers.get("host", ""))
    ):
        return {"Cross-Origin-Opener-Policy": "same-origin"}
    return {}


def app_headers(images: Set[str], uploads: Set[str]) -> dict[str, str]:
    """Of the page that shows photos of these origins and sends files to those."""
    shown, asked = _listed(images), _listed(images | uploads)
    policy = f"{ALONE}; img-src 'self' blob:{shown}; connect-src 'self'{asked}; worker-src 'self'"
    return {"Content-Security-Policy": policy} | OURS


def share_headers(images: Set[str]) -> dict[str, str]:
    """Of pages that visitors see: no script of theirs asks for anything, and nobody lists them."""
    policy = f"{ALONE}; img-src 'self'{_listed(images)}"
    not_listed = {"X-Robots-Tag": "noindex, nofollow"}
    return {"Content-Security-Policy": policy} | OURS | not_listed


def _listed(origins: Set[str]) -> str:
    return "".join(f" {origin}" for origin in sorted(origins))
