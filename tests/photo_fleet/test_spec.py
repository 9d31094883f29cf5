"""Specs are read whole or refused with every fault, each with its line."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_fleet.spec import toml_text
from photo_fleet.spec.fleet import (
    Balancer,
    Fleet,
    Group,
    HealthCheck,
    Policy,
    RateLimit,
    RateLimits,
)
from photo_fleet.spec.kinds import Duration, Rate, Size
from photo_fleet.spec.loading import SpecError, annotations, kind_of, load, loads
from photo_fleet.spec.toml_lines import lines

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "fleet.example.toml"
POLICY = '[[group.policies]]\nmetric = "cpu"\nthreshold = 1\nduration = "1s"\nstep = 1\n'


def problems(text: str) -> list[str]:
    """What is wrong with a spec, as people see it."""
    with pytest.raises(SpecError) as refused:
        loads(text, "fleet.toml")
    return [str(problem) for problem in refused.value.problems]


def keys_of(kind: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of the spec with its annotation; those of policies as of one."""
    for name, hint in annotations(kind).items():
        if kind_of(hint) is not None:
            yield f"{prefix}{name}", hint
        else:
            inner = hint if is_dataclass(hint) else get_args(hint)[0]
            assert is_dataclass(inner), f"{prefix}{name}: annotate what a file may hold"
            yield from keys_of(inner, f"{prefix}{name}.")


@pytest.mark.parametrize(
    "file", [EXAMPLE, *sorted((ROOT / "examples").glob("*.toml"))], ids=lambda file: file.name
)
def test_a_written_spec_is_read_again(file: Path) -> None:
    fleet = load(file)
    text = toml_text.text(fleet)
    assert loads(text, "fleet.toml") == fleet
    assert set(tomllib.loads(text)) == {item.name for item in fields(Fleet)}


def test_a_written_spec_keeps_what_is_out_of_the_ordinary() -> None:
    limits = RateLimits(read=RateLimit(0.5, 0), auth=RateLimit(100_000, 1, 2))
    balancer = Balancer(rate_limits=limits, networks=("10.0.0.0/8", "fc00::/7"), ipv6=False)
    group = Group(1, 1, 1, policies=(Policy("queue_age", 90, 1, -2, 0),))
    health = HealthCheck(interval=0.25)
    for fleet in (Fleet("x", balancer=balancer, health_check=health), Fleet(group=group)):
        assert loads(toml_text.text(fleet), "fleet.toml") == fleet
    none = replace(Fleet(), group=replace(Group(), policies=()))
    assert loads(toml_text.text(none), "fleet.toml") == none


def test_an_empty_file_is_the_default() -> None:
    assert loads("", "fleet.toml") == Fleet()


def test_the_example_is_the_default() -> None:
    assert load(EXAMPLE) == Fleet()


def test_the_example_has_every_key() -> None:
    written = {
        re.sub(r"\[\d+\]", "", ".".join(str(part) for part in path if isinstance(part, str)))
        for path in lines(EXAMPLE.read_text())
    }
    assert {key for key, _ in keys_of(Fleet)} - written == set()


def test_the_example_explains_every_key() -> None:
    """A comment stands above each key, or above the neighbours that it is explained with."""
    told: list[str] = []
    explained = False
    for line in EXAMPLE.read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line:
            explained = False
        elif not explained and "=" in line:
            told.append(line)
    assert told == []


def test_every_key_says_what_it_may_hold() -> None:
    assert len(list(keys_of(Fleet))) > 50


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1.5h", 5400), ("5 m", 300)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert Duration(0, 86_400).read(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"), [("60MB", 60_000_000), ("60MiB", 62_914_560), ("1.5KiB", 1536), ("7B", 7)]
)
def test_sizes_have_units(text: str, count: int) -> None:
    assert Size(0, 10**9).read(text) == count


@pytest.mark.parametrize(("text", "rate"), [("50/s", 50), ("600/m", 10), ("30 / m", 0.5)])
def test_rates_have_units(text: str, rate: float) -> None:
    assert Rate(0, 100).read(text) == rate


