"""Every statement of the serving plane, called as the service calls it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

from photo_api.accounts import closing, links, session_queries
from photo_api.accounts import queries as accounts
from photo_api.accounts.throttle import LoginThrottle, prune_attempts
from photo_api.albums import arranging
from photo_api.albums import queries as albums
from photo_api.albums.orders import ORDERS
from photo_api.delivery.cdn_state import CdnState
from photo_api.http import composed_names, idempotency, repeated_deletes
from photo_api.http.idempotency import Key, LongClaim
from photo_api.http.repeated_deletes import prune_deletions
from photo_api.jobs import queue, statistics
from photo_api.photos import (
    dating,
    finding,
    keeping,
    late_uploads,
    queries,
    remaking,
    sweep,
    trash,
    upload_queries,
)
from photo_api.photos.bulk import Bulk
from photo_api.photos.dating import BulkDate
from photo_api.photos.filters import Box, Filters
from photo_api.photos.queries import NewDate
from photo_api.photos.search import terms_of
from photo_api.photos.upload_queries import NewPhoto
from photo_api.registry import cdn_paths, leases, receipts
from photo_api.registry import queries as registry
from photo_api.registry.leases import Lease
from photo_api.registry.queries import Boot
from photo_api.registry.receipts import Ended, Receipt
from photo_api.renditions import job as rendering
from photo_api.renditions import rereading
from photo_api.settings.serving import UploadSettings
from photo_api.shares import queries as shares
from photo_api.shares.queries import NewLink
from photo_api.timeline import queries as timeline

NEWEST = 2**62
FAR = 900
MONTH = datetime(2010, 5, 1)
BOOT = str(uuid4())
ME = Boot(BOOT, "i", "n", None, "1", "a", 1, 1)


@dataclass(frozen=True)
class Ids:
    """What the statements ask about: a user with a few photos or many, and what is theirs."""

    user: int
    album: int
    photo: int
    share: int
    token: bytes
    sha256: bytes
    family: Any
    refresh: bytes
    lease: Lease


Call = Callable[[Any, Ids], Awaitable[Any]]


def _new(ids: Ids) -> NewPhoto:
    return NewPhoto(ids.user, ids.album, None, None, "x.jpg", "image/jpeg", 1, bytes(32))


async def _confirmed(db: Any, ids: Ids) -> None:
    """A photo's way in and out, beside everything else."""
    limits = cast(
        UploadSettings, SimpleNamespace(url_ttl=60, longest_put=60, max_pending=1000, quota=2**60)
    )
    pending = await upload_queries.insert_pending(db, _new(ids), "s", False, limits)
    if pending is None:
        await upload_queries.count_pending(db, ids.user)
        pending = await upload_queries.insert_pending(db, _new(ids), "s", False, limits)
    assert pending is not None
    await upload_queries.staged(db, ids.user, pending)
    await upload_queries.note_object(db, "photos/new.jpg", 60)
    assert await upload_queries.make_ready(
        db, ids.user, pending, "photos/new.jpg", "image/jpeg", ids.sha256
    )
    await queries.delete_photo(db, ids.user, pending, 30, "r")


async def _kept(db: Any, ids: Ids) -> None:
    """A photo's way into the trash, out of it, and to its end."""
    until = await trash.now(db, ids.user)
    mine = ids.user, [ids.photo]
    await trash.delete(db, *mine, 30, "r")
    await trash.page(db, ids.user, (until, NEWEST), 50)
    await trash.oldest(db, ids.user, until)
    await trash.count(db, ids.user, until)
    await upload_queries.trashed_with_content(db, ids.user, ids.sha256)
    await trash.restore(db, *mine)
    await trash.delete(db, *mine, 30, "r")
    await trash.purge(db, *mine)


async def _changed_in_bulk(db: Any, ids: Ids) -> None:
    body: Any = SimpleNamespace(photo_ids=[ids.photo], album_id=ids.album, from_album_id=None)
    for operation in keeping.OPERATIONS.values():
        await operation(db, Bulk(ids.user, [ids.photo], body, 30, "r"))
    body = BulkDate(operation="date", photo_ids=[ids.photo], shift_seconds=60)
    await dating.date(db, Bulk(ids.user, [ids.photo], body, 30, "r"))


