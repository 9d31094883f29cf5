"""What answers of a store say about how it is set up. Pure."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from photo_api.delivery.windows import CLOCK_SKEW
from photo_api.provisioning.findings import Finding
from photo_api.provisioning.swift_rules import Wanted, held_keys
from photo_base.clock import Offset

SHORTEST_CERTIFICATE = 7 * 86400.0
CACHE_HEADERS = ("x-cache", "x-cache-status", "x-cache-remote", "cache-status")
SHORTEST_TOKEN = 120.0
"""Seconds. A token is renewed after three quarters of its life at the earliest."""


def clock(offset: Offset | None) -> Finding:
    """That of the store against ours. URLs are signed for clocks that differ by `CLOCK_SKEW`."""
    if offset is None:
        return Finding("clock", "unknown", "the store tells no time (header Date)")
    told = (
        f"the store's clock is {abs(offset.seconds):.1f} s"
        f" {'ahead of' if offset.seconds >= 0 else 'behind'} this one, give or take"
        f" {offset.uncertainty:.1f} s"
    )
    if offset.least > CLOCK_SKEW:
        fix = "set both clocks by NTP: signed URLs are refused, or live for longer than they should"
        return Finding("clock", "wrong", told, fix)
    if abs(offset.seconds) + offset.uncertainty > CLOCK_SKEW:
        return Finding("clock", "unknown", told, "run it again: the answer took long")
    return Finding("clock", "ok", f"{told}; up to {CLOCK_SKEW} s do no harm")


def tls(address: str, certificate: float | None, now: float, *, clients: bool) -> Finding:
    """`certificate` is when that ends, in epoch seconds. Its being believed was seen by there
    being an answer."""
    parts = urlsplit(address)
    where = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme == "https":
        if certificate is None:
            return Finding("tls", "unknown", f"{where}: its certificate is not told")
        days = (certificate - now) / 86400
        if certificate - now < SHORTEST_CERTIFICATE:
            told = f"{where}: its certificate ends in {days:.1f} days"
            return Finding("tls", "wrong", told, "renew it")
        return Finding("tls", "ok", f"{where}: its certificate is good for {days:.0f} days")
    if _is_near(parts.hostname or "", loopback_alone=clients):
        return Finding("tls", "ok", f"{where}: without TLS, but not beyond what is private")
    told = f"{where}: without TLS, whoever is on the way reads photos, and URLs that still work"
    return Finding("tls", "wrong", told, "give it https://, and a certificate")


def _is_near(host: str, *, loopback_alone: bool) -> bool:
    """Names without a dot are those of a private network."""
    if host == "localhost":
        return True
    try:
        found = ip_address(host)
    except ValueError:
        return not loopback_alone and "." not in host
    return found.is_loopback or (found.is_private and not loopback_alone)


def strangers(address: str, *, listed: int, is_list: bool, read: int, not_found: bool) -> Finding:
    """`listed` and `read` are the statuses for who asks without a key for a list and for an object
    that is not there. `not_found`: the latter says so, which is only for those who may read."""
    if is_list or not_found or read == 200:
        can = "list" if is_list else "read"
        fix = (
            "take public access away from it (policy, ACL, anonymous identity, X-Container-Read):"
            " every URL that clients get is signed"
        )
        return Finding("public", "wrong", f"{address}: whoever knows it may {can} it", fix)
    if not _refusal(listed) or not _refusal(read):
        told = f"{address}: without a key the store answers {listed} and {read}"
        return Finding("public", "unknown", told)
    return Finding("public", "ok", f"{address}: without a key nothing is listed or read")


def _refusal(status: int) -> bool:
    return 400 <= status < 500 and status not in (408, 429)


def signed_url(what: str, status: int, detail: str) -> Finding:
    """One for an object that is not there: only a good signature is told so."""
    if status == 404:
        return Finding("signed-url", "ok", f"{what}: the signature is good")
    told = f"{what}: the store answers {status} {detail}".rstrip()
    if status in (401, 403):
        fix = (
            "look at the keys, the clock, and whether the public address passes on Host and path"
            " unchanged; a proxy of Swift takes a new key after a minute"
        )
        return Finding("signed-url", "wrong", told, fix)
    if status == 200:
        return Finding("signed-url", "wrong", told, "something else answers at this address")
    return Finding("signed-url", "unknown", told)


def authorization(status: int, detail: str) -> Finding:
    """What a client gets with a good signature who sends its token along, as some do when they are
    redirected, for an object that is not there."""
    if status == 404:
        told = "a client that keeps its Authorization header on a redirect is served"
        return Finding("authorization", "ok", told)
    told = f"with an Authorization header besides, the store answers {status} {detail}".rstrip()
    if status in (400, 401, 403):
        fix = (
            "see that no client keeps that header when it follows a redirect to the store, or read"
            " by a CDN (docs/cdn.md)"
        )
        return Finding("authorization", "warn", told, fix)
    return Finding("authorization", "unknown", told)


def token(life: float) -> Finding:
    """`life` in seconds."""
    told = f"Keystone's tokens live for {life:.0f} s"
    if life < SHORTEST_TOKEN:
        fix = (
            f"let them live for {SHORTEST_TOKEN:.0f} s or more ([token] expiration), or set clocks"
        )
        return Finding("token", "wrong", told, fix)
    return Finding("token", "ok", told)


def catalogue(urls: Sequence[str], configured: str) -> Finding:
    """The object stores that Keystone names, and the address of the settings."""
    ours = configured.rstrip("/")
    if ours in (one.rstrip("/") for one in urls):
        return Finding("catalogue", "ok", "Keystone's catalogue names the same address")
    if not urls:
        told = "Keystone's catalogue names no object store for this user and project"
        return Finding("catalogue", "wrong", told, "look at PHOTO_API_SWIFT_PROJECT_ID")
    account = ours.rpartition("/")[2]
    named = ", ".join(urls[:3])
    if any(one.rstrip("/").rpartition("/")[2] == account for one in urls):
        return Finding("catalogue", "ok", f"the same account as in the catalogue, by {named}")
    fix = "set PHOTO_API_SWIFT_URL to one of them, or another project: tokens are for that account"
    return Finding("catalogue", "wrong", f"the account is {ours}, the catalogue has {named}", fix)


def keys(wanted: Wanted, headers: Mapping[str, str]) -> Finding:
    """Those that sign URLs to a container, by its `headers`."""
    held = set(held_keys(headers)) - {""}
    lacking, strange = set(wanted.keys) - held, held - set(wanted.keys)
    if not held:
        told = f"{wanted.name}: it has no keys, or hides them from who does not own the account"
        return Finding("keys", "unknown", told, "photo-api storage init; see also signed-url")
    if lacking:
        told = f"{wanted.name}: {len(lacking)} of {len(wanted.keys)} configured keys are missing"
        return Finding("keys", "wrong", told, "photo-api storage init")
    if strange:
        told = f"{wanted.name}: it takes a key that is not configured: what that signed works"
        return Finding("keys", "wrong", told, "photo-api storage init --exact")
    return Finding("keys", "ok", f"{wanted.name}: it has the configured keys and no others")


def digest(configured: str, allowed: Sequence[str], accepted: str) -> Finding:
    """What signs temporary URLs: `allowed` by /info, best first, `accepted` by a real URL that was
    tried, "" where none was."""
    if configured == "auto" and allowed:
        told = f"{allowed[0]}, by /info"
        return Finding("digest", "ok", told + "; it is deprecated" * (allowed[0] == "sha1"))
    if not accepted:
        told = (
            "/info names none, and " * (not allowed) + "the store has taken no URL that was tried"
        )
        return Finding("digest", "unknown", told)
    if accepted == configured or (configured, accepted) == ("auto", "sha256"):
        return Finding("digest", "ok", f"{accepted}, by a URL that was tried")
    fix = f"set PHOTO_API_SWIFT_DIGEST to {accepted}"
    used = "sha256" if configured == "auto" else configured
    return Finding("digest", "wrong", f"URLs signed by {used} are refused, by {accepted} not", fix)


def cors(origin: str, refused: Sequence[str]) -> Finding:
    """`refused` are the methods for which a page of `origin` gets no leave."""
    if not refused:
        return Finding("cors", "ok", f"pages of {origin} may upload and read")
    told = f"pages of {origin} get no leave to {' and '.join(refused)}"
    return Finding("cors", "wrong", told, "photo-api storage init")


def cors_of_strangers(*, allowed: bool, wanted: bool) -> Finding:
    """Whether pages of any origin may upload; `wanted` so by the settings."""
    if allowed and not wanted:
        told = "pages of any origin may upload with a URL that they have got hold of"
        return Finding("cors", "wrong", told, "photo-api storage init --exact")
    return Finding(
        "cors", "ok", f"pages of other origins may {'also' if allowed else 'not'} upload"
    )


def cdn_read(status: int, *, same: bool) -> Finding:
    """An object, asked for as clients do."""
    if status == 200 and same:
        return Finding("cdn", "ok", "it gives what is signed for")
    told = f"it answers {status} to a URL of ours" if status != 200 else "it gives other bytes"
    fix = (
        "look at PHOTO_API_CDN_URL and PHOTO_API_CDN_KEYS, the clock, what the CDN may read, and"
        " its origin's path (docs/cdn.md)"
    )
    return Finding("cdn", "wrong", told, fix)


def cdn_refusal(what: str, status: int) -> Finding:
    """What must be refused, and whether in the CDN's cache or not."""
    if _refusal(status):
        return Finding("cdn", "ok", f"{what}: refused ({status})")
    if status in (200, 206):
        fix = (
            "have it verify each request before it looks into its cache, and read photos/ and"
            " renditions/ alone (docs/cdn.md)"
        )
        return Finding("cdn", "wrong", f"{what}: it gives the object", fix)
    return Finding("cdn", "unknown", f"{what}: it answers {status}")


def was_cached(headers: Mapping[str, str]) -> bool | None:
    """Whether the CDN says that it had this; None where it says nothing."""
    told = " ".join(headers.get(name, "") for name in CACHE_HEADERS).lower()
    if "hit" in told or int(headers["age"] if headers.get("age", "").isdecimal() else 0) > 0:
        return True
    return False if "miss" in told else None


def cdn_cache(found: bool | None) -> Finding:
    """Whether an object was found with another token than that by which it was fetched."""
    if found is None:
        told = "it does not say whether it finds an object with another token in its cache"
        return Finding("cdn-cache", "warn", told, "look at the share of hits that it counts itself")
    if found:
        return Finding("cdn-cache", "ok", "it finds an object with another token in its cache")
    fix = "leave the query out of its cache key: the path alone is the object (docs/cdn.md)"
    return Finding("cdn-cache", "wrong", "it fetches an object anew for each token", fix)
