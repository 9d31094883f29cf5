"""What a page of ours may load, and from whom."""

from collections.abc import Set


def page_headers(images: Set[str], uploads: Set[str]) -> dict[str, str]:
    """Headers of a page that shows photos of these origins and sends files to those. Nothing inline
    runs, nothing else is asked, and no page of others frames it."""
    shown = " ".join(sorted(images))
    asked = " ".join(sorted(images | uploads))
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
        f" img-src 'self' blob: {shown}; connect-src 'self' {asked}; worker-src 'self';"
        " manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