async def _found(filters: Filters, db: Any, ids: Ids) -> None:
    """Statements of several filters without the transaction that bounds their time."""
    page = finding.Page(filters)
    query, values, bounded = finding.statement(ids.user, page)
    await (finding.find(db, 1, ids.user, page) if bounded else db.fetch(query, *values))


async def _ready(db: Any, ids: Ids) -> None:
    photo, key, _ = await upload_queries.begin_upload(db, ids.user, "x.jpg", 60, 1, 2**60)
    assert await upload_queries.insert_ready(db, _new(ids), photo, key, 2**60)
    await upload_queries.link(db, ids.user, ids.album, photo)


async def _page_of(db: Any, ids: Ids, order: str, skip: int, limit: int) -> None:
    chosen = ORDERS[order]
    await albums.album_page(
        db, ids.user, ids.album, chosen, chosen.start, skip, limit, covers=not skip
    )


async def _view_of(db: Any, ids: Ids, order: str, skip: int, limit: int, *, counts: bool) -> None:
    chosen = ORDERS[order]
    await shares.view(db, ids.token, chosen, chosen.start, skip, limit, counts=counts)


async def _moved(db: Any, ids: Ids, side: arranging.Side) -> None:
    where = arranging.Where(side)
    assert await arranging.move(db, ids.user, ids.album, [ids.photo], where)


async def _worked(db: Any, ids: Ids) -> None:
    [job] = await queue.lease(db, "worker", 60, ["renditions", "display"], thumbnails_first=True)
    await queue.renew(db, job, 60)
    await queue.hold(db, job)
    await queue.retry_later(db, job, "x")
    [job] = await queue.lease(db, "worker", 60, ["renditions", "display"])
    await queue.postpone(db, job, 60, "x")
    [job] = await queue.lease(db, "worker", 60, ["renditions", "display"])
    await queue.hand_back(db, job)
    await queue.hand_back_lost(db, "another", [])
    [job] = await queue.lease(db, "worker", 60, ["renditions", "display"])
    await queue.finish(db, job)
    [job] = await queue.lease(db, "worker", 60, ["renditions", "display"])
    await queue.bury(db, job, "x")


async def _throttled(db: Any, ids: Ids) -> None:
    throttle = LoginThrottle(db, b"key", 10)
    await throttle.settle(await throttle.enter(uuid4().hex, "::1", known=True), failed=True)
    await throttle.register("::1")


async def _repeated(db: Any, ids: Ids) -> None:
    key, owner = Key(ids.user, "POST /x", "key", bytes(32)), uuid4()
    await idempotency._claim(db, key, owner, 30.0)
    await idempotency._complete(db, key, 201, 1)
    await idempotency._look_up(db, key)
    long = LongClaim(replace(key, key="long"), owner)
    await idempotency._claim(db, replace(key, key="long"), owner, 30.0)
    await long.renew(db)
    await long.complete(db, bytes(32), 201, 1)
    await long.release(db)


async def _shared(db: Any, ids: Ids) -> None:
    new = NewLink(ids.user, ids.album, uuid4().bytes, "k", b"x", timedelta(days=1), False)
    made = await shares.insert_share(db, new, 10_000)
    if made is None:
        await shares.count_working(db, ids.user)
        made = await shares.insert_share(db, new, 10_000)
    assert made is not None
    await shares.revoke_share(db, ids.user, ids.album, made, "r")


async def _failed(db: Any, ids: Ids) -> None:
    await rendering._mark_failed(db, ids.photo, "x")
    await rereading.keep_facts(db, ids.photo, None)


async def _registered(db: Any, ids: Ids) -> None:
    me = replace(ME, boot_id=str(uuid4()))
    await registry.enlist(db, me, "starting", "starting")
    await registry.change(db, me, "ready", "ready")
    await registry.correct(db, me, "ready", "draining", "draining")
    await registry.add_event(db, me, "ready", None, 1.0)
    await registry.declare_lost(db, [me.boot_id], me)
    nothing = dict.fromkeys(field.name for field in fields(Receipt))
    receipt = Receipt(**(nothing | {"ending": "drained", "cause": "x", "untold": 0}))  # type: ignore[arg-type]
    await receipts.end(db, me.boot_id, "i", "1", Ended(True, 1.0, receipt))


