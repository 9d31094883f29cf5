"""The sheet of NHN Cloud's console: every value, the same in both languages; and what `check` says
of what cannot be entered there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.cli import main
from photo_fleet.render.nhn import console
from photo_fleet.rules.checks import check
from photo_fleet.rules.nhn import limits
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet, Group, Policy
from photo_fleet.spec.targets import for_target
from tests.photo_fleet.golden_files import assert_golden

NHN = for_target(Fleet(), "nhn")
TOLD = changed(
    NHN,
    {
        "group.nhn.network": "https://kr1-api-network-infrastructure.nhncloudservice.com",
        "group.nhn.pool": "522a5681-fc4c-4b0b-85ec-bf7777c48a57",
        "group.nhn.user": "photo-api",
        "group.nhn.project": "f5073eaa26b64cffbee89411df94ce01",
    },
)


def rows(sheet: str) -> list[list[str]]:
    """Of all tables, without their headings."""
    found = [re.split(r" ?\| ?", line)[1:-1] for line in sheet.splitlines() if line[:1] == "|"]
    return [row for row in found if row[2] not in ("Spec", "스펙", "---")]


def test_the_sheets_are_exactly_these() -> None:
    assert_golden("nhn", console.files(NHN))


def test_both_languages_say_the_same() -> None:
    sheets = console.files(NHN)
    english, korean = rows(sheets["console.md"]), rows(sheets["console.ko.md"])
    assert [row[2] for row in english] == [row[2] for row in korean]
    for en, ko in zip(english, korean, strict=True):
        assert re.findall(r"\d+|`[^`]+`", en[1]) == re.findall(r"\d+|`[^`]+`", ko[1])
    headings = [re.findall(r"(?m)^## \d+\. [A-Z]\S+ > \S+", text) for text in sheets.values()]
    assert headings[0] == headings[1]


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"name": "seoul"}, "seoul"),
        ({"service.port": 9001}, "9001"),
        ({"balancer.keep_alive": 41}, "41"),
        ({"balancer.algorithm": "least-connections"}, "LEAST_CONNECTIONS"),
        ({"health_check.path": "/health/ready"}, "/health/ready"),
        ({"health_check.interval": 17}, "17"),
        ({"health_check.timeout": 4}, "4"),
        ({"health_check.unhealthy": 7}, "7"),
        ({"group.min": 4}, "4"),
        ({"group.max": 13}, "13"),
        ({"group.desired": 5}, "5"),
        ({"group.policies[0].threshold": 61}, "61"),
        ({"group.policies[0].duration": 240}, "4"),
        ({"group.policies[1].step": -2}, "-2"),
        ({"group.policies[1].cooldown": 660}, "11"),
    ],
)
def test_each_number_of_the_spec_is_in_the_row_that_names_it(
    change: dict[str, Any], shown: str
) -> None:
    [key] = change
    for sheet in console.files(changed(NHN, change)).values():
        named = [row[1] for row in rows(sheet) if f"`{key}" in row[2] or f" {key}`" in row[2]]
        assert named
        assert all(shown in value for value in named)


def codes(fleet: Fleet) -> dict[str, str]:
    return {one.code: one.level for one in check(fleet) if one.code.startswith("nhn-")}


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("nhn-name", {"name": "photos-of-a-long-name"}),
        ("nhn-metric", {"group.policies[0].metric": "in_flight"}),
        ("nhn-duration", {"group.policies[0].duration": 90}),
        ("nhn-duration", {"group.policies[0].duration": 0}),
        ("nhn-probes", {"health_check.interval": 15.5}),
        ("nhn-probes", {"health_check.unhealthy": 11}),
        ("nhn-stop", {"drain.kill_delay": 79}),
    ],
)
def test_what_cannot_be_entered_is_refused_and_mended(code: str, change: dict[str, Any]) -> None:
    broken = changed(TOLD, change)
    assert codes(broken) == {code: "error"}
    [finding] = [one for one in check(broken) if one.code == code]
    assert codes(changed(broken, finding.changes)) == {}
    assert codes(changed(broken, {"group.cloud": "none"})) == {}


def test_numbers_that_just_hold_are_fine() -> None:
    just: dict[str, Any] = {
        "name": "photos-of-twenty-sig",
        "group.policies[0].duration": 60,
        "health_check.unhealthy": 10,
        "drain.kill_delay": 80,
    }
    assert codes(changed(TOLD, just)) == {}


def test_a_group_has_one_policy_to_grow_by() -> None:
    rules = (Policy("cpu", 70, 300, +1, 300), Policy("cpu", 85, 60, +2, 300))
    down = Policy("cpu", 30, 600, -1, 300)
    fleet = changed(TOLD, {"group.max": 12})
    broken = for_target(Fleet(group=Group(policies=(*rules, down), nhn=fleet.group.nhn)), "nhn")
    assert codes(broken) == {"nhn-policies": "error"}
    [finding] = [one for one in check(broken) if one.code == "nhn-policies"]
    mended = changed(broken, finding.changes)
    assert codes(mended) == {}
    sheet = console.files(mended)["console.md"]
    conditions = [row[1] for row in rows(sheet) if row[0] == "Condition"]
    assert [value.partition(",")[0] for value in conditions] == [
        "CPU usage rate (%) >= 70",
        "CPU usage rate (%) >= 85",
        "CPU usage rate (%) <= 30",
    ]


def test_a_rule_that_cannot_be_entered_is_not_one_of_cpu() -> None:
    """Also with `render --force`."""
    of_jobs = Policy("queue_age", 90, 300, +1, 300)
    fleet = changed(TOLD, {"group.policies": (of_jobs, *TOLD.group.policies)})
    sheet = console.files(fleet)["console.md"]
    assert [row[2] for row in rows(sheet) if row[0] == "Condition"] == [
        f"`group.policies[{place}].threshold, group.policies[{place}].duration`" for place in (1, 2)
    ]


def test_whoever_leaves_by_himself_has_to_know_where() -> None:
    assert codes(NHN) == {"nhn-member": "warning"}
    assert codes(changed(NHN, {"drain.removal": "health-only"})) == {}


def test_limits_are_told_with_what_follows_and_fail_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert limits(Fleet()) == []
    spec = tmp_path / "fleet.toml"
    spec.write_text('name = "seoul"\n')
    assert main(["check", str(spec), "--target", "nhn", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["limits"]
    assert told == limits(changed(NHN, {"name": "seoul"}))
    assert main(["check", str(spec), "--target", "nhn"]) == 0
    text = capsys.readouterr().out
    for word in ("no lifecycle hook", "180s without metrics", "oldest instance", "no API"):
        assert word in text
