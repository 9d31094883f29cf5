"""CHANGELOG.md tells operators of every setting, metric, migration, alert, event and key of the
spec that came, went or has another default now: compared with the tree of the release before."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from photo_api.contract import RELEASE, UPGRADES_FROM
from tests.releases import ROOT, previous_tree

ENTRY = re.compile(r"^## (\S+)\n(.*?)(?=^## |\Z)", re.M | re.S)
SETTING = re.compile(r"^\| `(PHOTO_API_\w+)`[^|]*\|([^|]*)\|", re.M)
METRIC = re.compile(r"^\| `([a-z_]+)` \| (\w+) \|([^|]*)\|", re.M)
OF_THE_FLEET = re.compile(r'"(photo_fleet_[a-z_]+)"')
ALERT = re.compile(r'\bAlert\(\s*"(\w+)"')
EVENT = re.compile(r'^    [A-Z_]+ = "([a-z_]+)"$', re.M)
TABLE = re.compile(r"(?:# )?\[+([a-z_.]+)\]+")
KEY = re.compile(r"(?:# )?([a-z_]+) = (.*)")

Told = Mapping[str, str]
"""By its name: what is documented of it that operators may rely on."""


def entries(text: str) -> list[tuple[str, str]]:
    """Releases and what is said of them, in order."""
    return [(found[1], found[2]) for found in ENTRY.finditer(text)]


def told_of(tree: Path) -> Told:
    """Everything in this tree whose coming or going concerns an operator. Other tests hold the
    documents that are read here to the code."""
    return {
        **_documented(SETTING, tree / "docs/settings.md"),
        **_documented(METRIC, tree / "docs/metrics.md"),
        **dict.fromkeys(_named(OF_THE_FLEET, tree / "src/photo_fleet"), ""),
        **dict.fromkeys(_named(ALERT, tree / "src/photo_fleet/render"), ""),
        **dict.fromkeys(_named(EVENT, tree / "src/photo_api/telemetry"), ""),
        **{file.stem: "" for file in (tree / "src/photo_api/db/sql").glob("*.sql")},
        **dict(_keys((tree / "fleet.example.toml").read_text())),
    }


def _documented(row: re.Pattern[str], file: Path) -> Told:
    return {found[1]: " ".join(found.groups()[1:]) for found in row.finditer(file.read_text())}


def _named(pattern: re.Pattern[str], package: Path) -> Iterator[str]:
    for file in package.rglob("*.py"):
        yield from pattern.findall(file.read_text())


def _keys(spec: str) -> Iterator[tuple[str, str]]:
    """As `balancer.rate_limits.read`, with the default."""
    table = ""
    for line in spec.splitlines():
        if found := TABLE.fullmatch(line):
            table = f"{found[1]}."
        elif found := KEY.fullmatch(line):
            yield f"{table}{found[1]}", found[2]


def changed(before: Told, now: Told) -> set[str]:
    return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}


def unnamed(entry: str, names: set[str]) -> list[str]:
    """Those that the entry does not name, as code."""
    code = set(re.findall(r"`([^`\s]+)`", entry))
    return sorted(names - code)


def test_the_newest_entry_is_this_release() -> None:
    told = [release for release, _ in entries((ROOT / "CHANGELOG.md").read_text())]
    assert told[0] == RELEASE
    assert set(UPGRADES_FROM) <= set(told[1:])


def test_it_names_what_came_went_or_changed_its_default(tmp_path: Path) -> None:
    release = previous_tree(tmp_path).release
    assert release in UPGRADES_FROM, "the release before is one that a deploy may come from"
    _, entry = entries((ROOT / "CHANGELOG.md").read_text())[0]
    assert unnamed(entry, changed(told_of(tmp_path), told_of(ROOT))) == []


def test_all_of_a_tree_is_read() -> None:
    here = told_of(ROOT)
    for name, what in (
        ("PHOTO_API_DATABASE_POOL", " 10 "),
        ("PHOTO_API_JWT_KEYS", " (required) "),
        ("photo_api_info", None),
        ("photo_fleet_members", ""),
        ("0001_initial", ""),
        ("DrainStuck", ""),
        ("login_failed", ""),
        ("name", '"photo-api"'),
        ("service.port", "8000"),
        ("balancer.rate_limits.read", None),
    ):
        assert name in here
        assert what is None or here[name] == what


@pytest.mark.parametrize(
    ("before", "now", "name"),
    [
        ({}, {"PHOTO_API_NEW": "1"}, "PHOTO_API_NEW"),
        ({"photo_api_old_total": "counter"}, {}, "photo_api_old_total"),
        ({"service.port": "8000"}, {"service.port": "80"}, "service.port"),
    ],
)
def test_what_an_entry_leaves_out_is_found(before: Told, now: Told, name: str) -> None:
    assert unnamed("It is `something`, not PHOTO_API_NEW.", changed(before, now)) == [name]
    assert unnamed(f"There is `{name}`.", changed(before, now)) == []
