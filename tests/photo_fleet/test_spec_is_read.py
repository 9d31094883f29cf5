"""Every key of a spec is read, and a value has a short way from its file to what it becomes."""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from photo_api.contract import METRICS_PATH
from photo_fleet.render import tree
from photo_fleet.rules.checks import check
from photo_fleet.spec.changes import changed
from photo_fleet.spec.edge import Edge
from photo_fleet.spec.fleet import Balancer, Drain, Fleet, Tls, Tracing
from photo_fleet.spec.loading import load, loads
from photo_fleet.spec.targets import for_target

ROOT = Path(__file__).parent.parent.parent
LONGEST_WAY = 15
SPEC = "photo_fleet.spec"
STORE = Balancer(store="https://s3.example.org", tls=Tls("/c.pem", "/k.pem"))
CLOUD = {"balancer.kind": "cloud", "drain.removal": "health-only", "metrics.cloud": "ec2"}
SWIFT = {"store.kind": "swift"}
TRACED = Tracing("http://10.0.0.7:4318")
FLEETS = (
    *(Fleet(), changed(Fleet(), CLOUD), changed(Fleet(), SWIFT)),
    changed(Fleet(), {"cdn.provider": "akamai", "cdn.url": "https://cdn.example.org"}),
    *(replace(Fleet(), balancer=STORE), replace(Fleet(), tracing=TRACED)),
    replace(Fleet(), balancer=STORE, edge=Edge(on=True, disk=2**40)),
    for_target(Fleet(), "nhn"),
)


def tables(node: Any) -> Iterator[Any]:
    """The dataclasses of which a spec is made."""
    if isinstance(node, tuple):
        for inner in node:
            yield from tables(inner)
    elif is_dataclass(node):
        yield type(node)
        for item in fields(node):
            yield from tables(getattr(node, item.name))


class Reads:
    """In place of a dataclass's slot: notes who outside of `photo_fleet.spec` reads it."""

    def __init__(self, slot: Any, key: str, seen: set[str]) -> None:
        self.slot, self.key, self.seen = slot, key, seen

    def __get__(self, owner: Any, kind: type) -> Any:
        reader = sys._getframe(1).f_globals.get("__name__", "")
        settings = reader == f"{SPEC}.settings"
        if reader.startswith("photo_fleet.") and (settings or not reader.startswith(SPEC)):
            self.seen.add(self.key)
        return self.slot.__get__(owner, kind)

    def __set__(self, owner: Any, value: Any) -> None:
        self.slot.__set__(owner, value)


def named_once_and_read(keys: set[str]) -> set[str]:
    """Those whose name no other key has, and that some code of the operations plane reads."""
    counted = Counter(key.rpartition(".")[2] for key in keys)
    read = set()
    for path in (ROOT / "src/photo_fleet").rglob("*.py"):
        if path.parent.name != "spec":
            nodes = ast.walk(ast.parse(path.read_text()))
            read |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names = {name for name, number in counted.items() if number == 1} & read
    return {key for key in keys if key.rpartition(".")[2] in names}


def test_every_key_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a rule, a rendered file or a local group, as every setting of the service is."""
    keys: set[str] = set()
    seen: set[str] = set()
    for kind in set(tables(Fleet())):
        for item in fields(kind):
            keys.add(key := f"{kind.__name__}.{item.name}")
            monkeypatch.setattr(kind, item.name, Reads(kind.__dict__[item.name], key, seen))
    for fleet in FLEETS:
        check(fleet)
        tree.files(fleet)
        tree.notes(fleet)
    assert keys - seen - named_once_and_read(keys) == set()


def test_metrics_that_nobody_finds_are_warned_of() -> None:
    """A spec that names [metrics] loads as ever."""
    fleet = loads('[metrics]\npath = "/prometheus"\n', "fleet.toml")
    [finding] = [finding for finding in check(fleet) if finding.code.startswith("metrics")]
    assert (finding.code, finding.level) == ("metrics-path", "warning")
    assert finding.changes == {"metrics.path": METRICS_PATH}


def test_the_lame_duck_passes_few_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From fleet.toml to every rendered file: all that are on the way when it is read or taken."""
    file = tmp_path / "fleet.toml"
    file.write_text('[drain]\nlame_duck = "12.375s"\n')
    way: set[str] = set()

    def note(frame: FrameType | None) -> None:
        while frame is not None:
            name = f"{frame.f_globals.get('__name__', '')}.{frame.f_code.co_qualname}"
            if name.startswith("photo_fleet.") and not name.endswith(".__init__"):
                way.add(name)
            frame = frame.f_back

    class Noted(Reads):
        def __get__(self, owner: Any, kind: type) -> Any:
            note(sys._getframe(1))
            return super().__get__(owner, kind)

    def called(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and any(
            value in ("12.375s", "12.375", 12.375)
            for value in frame.f_locals.values()
            if isinstance(value, str | float)
        ):
            note(frame)

    fleet = load(file)
    slot = Drain.__dict__["lame_duck"]
    monkeypatch.setattr(Drain, "lame_duck", Noted(slot, "lame_duck", set()))
    sys.setprofile(called)
    try:
        tree.files(load(file))
    finally:
        sys.setprofile(None)
    assert fleet.drain.lame_duck == 12.375
    assert len(way) <= LONGEST_WAY, "\n".join(sorted(way))
