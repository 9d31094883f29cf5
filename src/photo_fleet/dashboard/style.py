"""How the page looks: light or dark as the reader's system is, wide or narrow as the screen is."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

LIGHT = """
  --page: #f4f6f8; --card: #fff; --text: #17202b; --soft: #5b6876; --faint: #dfe4ea;
  --edge: #e3e8ee; --hover: rgb(20 40 70 / 7%); --shade: 0 1px 2px rgb(20 30 50 / 6%);
  --good: #12855a; --warn: #d08700; --bad: #d03b3b; --info: #2f7bd8; --muted: #98a3b0;
  --s0: #2f6fdb; --s1: #e08a00; --s2: #0f9d76; --s3: #c7408f; --s4: #7a55d6; --s5: #1798b5;
  --s6: #b0552c; --s7: #6f9a1f; --s8: #e0605a; --s9: #4c6074; --s10: #a06bd8; --s11: #b59a00;
"""
DARK = """
  --page: #0f141a; --card: #171e26; --text: #e6ecf2; --soft: #98a6b5; --faint: #2b3540;
  --edge: #242e39; --hover: rgb(200 220 255 / 9%); --shade: none;
  --good: #3fc48d; --warn: #f0b03f; --bad: #f2706b; --info: #64a8f5; --muted: #6d7a88;
  --s0: #6ea5ff; --s1: #f5ab3d; --s2: #3dcaa0; --s3: #ee7fbd; --s4: #a88bf7; --s5: #4cc5e0;
  --s6: #d98b62; --s7: #a5cc52; --s8: #ff8f88; --s9: #93a8bd; --s10: #c79cf5; --s11: #dcc443;
