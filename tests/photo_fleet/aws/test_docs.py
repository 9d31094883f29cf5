"""docs/clouds.md, in both languages, names what the template and the findings have."""

import re
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.render.aws.template import template
from photo_fleet.rules import aws
from photo_fleet.rules.checks import check
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import load
from photo_fleet.spec.targets import for_target
from tests.photo_fleet.aws.test_rules import BROKEN

ROOT = Path(__file__).parent.parent.parent.parent
GUIDES = [ROOT / "docs/clouds.md", ROOT / "docs/ko/clouds.md"]


def section(guide: Path) -> str:
    return guide.read_text().partition("\n## AWS\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("guide", GUIDES, ids=["en", "ko"])
def test_its_spec_is_one_that_aws_can_run(guide: Path, tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", section(guide), re.S)
    assert found is not None
    file = tmp_path / "fleet.toml"
    file.write_text("\n".join(line.removeprefix("   ") for line in found[1].splitlines()))
    fleet = load(file)
    assert for_target(fleet, "aws") == fleet
    codes = {one.code for one in check(fleet)}
    assert not {code for code in codes if code.startswith("aws-") or code == "upload-buffering"}
    assert not [one for one in check(fleet) if one.level == "error"]


@pytest.mark.parametrize("guide", GUIDES, ids=["en", "ko"])
def test_it_names_every_parameter_output_and_finding(guide: Path) -> None:
    text = section(guide)
    made: Any = template(for_target(Fleet(), "aws"))
    rows = re.findall(r"^ *\| `([^`]+)` \|", text, re.M)
    assert [row for row in rows if row in made["Parameters"]] == list(made["Parameters"])
    for name in made["Outputs"]:
        assert f"`{name}`" in text
    codes = {code for code, _, _ in BROKEN.values()}
    assert len(codes) == len(aws.RULES)
    assert {row for row in rows if row.startswith("aws-")} == codes
