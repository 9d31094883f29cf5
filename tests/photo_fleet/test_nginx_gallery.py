"""Addresses for people, behind nginx: whom it asks, and what people see when nobody answers."""

from collections.abc import Iterator

import httpx
import pytest

from photo_api.contract import GALLERY_FILES, GALLERY_VIEWS
from tests.photo_fleet.nginx_stage import Backend, Backends, backends, running_front, spec

pytestmark = pytest.mark.needs("nginx")

FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
TOKEN = "s3cr3t-share-token"


@pytest.fixture
def servers() -> Iterator[Backends]:
    with backends() as servers:
        yield servers


@pytest.fixture
def releases(servers: Backends) -> list[Backend]:
    """Instances, of which the last alone has the files of its release."""
    members = [servers.start() for _ in range(4)]
    for old in members[:-1]:
        old.status = 404
    members[-1].headers = dict(FOREVER)
    return members


@pytest.mark.parametrize("membership", ["lua", "reload"])
def test_a_file_of_either_release_is_found_and_kept(
    releases: list[Backend], membership: str
) -> None:
    with running_front(spec(membership=membership), *releases) as front:
        for number in range(6):
            answer = httpx.get(f"{front.url}/assets/index-{number}.js")
            assert (answer.status_code, answer.json()) == (200, {"from": releases[-1].name})
            assert answer.headers["Cache-Control"] == FOREVER["Cache-Control"]
        asked = [len(member.requests) for member in releases]
        assert asked[-1] == 6
        assert max(asked[:-1]) <= 6, "none is asked twice for one file"
        again = httpx.get(f"{front.url}/assets/index-0.js", headers={"X-Request-ID": "again"})
        assert again.status_code == 200
        assert again.headers.get_list("X-Request-ID") == ["again"]
        assert "X-Instance" not in again.headers, "nobody was asked"
        assert [len(member.requests) for member in releases] == asked
        assert front.logged("again")["cache"] == "", "that tells of images"
        releases[-1].status = 404
        none = httpx.get(f"{front.url}/assets/unknown.js")
        assert none.status_code == 404
        assert [len(member.requests) for member in releases] == [one + 1 for one in asked]
        assert httpx.get(f"{front.url}/assets/index-0.js").status_code == 200
        if membership == "lua":
            assert all(front.member(member)["failures"] == 0 for member in releases)


def test_a_refusal_is_asked_for_once_elsewhere(releases: list[Backend]) -> None:
    """What is not a file of a release is answered by whom it came to."""
    with running_front(None, *releases[:-1]) as front:
        for path in ("/api/albums/7", f"/share/{TOKEN}"):
            assert httpx.get(front.url + path).status_code == 404
        assert sum(len(member.requests) for member in releases) == 2
        assert TOKEN not in front.logs


def test_the_page_is_the_instances_and_where_they_have_none_there_is_another(
    servers: Backends,
) -> None:
    member = servers.start()
    with running_front(None, member) as front:
        paths = [view.format(id=7) for view in GALLERY_VIEWS]
        paths += [*(path for path in GALLERY_FILES if path != "/index.html"), f"/share/{TOKEN}"]
        for path in paths:
            assert httpx.get(front.url + path).json() == {"from": member.name}, path
        assert [request.target for request in member.requests] == paths
        for path in ("/albumsx", "/albums/7/8", "/icon.svgx", "/assets", "/shared"):
            assert httpx.get(front.url + path).status_code in (301, 404)
        assert len(member.requests) == len(paths)
        member.status = 404
        page = httpx.get(f"{front.url}/")
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html")
        assert 'href="/docs"' in page.text
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Request-ID"]
        assert httpx.get(f"{front.url}/albums").json() == {"from": member.name}


def test_people_are_told_in_words_that_nobody_answers(servers: Backends) -> None:
    gone = servers.refusing()
    with running_front(None) as front:
        for path in ("/", "/albums", f"/share/{TOKEN}"):
            answer = httpx.get(front.url + path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert "잠시 후 다시" in answer.text
            assert answer.headers["Cache-Control"] == "no-store"
        assert httpx.get(f"{front.url}/api/albums").json()["code"] == "overloaded"
        front.put(gone)
        answer = httpx.get(f"{front.url}/share/{TOKEN}")
        assert (answer.status_code, "Try again" in answer.text) == (502, True)
        assert TOKEN not in front.logs