@pytest.mark.parametrize("value", [0, 0.5, 0.25, 1, 59.5, 60, 144, 3600, 86_400])
def test_a_written_duration_is_read_again(value: float) -> None:
    kind = Duration(0, 86_400)
    assert kind.read(kind.write(value).strip('"')) == value


@pytest.mark.parametrize("value", [1, 1000, 1536, 60_000_000, 51 * 1024 * 1024, 2**30, 2**30 + 1])
def test_a_written_size_is_read_again(value: int) -> None:
    kind = Size(0, 2**40)
    assert kind.read(kind.write(value).strip('"')) == value


def test_only_what_is_named_differs_from_the_default() -> None:
    fleet = loads('[health_check]\ninterval = "15s"\n', "fleet.toml")
    assert fleet == Fleet(health_check=HealthCheck(interval=15))


def test_one_key_of_a_rate_limit_leaves_the_other() -> None:
    fleet = loads('[balancer.rate_limits.image]\nrate = "60/m"\n', "fleet.toml")
    limits = RateLimits(image=RateLimit(1, 2000, 32))
    assert fleet == Fleet(balancer=Balancer(rate_limits=limits))


def test_policies_replace_those_of_the_default() -> None:
    fleet = loads(POLICY + 'cooldown = "2m"\n', "fleet.toml")
    assert fleet.group == replace(Group(), policies=(Policy("cpu", 1, 1, 1, 120),))
    assert loads("[group]\npolicies = []\n", "fleet.toml").group.policies == ()


@pytest.mark.parametrize(
    ("metric", "text", "threshold"),
    [
        ("cpu", "70", 70),
        ("cpu", '"70%"', 70),
        ("cpu", '"12.5 %"', 12.5),
        ("in_flight", "40", 40),
        ("queue_age", '"5m"', 300),
    ],
)
def test_a_threshold_has_the_unit_of_its_metric(metric: str, text: str, threshold: float) -> None:
    policy = POLICY.replace("cpu", metric).replace("threshold = 1", f"threshold = {text}")
    assert loads(policy + 'cooldown = "1s"\n', "x").group.policies[0].threshold == threshold


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[health_check]\nintervall = "30s"',
            "fleet.toml:2: health_check.intervall is not a key; did you mean interval?",
        ),
        (
            "[health_check]\ninterval = 30",
            'fleet.toml:2: health_check.interval = 30 needs a unit: write "30s"',
        ),
        (
            "\n[drain]\nread_timeout = 1",
            "fleet.toml:3: drain.read_timeout is not a key; did you mean balancer.read_timeout?",
        ),
        (
            "[metrics]\nflavour = 1",
            "fleet.toml:2: metrics.flavour is not a key;"
            " [metrics] has path, interval, discovery, cloud, cloud_region, pushgateway",
        ),
        (
            '[drain]\ngrace = "1 day"',
            'fleet.toml:2: drain.grace = "1 day" is no duration: write a number with ms, s, m or h,'
            ' such as "30s"',
        ),
        (
            '[drain]\ngrace = "2h"',
            'fleet.toml:2: drain.grace = "2h" must be between "1s" and "3600s"',
        ),
        (
            '[service]\nkeep_alive = "1500ms"',
            'fleet.toml:2: service.keep_alive = "1500ms" must be whole seconds: write "2s"',
        ),
        (
            '[service]\nworkers = "2"',
            'fleet.toml:2: service.workers = "2" must be a whole number: write 2 without quotes',
        ),
        (
            "[service]\nworkers = true",
            "fleet.toml:2: service.workers = true must be a whole number",
        ),
        (
            "[drain]\ngrace = true",
            "fleet.toml:2: drain.grace = true is no duration: write a number",
        ),
        ("[service]\nport = 0", "fleet.toml:2: service.port = 0 must be between 1 and 65535"),
        (
            "[balancer]\nupload_limit = 60",
            'fleet.toml:2: balancer.upload_limit = 60 needs a unit: write "60MiB" (or B, KB, MB,'
            " GB, KiB, GiB)",
        ),
        (
            '[balancer]\nmembership = "magic"',
            'fleet.toml:2: balancer.membership = "magic" must be "lua" or "reload"',
        ),
        (
            '[balancer]\nbuffer_uploads = "true"',
            'fleet.toml:2: balancer.buffer_uploads = "true" must be true or false: write true'
            " without quotes",
        ),
        (
            '[balancer]\ntrusted_hops = ["10.0.0.1/8"]',
            'fleet.toml:2: balancer.trusted_hops = ["10.0.0.1/8"] holds no network: 10.0.0.1/8 has'
            " host bits set",
        ),
        (
            "[balancer.rate_limits]\nauth = { rate = 5 }",
            'fleet.toml:2: balancer.rate_limits.auth.rate = 5 needs a unit: write "5/s" or "5/m"',
        ),
        ("balancer = 1", "fleet.toml:1: balancer must be a table: write [balancer]"),
        (
            "[group]\npolicies = 1",
            "fleet.toml:2: group.policies must be a list of tables: write [[group.policies]]",
        ),
        (POLICY, "fleet.toml:1: group.policies[0] lacks cooldown"),
        (
            POLICY.replace("step = 1", "step = 0") + 'cooldown = "1s"',
            "fleet.toml:5: group.policies[0].step = 0 would change nothing: write 1 to add an"
            " instance, -1 to remove one",
        ),
        (
            POLICY.replace("cpu", "queue_age") + 'cooldown = "1s"',
            'fleet.toml:3: group.policies[0].threshold = 1 needs a unit: write "1s"',
        ),
        (
            '[logs]\notlp = "http://10.0.0.7:4318/v1/logs"',
            'fleet.toml:2: logs.otlp = "http://10.0.0.7:4318/v1/logs" must not end with /v1/logs',
        ),
        *(
            (
                f'[{table}]\n{key} = "http://{host}"',
                f'fleet.toml:2: {table}.{key} = "http://{host}" must ',
            )
            for table, key in (("metrics", "discovery"), ("tracing", "otlp"))
            for host in ("[:]", "[::::]:9099", "10.0.0.5:99999", "10.0.0.5:0", "a..b", "..")
        ),
        ("[group.local]\ncores_per_instance = nan", "must be between 0.01 and 1024"),
        ('name = "a\nb"', "fleet.toml:1: is no TOML: Illegal character"),
        ("a = 1\nb = =", "fleet.toml:2: is no TOML: Invalid value"),
        ("[service]\nport = 1\nport = 2", "fleet.toml:3: is no TOML: Cannot overwrite a value"),
        ("\n\n[service", "fleet.toml:3: is no TOML"),
    ],
)
def test_a_fault_is_told_with_line_and_suggestion(text: str, problem: str) -> None:
    (told,) = problems(text)
    assert problem in told