async def _by_cdn(db: Any, ids: Ids) -> None:
    await cdn_paths.note_object(db, ids.lease, "cdn-probes/x", 60.0)
    row = await cdn_paths.read(db, "https://cdn")
    counted = cdn_paths.Counted(row, CdnState("fallback", 0.0), "x", "cdn-probes/x", True)
    await cdn_paths.count(db, ids.lease, "https://cdn", counted, ME)
    await cdn_paths.path(db, "https://cdn")
    await cdn_paths.forget_object(db, ids.lease, "cdn-probes/x")


async def _leased(db: Any, ids: Ids) -> None:
    lease = await leases.acquire(db, "x", "tests", 60)
    assert lease is not None
    await leases.release(db, lease)


async def _turns(db: Any, ids: Ids) -> None:
    await queue.Turns().look_after(db, ids.lease)


async def _linked(db: Any, ids: Ids) -> None:
    one, other = uuid4().bytes, uuid4().bytes
    await links.allow_reset(db, ids.user, one, 60)
    await links.reset_of(db, one)
    await links.use_reset(db, one, "h")
    await links.forget_resets(db, ids.user)
    await links.invite(db, None, other, 60)
    await links.is_invitation(db, other, "a@example.org")
    await links.use_invitation(db, other, "a@example.org")


