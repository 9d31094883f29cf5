"""The drill's proof of itself: its table of broken variants, and some of them for real."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from photo_fleet.drill.faults.available import AVAILABLE
from photo_fleet.drill.gates import MEANINGS, Gate, Violation
from photo_fleet.drill.verdict import judge
from photo_fleet.render.nginx import files
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Fleet
from self_test.breaking import VARIABLE, breaks
from self_test.breaks import BREAKS
from self_test.harm import HARM
from self_test.proof import HERE, Result, body, proven
from self_test.proxy import PROXY_BREAKS
from self_test.variant import Variant
from self_test.variants import (
    VARIANTS,
    UnknownVariant,
    chosen,
)
from tests.drill.handmade import quiet_run

BREAKS_MODULE = "self_test.breaks"
PYTHONPATH = [str(HERE / "start"), str(HERE.parent)]

BY_HAND = (
    "no broken part of a fleet shows it alone; it is shown by records made by hand, in the tests"
    " of the gates"
)

WITHOUT_VARIANT = {
    "no-evidence": "a drill without load or fault is no broken fleet; " + BY_HAND,
    "cut": "nginx holds back whole answers of the service as small as these; " + BY_HAND,
    "lost": "nginx answers before the patience of the clients ends; " + BY_HAND,
    "read-failed": BY_HAND,
    "cut-elsewhere": BY_HAND,
    "write-failed-elsewhere": BY_HAND,
    "store-failed": BY_HAND,
    "refused-without-outage": BY_HAND,
    "not-recovered": BY_HAND,
}
"""Rules that no variant is for, and why."""

LOOK_FOR_CHANGES = """
from importlib import import_module
module = import_module({module!r})
places = [module, *(item for item in vars(module).values() if isinstance(item, type))]
items = [item for place in places for item in vars(place).values()]
print(any(getattr(item, "__module__", "") == {breaks!r} for item in items))
"""
"""Whether a function of the module or of a class in it is one of the breaks'."""


def test_each_rule_has_a_variant_or_says_why_not() -> None:
    with_variant = {item.rule for item in VARIANTS if item.rule is not None}
    assert with_variant | set(WITHOUT_VARIANT) == set(MEANINGS)
    assert not with_variant & set(WITHOUT_VARIANT)
    assert all(WITHOUT_VARIANT.values())


def test_the_table_names_only_what_there_is() -> None:
    names = [item.name for item in VARIANTS]
    assert len(set(names)) == len(names)
    for item in VARIANTS:
        assert set(item.breaks) <= set(BREAKS)
        assert {step.fault for step in item.scenario.steps} <= {*AVAILABLE, *HARM}
        assert item.also <= set(MEANINGS)
        assert item.rule not in item.also
    assert not set(HARM) & set(AVAILABLE), "a harm would take the place of a fault"


def test_every_break_is_used_and_a_sound_fleet_stands_beside_each_gate() -> None:
    assert {name for item in VARIANTS for name in item.breaks} == set(BREAKS)
    assert {name for item in VARIANTS for name in item.proxy_breaks} == set(PROXY_BREAKS)
    sound = [item for item in VARIANTS if item.rule is None]
    assert {item.scenario.gate for item in sound} == {item.scenario.gate for item in VARIANTS}
    assert not any(item.also for item in sound)


@pytest.mark.parametrize("name", sorted(BREAKS))
def test_a_process_of_the_service_is_broken_as_its_environment_says(name: str) -> None:
    assert _is_changed(BREAKS[name][0], name)


def test_a_process_of_the_service_is_whole_when_its_environment_says_nothing() -> None:
    assert not _is_changed("photo_api.http.idempotency", "")


def test_every_gate_has_a_broken_variant() -> None:
    assert {item.scenario.gate for item in VARIANTS if item.rule is not None} == set(Gate)


@pytest.mark.parametrize("name", sorted(PROXY_BREAKS))
def test_the_proxy_s_files_have_what_a_break_changes(name: str, tmp_path: Path) -> None:
    spec = Fleet()
    balancer = replace(spec.balancer, store="http://127.0.0.1:8333")
    edged = replace(spec, balancer=balancer, edge=replace(spec.edge, on=True))
    rendered = files(edged, Places.below(tmp_path, 8080))
    for old, new in PROXY_BREAKS[name]:
        having = [text for text in rendered.values() if old in text]
        assert len(having) == 1, old
        assert not new or new not in having[0]


