"""Who looks at a shared album: a person, or a program for a preview or an index."""

import re

from starlette.requests import Request

PROGRAMS = re.compile(
    # CUBOT makes phones; in the apps of KakaoTalk, LINE and NAVER people read, other than with the
    # programs of these.
    r"(?<!\bcu)bot\b|spider|crawl|externalhit|externalagent|externalfetcher|preview|-scrap|line-poker"
    r"|^whatsapp/|\byeti/|\bdaum(?:oa)?/|slack-imgproxy|embedly|iframely|mastodon/|cardyb|vkshare"
    r"|mediapartners|bingbot|^pinterest/|flipboardproxy|linkexpanding|facebookcatalog|lighthouse"
    r"|googleother|google-(?:inspection|safety|read)|feedfetcher|ia_archiver|-user/"
    # Where to read about it: browsers have no such address.
    r"|\+https?:"
)
"""In a User-Agent of lower case."""

AHEAD = ("sec-purpose", "purpose", "x-moz")
"""Headers by which a browser says that it fetches what nobody has asked to see yet."""


def is_by_a_person(request: Request) -> bool:
    """As far as the request says: programs that hide as browsers count as people."""
    headers = request.headers
    if request.method == "HEAD" or PROGRAMS.search(headers.get("user-agent", "").lower()):
        return False
    return not any("prefetch" in headers.get(name, "").lower() for name in AHEAD)