STATEMENTS: dict[str, Call] = {
    "photo list": lambda db, i: queries.photos(db, i.user, NEWEST, 0, 50),
    "photo list, skip": lambda db, i: queries.photos(db, i.user, NEWEST, FAR, 20),
    **{
        f"photos by {name}": partial(_found, filters)
        for name, filters in {
            "date": Filters(taken_from=datetime(2000, 1, 1)),
            "favourite": Filters(favourite=True),
            "archived": Filters(archived=True),
            "not archived": Filters(archived=False),
            "camera": Filters(camera="Camera 3"),
            "type": Filters(content_type="image/jpeg"),
            "box": Filters(box=Box(170, -90, -170, 90)),
            "no place": Filters(has_place=False),
            "no album": Filters(in_no_album=True),
            "no rendition": Filters(without_renditions=True),
            "camera and type": Filters(camera="Camera 3", content_type="image/jpeg"),
            "frequent text": Filters(terms=terms_of("img")),
            "rare text": Filters(terms=terms_of("봉화")),
        }.items()
    },
    "photos by album": lambda db, i: _found(Filters(album=i.album), db, i),
    "facets": lambda db, i: finding.facets(db, i.user),
    "photo": lambda db, i: queries.photo(db, i.user, i.photo),
    "image": lambda db, i: queries.image(db, i.user, i.photo),
    "thumbnail": lambda db, i: queries.thumbnail_of(db, i.user, i.photo),
    "photo update": lambda db, i: queries.update_photo(
        db, i.user, i.photo, "t", None, NewDate(None, 60, False), True, None
    ),
    "photo delete": lambda db, i: queries.delete_photo(db, i.user, i.photo, 0, "r"),
    "trash": _kept,
    "trash due": lambda db, i: trash.purge_due(db, 30, i.lease),
    "bulk": _changed_in_bulk,
    "contents": lambda db, i: queries.with_contents(db, i.user, [i.sha256, bytes(32)]),
    "album list": lambda db, i: albums.albums(db, i.user, NEWEST, 0, 50, covers=False),
    "album list, covers": lambda db, i: albums.albums(db, i.user, NEWEST, 0, 50, covers=True),
    "album list, skip": lambda db, i: albums.albums(db, i.user, NEWEST, FAR, 20, covers=False),
    "album": lambda db, i: albums.album(db, i.user, i.album),
    "album page": lambda db, i: _page_of(db, i, "position", 0, 50),
    "album page, skip": lambda db, i: _page_of(db, i, "position", FAR, 20),
    "album page, backwards": lambda db, i: _page_of(db, i, "-position", 0, 50),
    "album page, taken": lambda db, i: _page_of(db, i, "taken", 0, 50),
    "album page, taken, skip": lambda db, i: _page_of(db, i, "taken", FAR, 20),
    "album page, last taken": lambda db, i: _page_of(db, i, "-taken", 0, 50),
    "albums of a photo": lambda db, i: albums.albums_of_photo(db, i.user, i.photo, NEWEST, 50),
    "album move": lambda db, i: _moved(db, i, "start"),
    "album move, end": lambda db, i: _moved(db, i, "end"),
    # Of no photos: what a spread that is rolled back leaves is read by whoever comes next.
    "album spread": lambda db, _: arranging._spread(db, 0),
    "album insert": lambda db, i: albums.insert_album(db, i.user, "n", None),
    "album update": lambda db, i: albums.update_album(
        db, i.user, i.album, "n", None, i.photo, None
    ),
    "album add": lambda db, i: albums.add_photos(db, i.user, i.album, [i.photo]),
    "album remove": lambda db, i: albums.remove_photos(db, i.user, i.album, [i.photo]),
    "album has": lambda db, i: upload_queries.has_album(db, i.user, i.album),
    "album delete": lambda db, i: albums.delete_album(db, i.user, i.album, "r"),
    "upload and confirm": _confirmed,
    "upload through the server": _ready,
    "content": lambda db, i: upload_queries.ready_with_content(db, i.user, i.sha256),
    "content locked": lambda db, i: upload_queries.lock_content(db, i.user, i.sha256, i.album),
    "pending count": lambda db, i: upload_queries.count_pending(db, i.user),
    "duplicate": lambda db, i: upload_queries.end_as_duplicate(db, i.user, i.photo, 1),
    "upload cancelled": lambda db, i: upload_queries.end_pending(db, i.user, i.photo),
    "share": lambda db, i: shares.share(db, i.user, i.share),
    "share list": lambda db, i: shares.shares(db, i.user, i.album, NEWEST, 50),
    "share made and revoked": _shared,
    "share count": lambda db, i: shares.count_working(db, i.user),
    "share view": lambda db, i: _view_of(db, i, "position", 0, 50, counts=True),
    "share view, skip": lambda db, i: _view_of(db, i, "position", FAR, 20, counts=False),
    "share view, taken": lambda db, i: _view_of(db, i, "-taken", 0, 50, counts=True),
    "share image": lambda db, i: shares.shared_image(db, i.token, i.photo),
    "share photo": lambda db, i: shares.shared_photo(db, i.token, i.photo),
    "share displays": lambda db, i: shares.enqueue_displays(db, i.album, 0, 20),
    "user insert": lambda db, i: accounts.insert_user(db, uuid4().hex, "u", "h"),
    "user by e-mail": lambda db, i: accounts.user_by_email(db, f"u{i.user}@x"),
    "user by id": lambda db, i: accounts.user_by_id(db, i.user, 0),
    "quota": lambda db, i: upload_queries.room_for(db, _new(i), 0),
    "user deactivated": lambda db, i: accounts.set_active(db, f"u{i.user}@x", False),
    "user's hash": lambda db, i: accounts.replace_hash(db, i.user, "a", "b"),
    "session": lambda db, i: accounts.session(db, i.user, i.family),
    "costliest bcrypt": lambda db, i: accounts.costliest_bcrypt(db),
    "user's password": lambda db, i: accounts.credentials(db, i.user),
    "family": lambda db, i: accounts.start_family(
        db, i.user, "h", uuid4().bytes, 60, "192.0.2.0/24", "a"
    ),
    "refresh": lambda db, i: accounts.lock_token(db, i.refresh, 60),
    "rotate": lambda db, i: accounts.rotate(db, i.refresh, uuid4().bytes, 60, None, None),
    "session list": lambda db, i: session_queries.sessions(db, i.user, 10**8),
    "session ended": lambda db, i: session_queries.end_session(db, i.user, i.family),
    "sessions ended": lambda db, i: session_queries.end_sessions(db, i.user, i.family),
    "account links": _linked,
    "logout": lambda db, i: accounts.revoke_family_of(db, i.refresh),
    "revoke family": lambda db, i: accounts.revoke_family(db, i.family),
    "account closed": lambda db, i: closing.close(db, i.user, "h"),
    "account's photos": lambda db, i: closing.delete_photos(db, i.user),
    "account's belongings": lambda db, i: closing.delete_belongings(db, i.user),
    "account's row": lambda db, i: closing.delete_user(db, i.user),
    "accounts to delete": lambda db, i: closing.enqueue_deletions(db, i.lease),
    "throttle": _throttled,
    "idempotency": _repeated,
    "repeated delete": lambda db, i: repeated_deletes.was_carried_out(
        db, i.user, "photo", i.photo, "r"
    ),
    "jobs at work": _worked,
    "jobs wait": lambda db, i: queue.users_wait(db),
    "jobs depth": lambda db, i: queue.depth(db),
    "jobs turns": _turns,
    "jobs writable": lambda db, i: queue.prove_writable(db),
    "prune jobs": lambda db, i: queue.prune_dead(db, i.lease),
    "jobs pulled back": lambda db, i: queue.pull_back(db, i.lease),
    "prune keys": lambda db, i: idempotency.prune_keys(db, i.lease),
    "prune deletions": lambda db, i: prune_deletions(db, i.lease),
    "prune attempts": lambda db, i: prune_attempts(db, i.lease),
    "prune tokens": lambda db, i: accounts.prune(db, i.lease),
    "prune links": lambda db, i: links.prune_links(db, i.lease),
    "prune registry": lambda db, i: registry.prune(db, i.lease),
    "prune receipts": lambda db, i: receipts.prune(db, i.lease),
    "prune CDNs": lambda db, i: cdn_paths.prune(db, i.lease),
    "sweep uploads": lambda db, i: sweep._abandon_uploads(db, 60, i.lease),
    "sweep objects": lambda db, i: sweep._take_due(db, i.lease),
    "sweep rows": lambda db, i: sweep._prune(db, i.lease),
    "sweep forget": lambda db, i: sweep._forget(db, ["x"], i.lease),
    "late uploads": lambda db, i: late_uploads._unknown(db, {"staging/x": datetime.now(UTC)}, 1.0),
    "fill folds": lambda db, i: accounts.fill_folds(db, i.lease, 0, 500),
    "compose names": lambda db, i: composed_names.compose_names(db, i.lease, 100),
    "reread": lambda db, i: rereading.enqueue_unread(db, i.lease),
    "displays of old photos": lambda db, i: remaking.enqueue_displays(db, i.lease),
    "photos without": lambda db, i: remaking.photos_without(db, 60.0),
    "remake": lambda db, i: remaking.remake(db, 0, None, 0.0),
    "statistics": lambda db, i: statistics.count(db, i.lease),
    "statistics, waiting": lambda db, i: statistics.count_waiting(db, i.lease),
    "months": lambda db, i: timeline.months(db, i.user, archived=False),
    "month": lambda db, i: timeline.month(
        db, i.user, MONTH, (MONTH + timedelta(days=31), 0), 100, archived=False
    ),
    "month, archived": lambda db, i: timeline.month(
        db, i.user, MONTH, (MONTH + timedelta(days=31), 0), 100, archived=True
    ),
    "tiles": lambda db, i: timeline.tiles(db, i.user, [i.photo]),
    "months added up": lambda db, i: timeline.add_up(db, i.lease),
    "statistics told": lambda db, i: statistics.statistics(db),
    "heartbeat": lambda db, i: registry.heartbeat(db, BOOT, json.dumps({})),
    "suspects": lambda db, i: registry.suspects(db, BOOT, 3),
    "peers": lambda db, i: registry.peers(db, BOOT, 3),
    "gone": lambda db, i: registry.gone(db),
    "removals": lambda db, i: registry.removals(db, BOOT),
    "CDN's path": _by_cdn,
    "boot's life": _registered,
    "renditions failed": _failed,
    "jobs revived": lambda db, i: queue.revive(db, queue.Filter(), 0),
    "lease": _leased,
    "lease renewed": lambda db, i: leases.renew(db, i.lease, 600),
}
