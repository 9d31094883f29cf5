"""What a fleet may forget when a standby that lagged takes its database's place, and what not."""

from dataclasses import replace
from pathlib import Path

from photo_fleet.drill.evidence.failover import Gap, reconciled
from photo_fleet.drill.evidence.reconcile import Evidence
from photo_fleet.drill.evidence.tables import Tables
from photo_fleet.drill.faults.promotions import SKIP_IDS
from photo_fleet.drill.ledger import Creation, Edit
from photo_fleet.drill.records import Discrepancies, Upload

GAP = Gap(10, 20)
BEFORE, WITHIN, AFTER = 9.0, 15.0, 21.0
DOCUMENT = Path(__file__).parent.parent.parent / "docs/restore.md"


def album(name: str) -> Tables:
    row = {"id": 5, "name": name, "description": None, "photo_count": 0, "counted": 0}
    return Tables(albums=(row,), keys=({"key": "k", "status": 201, "resource_id": 5},))


def uploaded(at: float) -> Evidence:
    return Evidence(uploads=(Upload(1, "c", "aa", at),))


def created(at: float) -> Evidence:
    return Evidence(creations=(Creation("k", "c", "album", "a5", 5, at),))


def renamed(at: float) -> Evidence:
    """Its album has the name of before."""
    creations = (Creation("k", "c", "album", "old", 5, BEFORE - 1),)
    edits = (Edit("c", 5, "name", at - 0.1, "new", (), at, "r1"),)
    return Evidence(creations=creations, edits=edits, tables=album("old"))


def test_what_was_acknowledged_in_the_gap_is_left_behind() -> None:
    for make in (uploaded, created, renamed):
        found = reconciled(make(WITHIN), GAP)
        assert len(found.left_behind) == 1, make
        assert replace(found, left_behind=()) == Discrepancies(), make


def test_what_was_acknowledged_before_or_afterwards_may_not_be_lost() -> None:
    for make in (uploaded, created, renamed):
        for at in (BEFORE, AFTER):
            found = reconciled(make(at), GAP)
            assert (len(found.acknowledged_lost), found.left_behind) == (1, ()), (make, at)


def test_without_a_gap_nothing_is_left_behind() -> None:
    found = reconciled(uploaded(WITHIN), None)
    assert (len(found.acknowledged_lost), found.left_behind) == (1, ())


def test_a_deletion_that_was_left_behind_is_not_half_done() -> None:
    row = {
        "id": 1, "status": "ready", "title": "t", "album_id": None, "object_key": None,
        "thumbnail_key": None, "preview_key": None,
        "display_key": None,
        "renditions": "failed", "in_album": False,
        "has_album": False, "has_job": False,
    }  # fmt: skip
    for at, half_done in ((WITHIN, 0), (AFTER, 1)):
        upload = Upload(1, "c", "aa", BEFORE, deleted=True, delete_asked=True, deleted_at=at)
        evidence = Evidence(uploads=(upload,), tables=Tables(photos=(row,)))
        found = [words for words in reconciled(evidence, GAP).half_done if "deleted" in words]
        assert len(found) == half_done, at


def test_files_of_which_no_row_tells_are_left_behind_and_missing_files_are_not() -> None:
    evidence = Evidence(objects=frozenset({"photos/1/9/x.jpg"}))
    found = reconciled(evidence, GAP)
    assert (len(found.left_behind), found.ghosts) == (1, ())
    assert len(reconciled(evidence, None).ghosts) == 1


def test_the_guide_to_restoring_skips_the_ids_that_the_drill_skips() -> None:
    assert " ".join(SKIP_IDS.split()) in " ".join(DOCUMENT.read_text().split())
