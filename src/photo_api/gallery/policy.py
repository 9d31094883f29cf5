"""What a page of ours may load, and from whom."""

from collections.abc import Set

OURS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Of each page."""

ALONE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; manifest-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
"""Nothing inline runs, nothing else is asked, and no page of others frames it."""


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
