"""The measurement of docs/scale.md goes through all of a photo's life."""

import re

import pytest

from bench.photo_life import main

STATEMENTS = {
    "presign": 1,
    "confirm": 3,
    "a list of 50 (each)": 1,
    "a redirect to an image (each)": 1,
    "a visitor's view of 50 (each)": 1,
    "delete": 3,
}
"""Of steps without jobs, for which workers also look in vain."""


@pytest.mark.long
def test_a_photo_s_life_is_measured_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--photos", "2", "--others", "50", "--rest", "1"]) == 0
    rows = re.findall(
        r"^\| (.+?) \| ([\d.]+) \| .* \| (-?[\d.]+) \|$", capsys.readouterr().out, re.M
    )
    sent = {name: int(float(statements)) for name, statements, _ in rows}
    assert {name: sent[name] for name in STATEMENTS} == STATEMENTS
    left = [float(rows_left) for _, _, rows_left in rows]
    assert len(left) > len(STATEMENTS)
    assert left[0] == 2, "the photo, and its staging key"