def test_all_faults_are_told_at_once_in_the_order_of_lines() -> None:
    text = '[group]\nmin = 0\n[drain]\ngrace = 1\nwait = "1s"\n[service]\nport = "x"\n'
    assert [told.split(": ")[0] for told in problems(text)] == [
        "fleet.toml:2",
        "fleet.toml:4",
        "fleet.toml:5",
        "fleet.toml:7",
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[balancer]\nserver_name = "a; include /etc/passwd"',
        '[balancer]\nserver_name = "a\\nb"',
        '[balancer]\nstore = "http://store/{}"',
        '[health_check]\npath = "/health; }"',
        '[balancer.tls]\nkey = "key.pem"',
        '[service]\nsecrets_hook = "/bin/sh -c"',
        'name = "../x"',
    ],
)
def test_text_that_could_break_out_of_a_rendered_file_is_refused(text: str) -> None:
    (told,) = problems(text)
    assert "has not the form of" in told


@pytest.mark.parametrize("key", ["networks", "trusted_hops"])
def test_a_network_is_no_place_for_other_text(key: str) -> None:
    (told,) = problems(f'[balancer]\n{key} = ["fe80::1%a b; return 200"]')
    assert "has a zone" in told


def test_a_problem_shows_neither_control_characters_nor_novels() -> None:
    (told,) = problems(f'name = "\\u001b[2J{"x" * 1000}"')
    assert "\x1b" not in told
    assert len(told) < 200


