"""Grafana's JSON of the dashboards, made with Grafana's own SDK, which only developers have.

`UPDATE_GOLDEN=1 .venv/bin/pytest tests/photo_fleet/test_grafana.py` writes it anew.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

from photo_fleet.dashboard.panel import Board, Event, Panel, Query, Section

TAG = "photo-api"
SOURCE = common_model.DataSourceRef(type_val="prometheus", uid="$datasource")
REFRESH, SHOWN = "1m", "now-6h"
COLUMNS, WIDE, HIGH, LOW = 24, 12, 8, 4
"""Grafana's grid, and what pictures and numbers take of it."""

GOOD, BAD = "green", "red"

P = TypeVar("P", timeseries.Panel, stat.Panel)


def dashboards(boards: Sequence[Board], events: Sequence[Event]) -> dict[str, str]:
    """The files, by name, which Grafana imports or is provisioned with."""
    return {f"{board.uid}.json": _text(_board(board, events)) for board in boards}


def _text(built: model.Dashboard) -> str:
    return json.dumps(built, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _board(board: Board, events: Sequence[Event]) -> model.Dashboard:
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.meaning)
        .tags([TAG])
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .time(SHOWN, "now")
        .refresh(REFRESH)
        .timezone("browser")
        .variables(_variables())
        .annotations([_annotation(event) for event in events])
        .link(_others())
    )
    top = 0
    for section in board.sections:
        place = model.GridPos(x=0, y=top, w=COLUMNS, h=1)
        built = built.with_row(dashboard.Row(section.title).grid_pos(place))
        top += 1
        for kind, panels in _kinds(section):
            for panel, place in zip(panels, _places(kind, len(panels), top), strict=True):
                built = built.with_panel(PICTURES[kind](panel).grid_pos(place))
            top = place.y + place.h
    made = built.build()
    for number, item in enumerate(made.panels or [], 1):
        item.id_val = number
    return made


def _kinds(section: Section) -> list[tuple[str, list[Panel]]]:
    """Numbers first, then pictures over time."""
    numbers = [panel for panel in section.panels if panel.kind == "stat"]
    pictures = [panel for panel in section.panels if panel.kind != "stat"]
    return [(kind, some) for kind, some in (("stat", numbers), ("time", pictures)) if some]


def _places(kind: str, count: int, top: int) -> list[model.GridPos]:
    """From the left, in as many rows as they need."""
    in_row, height = (count, LOW) if kind == "stat" else (COLUMNS // WIDE, HIGH)
    wide = COLUMNS // in_row
    return [
        model.GridPos(x=n % in_row * wide, y=top + n // in_row * height, w=wide, h=height)
        for n in range(count)
    ]


def _variables() -> list[Builder[model.VariableModel]]:
    source = (
        dashboard.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(model.VariableOption(text="default", value="default"))
    )
    return [
        source,
        _variable(
            "job", "Job", 'label_values({__name__=~"photo_api_ready|photo_fleet_members"}, job)'
        ),
        _variable("instance", "Instance", 'label_values(photo_api_ready{job=~"$job"}, instance)'),
    ]


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(model.VariableOption(text="All", value="$__all"))
    )


def _others() -> dashboard.DashboardLink:
    """To the other boards, with the same time and choice."""
    return (
        dashboard.DashboardLink("Photo API")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .include_vars(True)
        .keep_time(True)
    )


def _annotation(event: Event) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(event.title)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(event.colour)
        .expr(event.expr)
        .title_format(event.title)
        .text_format(event.text)
        .tag_keys("instance")
        .use_value_for_time(event.at_value)
    )


def _target(panel: Panel, number: int, query: Query) -> prometheus.Dataquery:
    built = (
        prometheus.Dataquery()
        .ref_id(chr(ord("A") + number))
        .datasource(SOURCE)
        .expr(query.expr)
        .legend_format(query.legend)
    )
    return built.instant() if panel.kind == "stat" else built.range()


def _targets(panel: Panel) -> list[Builder[Dataquery]]:
    return [_target(panel, number, query) for number, query in enumerate(panel.queries)]


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    """What keeps the objective is good; without an objective everything is."""
    below, above = (GOOD, BAD) if panel.at_most else (BAD, GOOD)
    steps = [model.Threshold(value=None, color=GOOD if panel.objective is None else below)]
    if panel.objective is not None:
        steps.append(model.Threshold(value=panel.objective, color=above))
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _begun(built: P, panel: Panel) -> P:
    built.title(panel.title).description(panel.meaning).datasource(SOURCE)
    built.targets(_targets(panel)).unit(_unit(panel)).thresholds(_thresholds(panel))
    return built


def _over_time(panel: Panel) -> timeseries.Panel:
    built = (
        _begun(timeseries.Panel(), panel)
        .fill_opacity(40 if panel.kind == "stack" else 8)
        .line_width(1)
        .show_points(common_model.VisibilityMode.NEVER)
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .display_mode(common_model.LegendDisplayMode.TABLE)
            .placement(common_model.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
    )
    if panel.unit == "cores":
        built = built.axis_label("cores")
    if panel.least is not None:
        built = built.min(panel.least)
    if panel.most is not None:
        built = built.max(panel.most)
    if panel.kind == "stack":
        normal = common.StackingConfig().mode(common_model.StackingMode.NORMAL)
        built = built.stacking(normal)
    if panel.objective is not None:
        dashed = common.GraphThresholdsStyleConfig().mode(
            common_model.GraphThresholdsStyleMode.DASHED
        )
        built = built.thresholds_style(dashed)
    return built


def _stat(panel: Panel) -> stat.Panel:
    built = (
        _begun(stat.Panel(), panel)
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if panel.objective is None:
        built = built.color_mode(common_model.BigValueColorMode.NONE)
    return built


def _unit(panel: Panel) -> str:
    return "short" if panel.unit == "cores" else panel.unit


PICTURES: Mapping[str, Callable[[Panel], stat.Panel | timeseries.Panel]] = {
    "stat": _stat,
    "time": _over_time,
}
