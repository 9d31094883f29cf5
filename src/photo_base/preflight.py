"""How a browser asks a store's leave before a page's request, and which answer gives it (Fetch,
4.8)."""

from collections.abc import Mapping

from photo_base.origins import ANY, ANY_PORT

STRANGER = "https://stranger.invalid"
"""An origin that nobody can have (RFC 6761)."""
SOME_PORT = ":5173"
"""In place of any port."""
LOOKS_SIGNED = f"X-Amz-Signature={'0' * 64}"
"""A preflight has the query of the request that follows, and our nginx passes on signed ones alone;
no store checks the signature then."""
WANTED = {"GET": "range", "PUT": "content-type"}
"""The header for which leave is asked with each method."""


def preflight(origin: str, method: str) -> dict[str, str]:
    """Headers of the OPTIONS for a page of `origin` that wants to send `method`."""
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": WANTED[method],
    }


def leave(told: Mapping[str, str], origin: str, method: str) -> bool:
    """Whether these headers of the answer give it. `told` knows names in lower case."""
    return (
        told.get("access-control-allow-origin", "") in (origin, ANY)
        and _names(told.get("access-control-allow-methods", ""), method)
        and _names(told.get("access-control-allow-headers", ""), WANTED[method])
    )


def sent_for(origin: str) -> str:
    """One that a browser would send for an origin of the settings."""
    if origin == ANY:
        return STRANGER
    return origin.removesuffix(ANY_PORT) + SOME_PORT if origin.endswith(ANY_PORT) else origin


def _names(listed: str, wanted: str) -> bool:
    return {wanted.lower(), ANY} & {part.strip().lower() for part in listed.split(",")} != set()
