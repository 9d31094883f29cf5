"""Addresses for people: the gallery's page, what it loads, and the pages of share links.

While a release takes over from another one, a page of either asks for files that the instances of
the other one do not have: each member is asked for such a file until one has it, and what was found
stays here for pages that are open longer than their release.
"""

import re
from collections.abc import Callable, Iterable

from photo_api.contract import GALLERY_ASSETS, GALLERY_FILES, GALLERY_VIEWS, SHARE_PAGES
from photo_fleet.render.nginx_errors import page_error_pages
from photo_fleet.render.nginx_members import UPSTREAM
from photo_fleet.render.nginx_text import INTERNAL, Lines, block
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer

CACHE = "photo_gallery"
LARGEST_CACHE = "64m"
"""Of some dozen releases."""
UNUSED = "30d"
LONGEST_FETCH = 10
"""Seconds for which others wait while one fetches the same file."""
MOST_ASKED = 8
"""Members, for one file."""

Limits = Callable[[str, Balancer], Lines]

NO_GALLERY = "/.no-gallery"

ANY_RELEASE = [
    "set $is_of_a_release 1;",
    "proxy_next_upstream error timeout http_404;",
    f"proxy_next_upstream_tries {MOST_ASKED};",
]


def gallery_cache(places: Places) -> Lines:
    """What stands beside the servers."""
    return [
        f"proxy_cache_path {places.temp}/gallery keys_zone={CACHE}:1m max_size={LARGEST_CACHE}",
        f"    inactive={UNUSED} use_temp_path=off;",
    ]


def gallery_locations(balancer: Balancer, places: Places, headers: Lines, limits: Limits) -> Lines:
    """`headers` are those that nginx gives every answer of its own."""
    page = page_error_pages(balancer)
    pass_on = f"proxy_pass http://{UPSTREAM};"
    reading = limits("read", balancer)
    without = [f"error_page 404 = {NO_GALLERY};", "proxy_intercept_errors on;"]
    files = [path for path in GALLERY_FILES if path != "/index.html"]
    return [
        "# Where the instances have no gallery, a page says what there is.",
        *block("location = /", [*without, *page, *reading, *ANY_RELEASE, pass_on]),
        *block(f"location = {NO_GALLERY}", _no_gallery(places, headers)),
        *block(
            f'location ~ "^(?:{_either(v for v in GALLERY_VIEWS if v != "/")})/?$"',
            [*page, *reading, *ANY_RELEASE, pass_on],
        ),
        *block(
            f'location ~ "^(?:{_either(files)})$"',
            [*limits("image", balancer), *ANY_RELEASE, pass_on],
        ),
        *block(
            f"location {GALLERY_ASSETS}",
            [*limits("image", balancer), *_kept(), *ANY_RELEASE, pass_on],
        ),
        *block(f"location {SHARE_PAGES}", [*page, *limits("share", balancer), pass_on]),
    ]


def _either(paths: Iterable[str]) -> str:
    return "|".join(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) for path in paths)


def _no_gallery(places: Places, headers: Lines) -> Lines:
    return [
        *INTERNAL,
        *headers,
        'add_header Referrer-Policy "no-referrer" always;',
        f"root {places.prefix}/pages;",
        "default_type text/html;",
        "try_files /index.html =404;",
    ]


def _kept() -> Lines:
    """As long as the instances say, which is for ever: names tell what is in a file. Others are not
    told who asked first."""
    told = ("X-Request-ID", "X-Instance")
    return [
        f"proxy_cache {CACHE};",
        "proxy_cache_lock on;",
        f"proxy_cache_lock_age {LONGEST_FETCH}s;",
        f"proxy_cache_lock_timeout {LONGEST_FETCH}s;",
        *(f"proxy_hide_header {name};" for name in told),
        "add_header X-Request-ID $request_id_or_own always;",
    ]
