"""Which release may take over from which, by what both carry; the slow ones with real trees."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from photo_api.contract import RELEASE, UPGRADES_FROM
from photo_fleet.group.succession import Carried, refusals
from tests.photo_fleet.local_stage import Up, fleet_up, release_tree
from tests.releases import previous_tree

FIRST = Carried("0.1.0", (), {"1_a": ""})
SECOND = Carried("0.2.0", ("0.1.0",), {"1_a": "", "2_b": ""})
THIRD = Carried("0.3.0", ("0.2.0",), {"1_a": "", "2_b": "", "3_c": ""})
BREAKING = Carried("0.3.0", ("0.2.0",), {"1_a": "", "2_b": "", "3_c": "it reads albums.name"})


@pytest.mark.parametrize(
    ("serving", "wanted", "applied"),
    [
        ([FIRST], SECOND, "1_a"),
        ([SECOND], FIRST, "1_a 2_b"),
        ([FIRST, SECOND], SECOND, "1_a 2_b"),
        ([FIRST, SECOND], FIRST, "1_a 2_b"),
        # Back from the third to the second: it served there, so another tree of it does.
        ([SECOND], SECOND, "1_a 2_b 3_c"),
        ([SECOND], THIRD, "1_a 2_b 3_c"),
        ([FIRST], SECOND, ""),
        ([SECOND], BREAKING, ""),
        ([SECOND], BREAKING, "1_a 2_b 3_c"),
        # Two trees of one release.
        ([Carried("0.2.0", (), {"1_a": "", "2_x": ""})], Carried("0.2.0", (), {"1_a": ""}), "1_a"),
    ],
)  # fmt: skip
def test_what_may_be_deployed(serving: list[Carried], wanted: Carried, applied: str) -> None:
    assert list(refusals(wanted, serving, applied.split())) == []


@pytest.mark.parametrize(
    ("serving", "wanted", "applied", "reasons"),
    [
        ([FIRST], THIRD, "1_a", ["0.1.0 serves, and 0.3.0 runs beside 0.2.0, not beside 0.1.0"]),
        (
            [THIRD], FIRST, "1_a 2_b 3_c",
            [
                "0.3.0 serves, and 0.3.0 runs beside 0.2.0, not beside 0.1.0",
                "the migration 2_b, which neither",
                "the migration 3_c, which neither",
            ],
        ),
        # In the middle of a deploy of the third the first is as far away as ever.
        (
            [SECOND, THIRD], FIRST, "1_a 2_b 3_c",
            ["0.3.0 serves, and 0.3.0 runs beside 0.2.0", "the migration 3_c, which neither"],
        ),
        # The third was here, and has left its schema behind.
        ([SECOND], FIRST, "1_a 2_b 3_c", ["the migration 3_c, which neither"]),
        # Nor does it count that both know the same.
        (
            [Carried("0.2.0", ("0.1.0",), FIRST.migrations)], FIRST, "1_a 3_c",
            ["the migration 3_c, which neither"],
        ),
        (
            [SECOND], BREAKING, "1_a 2_b",
            ["its migration 3_c breaks the release before: it reads albums.name; end the fleet"],
        ),
        (
            [BREAKING], SECOND, "1_a 2_b 3_c",
            ["the migration 3_c, on which it cannot work: it reads albums.name"],
        ),
        ([Carried("0.10.0")], Carried("0.9.0"), "", ["0.10.0 runs beside no other"]),
    ],
)  # fmt: skip
def test_what_may_not(
    serving: list[Carried], wanted: Carried, applied: str, reasons: Sequence[str]
) -> None:
    told = list(refusals(wanted, serving, applied.split()))
    assert len(told) == len(reasons), told
    for said, reason in zip(told, reasons, strict=True):
        assert reason in said
        assert "deploy" in said or "start it with the new release" in said, "it says what to do"


ADDS, BREAKS = (
    "ALTER TABLE albums ADD note text;\n",
    "-- breaks the release before: it reads this\n",
)


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_release_that_cannot_be_reached_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    former = previous_tree(tmp_path / "former").release
    trees = {
        "far": release_tree(tmp_path / "far", release="0.9.0", upgrades_from=["0.8.0"]),
        "older": release_tree(tmp_path / "older", release="0.0.9"),
        "breaking": release_tree(tmp_path / "breaking", migrations={"9001_breaks": BREAKS + ADDS}),
        "beyond": release_tree(tmp_path / "beyond", migrations={"9001_adds": ADDS}),
        "none": tmp_path / "none",
        "no-contract": release_tree(tmp_path / "no-contract"),
        "other-settings": release_tree(tmp_path / "other-settings"),
    }
    (trees["no-contract"] / "src/photo_api/contract.py").unlink()
    for file in (trees["other-settings"] / "src/photo_api/settings").glob("*.py"):
        file.write_text(file.read_text().replace('"MAX_INSTANCES"', '"MOST_INSTANCES"'))
    assert former in UPGRADES_FROM
    with fleet_up(tmp_path / "f", low=1, desired=1) as up:
        before = up.serving()
        for name, reason in (
            ("far", f"{RELEASE} serves, and 0.9.0 runs beside 0.8.0, not beside {RELEASE}"),
            (
                "older",
                f"{RELEASE} runs beside {former}, not beside 0.0.9: deploy one release after",
            ),
            ("breaking", "its migration 9001_breaks breaks the release before: it reads this"),
            ("none", "is no release: it has neither src/photo_api"),
            ("no-contract", "No module named 'photo_api.contract'"),
            ("other-settings", "PHOTO_API_MAX_INSTANCES is not a setting"),
        ):
            refused = deploy(up, trees[name], expect=1)
            assert reason in refused, refused
        status = up.status()
        assert [item["pid"] for item in up.serving()] == [item["pid"] for item in before]
        assert (status["deploy"], len(status["releases"])) == (None, 1)
        # Another tree of this release migrated further and has left: nobody answers for that.
        deploy(up, trees["beyond"])
        up.command("deploy")
        refused = deploy(up, tmp_path / "former", expect=1)
        assert "the database has the migration 9001_adds, which neither" in refused
        [only] = up.status()["releases"]
        assert (only["version"], only["instances"]) == (RELEASE, 1)


def deploy(up: Up, tree: Path, expect: int = 0) -> str:
    return up.command("deploy", "--release", str(tree), expect=expect)