"""
NAMES = ("good", "warn", "bad", "info", "muted", *(f"s{number}" for number in range(12)))
EVENTS = {"green": "good", "blue": "info", "orange": "warn", "red": "bad", "purple": "s4"}

STYLE = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1, h2, h3, h4, p, ul, dl, dd, figure { margin: 0; padding: 0; }
ul { list-style: none; }
a { color: inherit; }
header, main, footer { max-width: 92rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 1.6rem; }
header h1 { font-size: 1.5rem; letter-spacing: -.01em; }
.about { color: var(--soft); font-size: .87rem; overflow-wrap: anywhere; }
.verdict { display: inline-block; margin: .7rem 0 .2rem; padding: .25rem .75rem;
  border-radius: 1rem; font-weight: 600; font-size: .92rem; border: 1px solid; }
.verdict.good { color: var(--good); } .verdict.bad { color: var(--bad); }
.verdict.warn { color: var(--warn); } .verdict.muted { color: var(--soft); }
nav { position: sticky; top: 0; z-index: 2; background: var(--page);
  border-bottom: 1px solid var(--edge); margin-top: .8rem; }
nav ul { max-width: 92rem; margin: 0 auto; padding: .55rem 1.5rem; display: flex; gap: 1.3rem;
  overflow-x: auto; white-space: nowrap; font-size: .92rem; }
nav a { text-decoration: none; color: var(--soft); } nav a:hover { color: var(--text); }
.board { padding-top: 1.6rem; scroll-margin-top: 2.2rem; }
.board > h2 { font-size: 1.22rem; letter-spacing: -.01em; }
.board > p { color: var(--soft); font-size: .9rem; }
.section > h3 { font-size: .78rem; font-weight: 650; text-transform: uppercase;
  letter-spacing: .06em; color: var(--soft); margin: 1.5rem 0 .6rem; }
.grid { display: grid; gap: .9rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); }
.tiles { display: grid; gap: .9rem; margin-bottom: .9rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 12.5rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: .6rem;
  box-shadow: var(--shade); padding: .85rem 1rem .8rem; min-width: 0; }
.card h4 { font-size: .95rem; font-weight: 600; display: flex; gap: .6rem;
  justify-content: space-between; align-items: baseline; }
.card h4 small { font-weight: 400; font-size: .76rem; color: var(--soft); white-space: nowrap; }
.card .meaning { color: var(--soft); font-size: .8rem; line-height: 1.35; min-height: 1.35em; }
.tile { border-left: 4px solid var(--edge); }
.tile.good { border-left-color: var(--good); } .tile.bad { border-left-color: var(--bad); }
.tile .value { font-size: 1.65rem; font-weight: 650; letter-spacing: -.02em; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.value.good { color: var(--good); } .value.bad { color: var(--bad); }
.tile dl { display: flex; flex-wrap: wrap; gap: 0 1.2rem; }
.tile dt { font-size: .76rem; color: var(--soft); }
.tile .pair .value { font-size: 1.3rem; }
.tile .goal { font-size: .78rem; color: var(--soft); }
.chart { display: grid; grid-template-columns: 3.9rem 1fr; grid-template-rows: 10.5rem 1.3rem;
  margin-top: .6rem; font-size: .72rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.chart .y, .chart .x { position: relative; }
.chart span { position: absolute; white-space: nowrap; }
.chart .y span { right: .5rem; transform: translateY(-50%); }
.chart .x { grid-column: 2; }
.x span { position: absolute; top: .25rem; transform: translateX(-50%); white-space: nowrap; }
.chart svg { width: 100%; height: 100%; display: block; overflow: visible; }
svg path { vector-effect: non-scaling-stroke; fill: none; }
.line { stroke: var(--c); stroke-width: 1.6; stroke-linejoin: round; }
svg .area { fill: var(--c); fill-opacity: .62; stroke: var(--c); stroke-width: .8; }
svg .soft { fill: var(--c); fill-opacity: .12; stroke: none; }
.rule { stroke: var(--faint); stroke-width: 1; }
.goal { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 5 4; }
path.mark { stroke: var(--c); stroke-width: 1; stroke-dasharray: 2 3; opacity: .75; }
.at { fill: transparent; } .at:hover { fill: var(--hover); }
.legend { display: grid; gap: .05rem 1.1rem; margin-top: .35rem; font-size: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 11.5rem), 1fr)); }
.legend li { display: flex; align-items: baseline; gap: .45rem; min-width: 0; }
.legend i { flex: none; width: .62rem; height: .62rem; border-radius: .15rem;
  background: var(--c); }
.legend b { font-weight: 400; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  flex: 1; }
.legend span { font-variant-numeric: tabular-nums; color: var(--soft); white-space: nowrap; }
.note { font-size: .76rem; color: var(--soft); margin-top: .3rem; overflow-wrap: anywhere; }
.empty { display: grid; place-content: center; text-align: center; min-height: 11.8rem;
  margin-top: .6rem; border: 1px dashed var(--edge); border-radius: .4rem; color: var(--soft);
  font-size: .86rem; padding: 1rem; overflow-wrap: anywhere; }
.tile .empty { min-height: 3rem; padding: .3rem; }
.empty.bad { color: var(--bad); border-color: var(--bad); }
.warning { color: var(--warn); font-size: .8rem; overflow-wrap: anywhere; }
.problems { border-left: 4px solid var(--bad); margin-top: 1rem; }
.problems li { overflow-wrap: anywhere; font-size: .87rem; }
.events { margin-top: 1.2rem; }
.lanes { display: grid; grid-template-columns: 8.5rem 1fr; font-size: .8rem; margin-top: .5rem; }
.lanes > span { padding: .12rem 0; color: var(--soft); white-space: nowrap; }
.lanes > div { position: relative; border-bottom: 1px solid var(--faint); }
.lanes > div.x { border: 0; height: 1.3rem; font-size: .72rem; color: var(--soft); }
.lanes u { position: absolute; top: .28rem; bottom: .28rem; min-width: .5rem; margin-left: -.25rem;
  border-radius: .25rem; background: var(--c); text-decoration: none; }
details { margin-top: .6rem; font-size: .84rem; } summary { cursor: pointer; color: var(--soft); }
.table { overflow-x: auto; } table { border-collapse: collapse; margin-top: .4rem; }
th, td { text-align: left; padding: .15rem 1rem .15rem 0; vertical-align: top; font-weight: 400;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
td:first-child { white-space: nowrap; color: var(--soft); }
footer { padding-top: 2rem; padding-bottom: 2.5rem; color: var(--soft); font-size: .82rem; }
@media (max-width: 40rem) {
  header, main, footer { padding-left: .8rem; padding-right: .8rem; }
  nav ul { padding-left: .8rem; padding-right: .8rem; }
  .card { padding: .75rem .8rem; }
  .tiles { grid-template-columns: 1fr 1fr; gap: .6rem; } .grid { gap: .7rem; }
  .tile .meaning { display: none; } .tile .value { font-size: 1.35rem; }
  .tile .pair .value { font-size: 1.05rem; }
  .chart { grid-template-columns: 3.4rem 1fr; grid-template-rows: 9rem 1.3rem; }
  .lanes { grid-template-columns: 6.6rem 1fr; font-size: .74rem; }
}
@media print {
  nav { display: none; } .card { break-inside: avoid; box-shadow: none; }
  svg path, .legend i, .lanes u { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def style() -> str:
    """The style sheet."""
    colours = "".join(f".{name}{{--c:var(--{name})}}" for name in NAMES)
    events = "".join(f".{event}{{--c:var(--{name})}}" for event, name in EVENTS.items())
    return (
        f":root{{color-scheme:light dark;{LIGHT}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{DARK}}}}}{STYLE}{colours}{events}"
    )
