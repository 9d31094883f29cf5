"""The CloudFormation template: its exact text, what cfn-lint says of it, and every number of it
against the ranges of AWS's own models and documents."""

from photo_fleet.render.aws.template import files
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.targets import for_target
from tests.photo_fleet.golden_files import assert_golden


def test_exact_text() -> None:
    assert_golden("aws", files(for_target(Fleet(), "aws")))
