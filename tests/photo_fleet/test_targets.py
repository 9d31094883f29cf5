"""One spec for several clouds."""

import importlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_fleet.render.yaml_text import dump
from photo_fleet.rules.checks import check
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.targets import TARGETS, Target, for_target

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)
TEXTS = TEXT | st.lists(TEXT, min_size=1).map(
    lambda lines: "x" + "".join(f"{line}\n" for line in lines)
)
NODES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=40)
@given(st.dictionaries(TEXT, NODES, max_size=5))
def test_yaml_reads_back_as_what_was_written(tree: dict[str, Any]) -> None:
    yaml: Any = importlib.import_module("yaml")  # has no types
    assert (yaml.safe_load(dump(tree)) or {}) == tree


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_s_group_is_behind_its_own_balancer(target: Target) -> None:
    fleet = for_target(changed(Fleet(), {"metrics.cloud_region": "kr-1"}), target)
    assert fleet.balancer.kind == "cloud"
    assert fleet.group.cloud == target
    wanted = {"aws": "ec2", "openstack": "openstack", "nhn": "none"}
    assert fleet.metrics.cloud == wanted[target]
    assert for_target(Fleet(), target).metrics.cloud == "none"


def test_a_cloud_s_group_behind_nginx_is_refused() -> None:
    [found] = [
        one for one in check(changed(Fleet(), {"group.cloud": "aws"})) if one.level == "error"
    ]
    assert found.code == "group-cloud"
    assert found.changes == {"balancer.kind": "cloud"}
