"""docs/metrics.md says of every metric what it means, with a query that uses it."""

import re
import subprocess
from pathlib import Path

import pytest

from photo_api.metrics.declared import METRICS

ROOT = Path(__file__).parent.parent.parent
ROW = re.compile(r"\| `([a-z_]+)` \| (\w+) \|([^|]*)\| ([^|]+) \| (.+) \|")
CODE = re.compile(r"`([^`]+)`")


def _rows() -> list[re.Match[str]]:
    lines = (ROOT / "docs/metrics.md").read_text().splitlines()
    return [found for line in lines if (found := ROW.fullmatch(line))]


def test_the_tables_are_the_declarations() -> None:
    documented = {row[1]: (row[2], CODE.findall(row[3])) for row in _rows()}
    declared = {name: (one.kind, list(one.labels)) for name, one in METRICS.items()}
    assert documented == declared
    assert len(_rows()) == len(METRICS)


@pytest.mark.needs("promtool")
def test_every_query_is_promql_and_uses_its_metric(tmp_path: Path) -> None:
    rules = []
    for row in _rows():
        queries = CODE.findall(row[5])
        assert any(row[1] in query for query in queries), row[1]
        rules += [
            f"  - record: documented:{row[1]}_{number}\n    expr: |\n      {query}\n"
            for number, query in enumerate(queries)
        ]
    file = tmp_path / "rules.yml"
    file.write_text("groups:\n- name: documented\n  rules:\n" + "".join(rules))
    said = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_metric_is_counted_somewhere() -> None:
    declared = (ROOT / "src/photo_api/metrics/declared.py").read_text()
    elsewhere = "".join(
        path.read_text()
        for path in (ROOT / "src/photo_api").rglob("*.py")
        if path.name != "declared.py"
    )
    for constant in re.findall(r"^([A-Z_]+) = (?:counter|gauge|histogram)\(", declared, re.M):
        assert re.search(rf"\b{constant}\b", elsewhere), constant
