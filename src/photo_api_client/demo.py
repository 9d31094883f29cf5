"""`python -m photo_api_client.demo`: fill a running service with photos and say what to see."""

import argparse
import json
import secrets
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TextIO

try:
    from photo_api_client.api import PhotoApi, PhotoApiError
except ModuleNotFoundError as error:
    print(f"demo: {error}", file=sys.stderr)
    raise SystemExit(2) from None

import httpx

from photo_api_client.photographs import NoPictures, Photograph, photographs

START_SECONDS = 30.0
RENDER_SECONDS = 180.0
MADE = ("ready", "partial")
"""States of a photo that has a thumbnail."""


class DemoFailed(Exception):
    """The demo cannot go on; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A photo that the demo has put there, by "presigned" URL or through the "server"."""

    id: int
    filename: str
    album: str
    way: str
    bytes: int
    shows: str
    renditions: str = "pending"


@dataclass(slots=True)
class Summary:
    """What the demo has made; `--json` prints it."""

    url: str
    email: str
    password: str
    albums: dict[str, int] = field(default_factory=dict)
    photos: list[Uploaded] = field(default_factory=list)
    share_token: str = ""
    share_url: str = ""
    gallery: bool = False
    picture_url: str = ""
    upload_seconds: float = 0.0
    render_seconds: float = 0.0


class Progress:
    """One line that is written over on a terminal, a line for each step elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = out.isatty()
        self._shown = ""

    def step(self, text: str) -> None:
        if text == self._shown:
            return
        self._shown = text
        self._out.write(f"\r\x1b[2K{text}" if self._live else f"{text}\n")
        self._out.flush()

    def done(self, text: str) -> None:
        self.step(text)
        self._shown = ""
        if self._live:
            self._out.write("\n")


def main() -> None:
    """Exits with 1 and one sentence if the service cannot be reached or refuses."""
    parser = argparse.ArgumentParser(prog="python -m photo_api_client.demo", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print a summary for programs")
    arguments = parser.parse_args()
    try:
        with PhotoApi(arguments.url) as api:
            summary = run(api, arguments.url.rstrip("/"), Progress(sys.stderr))
    except (DemoFailed, NoPictures, PhotoApiError, httpx.TransportError) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(json.dumps(asdict(summary), ensure_ascii=False) if arguments.json else report(summary))


def run(api: PhotoApi, url: str, progress: Progress) -> Summary:
    """The whole demo as a fresh user, so that it can be run any number of times."""
    wait_until_ready(api, url, START_SECONDS)
    name = f"demo-{secrets.token_hex(4)}"
    summary = Summary(url, f"{name}@example.com", secrets.token_hex(8))
    summary.gallery = api.has_gallery()  # before there is a token, with which pages are not asked
    api.register(summary.email, name, summary.password)
    api.login(summary.email, summary.password)
    began = time.monotonic()
    _upload_all(api, summary, progress)
    summary.upload_seconds = round(time.monotonic() - began, 2)
    _wait_for_renditions(api, summary, progress)
    summary.render_seconds = round(time.monotonic() - began - summary.upload_seconds, 2)
    link = api.share(next(iter(summary.albums.values())), expires_in_days=7)
    summary.share_token = str(link["token"])
    summary.share_url = f"{url}{'' if summary.gallery else '/api'}/share/{summary.share_token}"
    summary.picture_url = str(api.get_photo(summary.photos[0].id)["preview_url"] or "")
    return summary


def wait_until_ready(api: PhotoApi, url: str, seconds: float) -> None:
    """Raises `DemoFailed` if /health is not 200 by then."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            api.health()
            return
        except (PhotoApiError, httpx.TransportError) as error:
            if time.monotonic() > deadline:
                hint = f"no healthy service at {url} ({error}); start it with `make run` first"
                raise DemoFailed(hint) from error
        time.sleep(0.25)


def _upload_all(api: PhotoApi, summary: Summary, progress: Progress) -> None:
    for number, photo in enumerate(photographs(), 1):
        if photo.album not in summary.albums:
            summary.albums[photo.album] = int(api.create_album(photo.album)["id"])
        # Every third one through the server: both ways end in the same state.
        done = _upload(api, summary.albums[photo.album], photo, direct=number % 3 != 0)
        summary.photos.append(done)
        progress.step(f"{number:3} uploaded ({done.way}): {photo.filename}")
    total = sum(photo.bytes for photo in summary.photos)
    progress.done(f"{len(summary.photos):3} photos uploaded, {total / 1e6:.1f} MB")


def _upload(api: PhotoApi, album_id: int, photo: Photograph, *, direct: bool) -> Uploaded:
    send = api.upload_presigned if direct else api.upload_through_server
    photo_id = send(album_id, photo.filename, photo.content_type, photo.data, title=photo.title)
    way = "presigned" if direct else "server"
    return Uploaded(photo_id, photo.filename, photo.album, way, len(photo.data), photo.shows)


def _wait_for_renditions(api: PhotoApi, summary: Summary, progress: Progress) -> None:
    """Poll each photo until its thumbnail is made or has failed; what is late stays "pending"."""
    deadline = time.monotonic() + RENDER_SECONDS
    states = {photo.id: "pending" for photo in summary.photos}
    while True:
        for photo_id in [key for key, state in states.items() if state == "pending"]:
            states[photo_id] = api.get_photo(photo_id)["renditions"]
        counts = Counter(states.values())
        told = f"{sum(counts[state] for state in MADE):3} of {len(states)} thumbnails made"
        progress.step(told)
        if not counts["pending"] or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    summary.photos = [_with_state(photo, states[photo.id]) for photo in summary.photos]
    progress.done(told)


def _with_state(photo: Uploaded, state: str) -> Uploaded:
    return Uploaded(**asdict(photo) | {"renditions": state})


def report(summary: Summary) -> str:
    """What there is to see, for a person."""
    url, photos = summary.url, summary.photos
    made = sum(photo.renditions in MADE for photo in photos)
    lines = [
        "",
        f"{len(photos)} photos in {len(summary.albums)} albums, {made} with thumbnails.",
        "",
        f"  API docs {url}/docs",
        f"  Shared   {summary.share_url}{'' if summary.gallery else ' (JSON)'}",
        f"  Picture  {summary.picture_url}",
        "",
        "By hand:",
        *(f"  {command}" for command in _commands(summary)),
        "",
        "What the pictures show:",
    ]
    for photo in photos:
        late = "" if photo.renditions == "ready" else f"  [{photo.renditions}]"
        lines.append(f"  {photo.id:>5}  {photo.album} / {photo.filename}: {photo.shows}{late}")
    page = f"{url}/" if summary.gallery else "there is none: `make gallery` builds it"
    lines += [
        "",
        f"  Gallery  {page}",
        f"  E-mail   {summary.email}",
        f"  Password {summary.password}",
    ]
    return "\n".join(lines)


def _commands(summary: Summary) -> list[str]:
    url = summary.url
    login = json.dumps({"email": summary.email, "password": summary.password})
    pick = "python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])'"
    header = "-H 'Content-Type: application/json'"
    image = f"{url}/api/photos/{summary.photos[0].id}/image"
    return [
        f"TOKEN=$(curl -s {url}/api/auth/login {header} -d '{login}' | {pick})",
        f'curl -s -H "Authorization: Bearer $TOKEN" "{url}/api/photos/?limit=3"',
        f'curl -sL -H "Authorization: Bearer $TOKEN" "{image}?size=thumbnail" -o thumbnail.webp',
        f"curl -s {url}/api/share/{summary.share_token}",
    ]


if __name__ == "__main__":
    main()