def test_an_unknown_break_ends_the_process_instead_of_leaving_it_whole() -> None:
    with pytest.raises(KeyError):
        breaks("exit-at-once,no-such-break")
    assert breaks("exit-at-once,late-drain") == ["exit-at-once", "late-drain"]


def _is_changed(module: str, wanted: str) -> bool:
    code = LOOK_FOR_CHANGES.format(module=module, breaks=BREAKS_MODULE)
    environ = {**os.environ, VARIABLE: wanted, "PYTHONPATH": os.pathsep.join(PYTHONPATH)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.strip() == "True"


def _violated(*rules: str) -> tuple[Violation, ...]:
    return tuple(Violation(rule, 1, ("an example",)) for rule in rules)


def _variant(rule: str | None) -> Variant:
    return next(item for item in VARIANTS if item.rule == rule)


@pytest.mark.parametrize(
    ("rule", "violated", "caught"),
    [
        ("failed", ("failed",), True),
        ("failed", ("failed", "refused"), True),
        ("failed", ("refused",), False),
        ("failed", ("failed", "ghost"), False),
        ("failed", (), False),
        (None, (), True),
        (None, ("failed",), False),
        ("acknowledged-loss", ("acknowledged-loss", "ghost"), True),
        ("acknowledged-loss", ("ghost",), False),
    ],
)
def test_a_variant_is_caught_by_its_own_rule_and_no_foreign_one(
    rule: str | None, violated: tuple[str, ...], caught: bool
) -> None:
    verdict = judge(quiet_run(), Gate.LOSSLESS)
    assert verdict.holds
    assert _variant(rule).caught(replace(verdict, violations=_violated(*violated))) is caught


def test_it_is_proven_only_when_every_variant_was_as_it_must_be() -> None:
    good = Result(VARIANTS[0], caught=True, requests=9, violations=_violated("acknowledged-loss"))
    bad = Result(VARIANTS[1], caught=False, problem="the stage did not start")
    assert proven([good])
    assert not proven([good, bad])
    assert not proven([])
    told = json.loads(json.dumps(body([good, bad])))
    assert told["proven"] is False
    assert [item["as_expected"] for item in told["variants"]] == [True, False]
    assert told["variants"][1]["problem"] == "the stage did not start"


def test_variants_are_chosen_by_name() -> None:
    assert chosen([]) == list(VARIANTS)
    assert [item.name for item in chosen(["sound", "late-drain"])] == ["late-drain", "sound"]
    with pytest.raises(UnknownVariant, match="the variants are"):
        chosen(["no-such-variant"])


def self_test(
    *arguments: str, seconds: float = 30, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "photo_fleet.cli", "drill", "--self-test", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_the_list_names_the_variants_and_runs_none(tmp_path: Path) -> None:
    (tmp_path / "self_test").mkdir()  # not the checkout's
    (tmp_path / "self_test/command.py").write_text("raise SystemExit(3)")
    (tmp_path / "self_test/__init__.py").touch()
    done = self_test("--list", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [v.name for v in VARIANTS]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "no-such-thing"], "the variants are"),
        (["--all"], "not with --self-test"),
        (["--target", "http://127.0.0.1:9"], "not with --self-test"),
        (["--keep", "/etc"], "not an empty folder"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_started(arguments: list[str], told: str) -> None:
    done = self_test(*arguments)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(1020)
def test_broken_fleets_make_exactly_their_gates_fail(tmp_path: Path) -> None:
    """One for each gate, the one that loses what it acknowledged, and one of whose damage no client
    learns."""
    names = {
        "unmended-row": "unkept",
        "lost-object": "acknowledged-loss",
        "exit-at-once": "failed",
        "replayed-post": "duplicate",
        "refusal-without-date": "failed",
        "kept-members": "elsewhere",
        "forgetful-worker": "elsewhere",
        "exit-at-pause": "elsewhere",
        "untold-lag": "acknowledged-loss",
        "trusting-edge": "unkept",
    }
    assert {item.scenario.gate for item in chosen(list(names))} == set(Gate) - {Gate.COMPARISON}
    # Where nothing is broken the edge's gate holds: it is not by a fault of its own that it fails.
    done = self_test("--only", ",".join([*names, "sound-edge"]), "--json", seconds=1000)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = {item["name"]: item for item in json.loads(done.stdout)["variants"]}
    assert set(told) == {*names, "sound-edge"}
    counts = {
        name: {one["rule"]: one["count"] for one in item["violations"]}
        for name, item in told.items()
    }
    assert counts["lost-object"] == {"acknowledged-loss": 1, "ghost": 1}
    assert all(counts[name][rule] > 0 for name, rule in names.items())
