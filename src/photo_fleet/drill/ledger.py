"""The clients' own account of what they sent and what became of it."""

import math
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import orjson

from photo_fleet.drill.records import Draft, Outcome, Request, Upload

What = Literal["album", "photo", "share"]
Change = Literal["name", "add", "remove"]

DELETION = "delete_photo"
"""The kind of requests that delete a photo."""


@dataclass(frozen=True, slots=True)
class Creation:
    """Something that a client asked for under an idempotency key. `mark` is how its row is told
    from all others: an album's name, a photo's title, the id of a share's album; `id` is the
    resource, once its creation was acknowledged."""

    key: str
    client: str
    what: What
    mark: str
    id: int | None = None
    acknowledged: float = math.inf


@dataclass(frozen=True, slots=True)
class Edit:
    """What a client asked of an album: the name (and description) `text`, or to add or remove
    `photos`, in this order. `request` is the one that acknowledged it by `ended`; None: it may have
    been carried out or not, or may be yet."""

    client: str
    album: int
    what: Change
    began: float
    text: str = ""
    photos: tuple[int, ...] = ()
    ended: float = math.inf
    request: str | None = None


class Ledger:
    """Every request from before it is sent to its one outcome, every creation and edit, every
    acknowledged upload. Times are seconds of `clock` since it was opened."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._run = secrets.token_hex(4)
        self._numbers = count(1)
        self._open: dict[str, Draft] = {}
        self._uploads: dict[int, Upload] = {}
        self._creations: dict[tuple[str, What], Creation] = {}
        self._edits: list[Edit] = []
        self.requests: list[Request] = []
        """In the order in which they ended."""

    def now(self) -> float:
        return self._clock() - self._began

    def mint(self) -> str:
        """A name that nothing else has: a request's id, an idempotency key, a photo's title."""
        return f"drill-{self._run}-{next(self._numbers)}"

    def open(
        self,
        *,
        client: str,
        kind: str,
        method: str,
        target: str = "api",
        due: float | None = None,
        idempotency_key: str | None = None,
        repeats: str | None = None,
    ) -> Draft:
        """Write a request down before it is sent; without `due` it is sent when it should be."""
        now = self.now()
        due = now if due is None else due
        draft = Draft(
            *(self.mint(), client, kind, method, target, due, now),
            idempotency_key=idempotency_key,
            repeats=repeats,
        )
        self._open[draft.id] = draft
        return draft

    def close(
        self,
        draft: Draft,
        outcome: Outcome,
        status: int | None = None,
        instance: str | None = None,
        detail: str = "",
    ) -> Request:
        """Give a request its outcome. Raises `ValueError` for one that has one already."""
        if self._open.pop(draft.id, None) is None:
            raise ValueError(f"{draft.id} is not open")
        request = Request(
            **asdict(draft),
            ended=self.now(),
            outcome=outcome,
            status=status,
            instance=instance,
            detail=detail,
        )
        self.requests.append(request)
        return request

    @property
    def unfinished(self) -> tuple[Draft, ...]:
        """Requests without an outcome."""
        return tuple(self._open.values())

    @property
    def uploads(self) -> tuple[Upload, ...]:
        return tuple(self._uploads.values())

    @property
    def creations(self) -> tuple[Creation, ...]:
        return tuple(self._creations.values())

    @property
    def edits(self) -> tuple[Edit, ...]:
        return tuple(self._edits)

    def intend(self, key: str, client: str, what: What, mark: str) -> None:
        """A client is about to ask for this; a repetition with the key is the same intention."""
        self._creations.setdefault((key, what), Creation(key, client, what, mark))

    def created(self, key: str, what: What, resource: int) -> None:
        """What was intended was acknowledged."""
        self._creations[key, what] = replace(
            self._creations[key, what], id=resource, acknowledged=self.now()
        )

    def edit(
        self, client: str, album: int, what: Change, text: str = "", photos: Iterable[int] = ()
    ) -> int:
        """A client is about to ask for this; its number."""
        self._edits.append(Edit(client, album, what, self.now(), text, tuple(photos)))
        return len(self._edits) - 1

    def edited(self, number: int, request: str, photos: Iterable[int] | None = None) -> None:
        """This request acknowledged it; `photos` where they are only known by the answer."""
        edit = self._edits[number]
        known = edit.photos if photos is None else tuple(photos)
        self._edits[number] = replace(edit, photos=known, ended=self.now(), request=request)

    def acknowledge(self, photo_id: int, client: str, sha256: str) -> None:
        """A photo's upload or confirmation was answered with success."""
        self._uploads.setdefault(photo_id, Upload(photo_id, client, sha256, self.now()))

    def delete_asked(self, photo_id: int) -> None:
        """From here on nobody knows whether the photo is there, until the answer comes."""
        self._change(photo_id, delete_asked=True)

    def deleted(self, photo_id: int) -> None:
        """The photo's deletion was acknowledged."""
        self._change(photo_id, deleted=True, deleted_at=self.now())

    def lines(self) -> Iterable[bytes]:
        """Everything but what is unfinished, as lines of JSON, each with its `type`."""
        for kind, items in (
            ("request", self.requests),
            ("upload", self._uploads.values()),
            ("creation", self._creations.values()),
            ("edit", self._edits),
        ):
            for item in items:
                told: dict[str, Any] = {"type": kind, **asdict(item)}
                yield orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)

    def write(self, path: Path) -> None:
        """Export it to a file."""
        with path.open("wb") as file:
            file.writelines(self.lines())

    def _change(self, photo_id: int, **changes: Any) -> None:
        if photo_id in self._uploads:
            self._uploads[photo_id] = replace(self._uploads[photo_id], **changes)