def test_a_problem_shows_no_password() -> None:
    with pytest.raises(SpecError) as refused:
        loads('[service]\npublic_url = "https://u:geheim@h.example"', "f")
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("text", ["a = " + "[" * 20_000, "[group]\nmin = " + "9" * 5000])
def test_a_file_that_parsers_give_up_is_told(text: str) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        loads(text, "f")


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(SpecError, match="bytes"):
        load(Path("/dev/zero"))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for name, content in {"folder": None, "absent": None, "binary": b"\xff\xfe"}.items():
        path = tmp_path / name
        if name == "folder":
            path.mkdir()
        if content:
            path.write_bytes(content)
        with pytest.raises(SpecError) as refused:
            load(path)
        (problem,) = refused.value.problems
        assert problem.line == 0
        assert str(problem).startswith(f"{path}: ")


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Every key and array element as tomllib has them."""
    found = {path} if path else set()
    if isinstance(value, dict):
        inner = list(value.items())
    else:
        inner = list(enumerate(value)) if isinstance(value, list) else []
    return found.union(*(paths_of(item, (*path, key)) for key, item in inner))


TANGLED = (
    r'''# a = 1
a = "x = 1 # no comment \" [b]" # [c]
'b.c' = '# = ['
"d\u0065" . f = [ # x = 1
  1, "]", { g = "}", h.i = [2, [3]] }, # last
]
multi = """
j = 1
\""" [k]
""""
raw = '''.replace("'''", "")
    + """'''
[l]
'm' ''''
n.o.p = 1979-05-27T07:32:00Z
n.o.q = { r = { s = true }, t = 'u' }
[ v . "w.x" ]
y = +1_000
[[z]]
a = 1
[z.b]
c = 1
[[z.b.d]]
e = []
[[z.b.d]]
e = {}
[[z]]
[z.f]
g = 0x1f
"""
)


def test_the_scanner_finds_the_same_keys_as_the_parser() -> None:
    assert set(lines(TANGLED)) == paths_of(tomllib.loads(TANGLED))


def test_the_scanner_finds_the_lines() -> None:
    found = lines(TANGLED)
    texts = TANGLED.splitlines()
    assert texts[found[("b.c",)] - 1].startswith("'b.c'")
    assert texts[found[("de", "f", 2, "h", "i", 1, 0)] - 1].startswith("  1,")
    assert texts[found[("n", "o", "q", "r", "s")] - 1].startswith("n.o.q")
    assert texts[found[("v", "w.x", "y")] - 1].startswith("y =")
    assert found[("z", 0, "b", "d", 1, "e")] == found[("z", 0, "b", "d", 0, "e")] + 2
    assert texts[found[("z", 1, "f", "g")] - 1] == "g = 0x1f"


KEYS = st.sampled_from(["a", "b", "c.d", '"e f"', "'#'", '"="', "g-1", '"\\""'])
SCALARS = st.sampled_from(
    ["1", '"# x"', "'a = 1'", '"""\nx = 1\n"""', "'''\n[t]'''", '"\\\\"', "true", '""', "''"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + " , # x\n".join(items) + "\n]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key} = {items[key]}" for key in items) + "}"
        ),
    ),
    max_leaves=6,
)
LINES = st.one_of(
    st.tuples(KEYS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]} # end"),
    KEYS.map(lambda key: f"[{key}] # table"),
    KEYS.map(lambda key: f"[[ {key} ]]"),
    KEYS.map(lambda key: f"[x.{key}]"),
    st.just("[[x]]"),
)


@settings(deadline=None)
@given(st.lists(LINES, max_size=8))
def test_the_scanner_agrees_with_the_parser_on_any_text(parts: list[str]) -> None:
    text = "\n".join(parts)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(lines(text)) == paths_of(table)


def test_windows_line_ends_do_not_move_lines() -> None:
    (told,) = problems("[service]\r\nport = 8000\r\nworkers = 0\r\n")
    assert told.startswith("fleet.toml:3: ")


def test_every_table_is_a_frozen_dataclass() -> None:
    assert all(is_dataclass(item.type) for item in fields(Fleet) if item.name != "name")
