"""Grafana's JSON: made from the panels, made of nothing that Grafana does not know, and by rules of
its dashboard linter (https://github.com/grafana/dashboard-linter)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

import photo_fleet.dashboard
from photo_api.metrics.declared import METRICS
from photo_api.metrics.metric import gauge
from photo_fleet.balancer.metrics import MEANINGS
from photo_fleet.cli import main
from photo_fleet.dashboard.boards import BOARDS, EVENTS
from scripts.grafana import dashboards
from tests.photo_fleet.golden_files import assert_golden

FOLDER = Path(photo_fleet.dashboard.__path__[0]) / "grafana"
UNITS = {"short", "percentunit", "s", "bytes", "Bps", "reqps", "ops"}
NOT_SHOWN = {
    "photo_api_info",  # its label `instance` is that of the target
}
SELECTOR = re.compile(r"([a-z_:]+)\{([^}]*)\}")
GROUPING = re.compile(r"(?:by|on|group_left) ?\(([^)]*)\)")
TARGET = {"job", "instance", "le"}


def kept() -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def pictures(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    for board in BOARDS:
        for panel in board.panels:
            yield from (query.expr for query in panel.queries)
    yield from (event.expr for event in EVENTS)


def test_the_json_is_what_the_panels_make() -> None:
    """UPDATE_GOLDEN=1 writes it anew."""
    assert_golden(str(FOLDER), dashboards(BOARDS, EVENTS))


@pytest.mark.parametrize("told", kept().values(), ids=kept())
def test_grafana_s_own_model_knows_every_key(told: dict[str, Any]) -> None:
    """What it does not know it drops."""
    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(told), cls=JSONEncoder))
    assert again == told
    slip = told | {"titel": "a slip"}
    assert json.loads(json.dumps(Dashboard.from_json(slip), cls=JSONEncoder)) == told


@pytest.mark.parametrize("board", kept().values(), ids=kept())
def test_the_source_and_what_is_looked_at_can_be_chosen(board: dict[str, Any]) -> None:
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert [one["type"] for one in variables.values()] == ["datasource", "query", "query"]
    assert list(variables) == ["datasource", "job", "instance"]
    for one in ("job", "instance"):
        assert (variables[one]["includeAll"], variables[one]["allValue"]) == (True, ".+")
        assert (variables[one]["multi"], variables[one]["refresh"]) == (True, 2)
    asked = [*pictures(board), *(one for panel in pictures(board) for one in panel["targets"])]
    asked += [*board["annotations"]["list"], variables["job"], variables["instance"]]
    assert {one["datasource"]["uid"] for one in asked} == {"$datasource"}
    assert board["editable"] is False
    assert "__inputs" not in board


@pytest.mark.parametrize("board", kept().values(), ids=kept())
def test_every_panel_says_what_it_shows(board: dict[str, Any]) -> None:
    shown = pictures(board)
    titles = [panel["title"] for panel in shown]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in shown:
        assert panel["title"], panel
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]
        assert all(one["legendFormat"].strip() for one in panel["targets"]), panel["title"]
        references = [one["refId"] for one in panel["targets"]]
        assert len(set(references)) == len(references), panel["title"]
    assert len(set(titles)) == len(titles)
    # No picture lies upon another, and none leaves the grid.
    cells = [
        (x, y)
        for panel in board["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_expression_looks_at_what_was_chosen_over_a_time_that_fits() -> None:
    for expr in dict.fromkeys(expressions()):
        _fits(expr)


def _fits(expr: str) -> None:
    times = set(re.findall(r"(?:\[|offset )([^])\s]+)", expr))
    # Whatever the distance of scrapes is; an hour is what titles say of what happens seldom.
    assert times <= {"$__rate_interval", "$__range", "1h"}
    assert not (times == {"$__range"} and "rate(" in expr)
    selectors = SELECTOR.findall(expr)
    assert selectors
    for name, matchers in selectors:
        assert {'job=~"$job"', 'instance=~"$instance"'} <= set(matchers.split(",")), expr
        metric = declared(name)
        labels = set(re.findall(r"([a-z_]+)(?:=|!)", re.sub(r'"[^"]*"', '""', matchers)))
        assert labels <= TARGET | set(metric.labels), expr
        if metric.kind == "counter":
            assert re.search(rf"(?:rate|increase)\({name}\{{", expr), f"a counter grows: {expr}"
    known = TARGET.union(*(declared(name).labels for name, _ in selectors))
    for grouping in GROUPING.findall(expr):
        assert {one.strip() for one in grouping.split(",")} <= known, expr


def test_legends_name_labels_that_there_are() -> None:
    for board in BOARDS:
        for panel in board.panels:
            for query in panel.queries:
                for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
                    grouped = ",".join(GROUPING.findall(query.expr)).replace(" ", "").split(",")
                    assert label in grouped, panel.title


def declared(name: str) -> Any:
    """The metric of a series, which of a histogram has another name."""
    if name in MEANINGS:
        return gauge(name, MEANINGS[name])
    found = METRICS.get(name) or METRICS.get(re.sub(r"_(bucket|count|sum)$", "", name))
    assert found, f"{name} is no metric"
    return found


def test_every_metric_is_shown_somewhere() -> None:
    used = {declared(name).name for expr in expressions() for name, _ in SELECTOR.findall(expr)}
    assert {*METRICS, *MEANINGS} - used == NOT_SHOWN


def test_the_guide_s_two_queries_are_there() -> None:
    """Section 4.2 of the operator's guide: requests and the share of failures by instance."""
    texts = [re.sub(r'job=~"\$job",instance=~"\$instance",?', "", one) for one in expressions()]
    rate = "rate(http_requests_total{%s}[$__rate_interval])"
    every = f"sum by (instance) ({rate % ''})"
    failed = "sum by (instance) (" + rate % 'status=~"5.."' + ")"
    assert every in texts
    assert f"({failed} or 0 * {every}) / {every}" in texts


def test_the_command_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--json", "--out", str(tmp_path / "new/grafana")]) == 0
    assert "4 dashboards for Grafana" in capsys.readouterr().out
    written = {path.name: path.read_text() for path in (tmp_path / "new/grafana").iterdir()}
    assert written == {path.name: path.read_text() for path in FOLDER.glob("*.json")}
