"""The drill proves itself: each broken variant of a fleet must make its gate fail, by the rule that
is for it, and a sound one must hold."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from photo_fleet.drill.clients.mix import Overrides
from photo_fleet.drill.gates import Violation
from photo_fleet.drill.records import Fault
from photo_fleet.drill.runner import Broken, Runner
from photo_fleet.drill.scenario import Scenario, Step
from photo_fleet.drill.stage.stage import Stage
from self_test.breaking import VARIABLE
from self_test.harm import HARM
from self_test.proxy import break_proxy
from self_test.variant import Variant
from self_test.variants import VARIANTS

FORMAT = 1
HERE = Path(__file__).parent

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What the drill made of one variant: `caught` when its gate said exactly what it must.
    `problem` is why it could not be carried out, which is not caught either."""

    variant: Variant
    caught: bool
    requests: int = 0
    violations: tuple[Violation, ...] = ()
    problem: str = ""


class BrokenRunner(Runner):
    """A runner whose stages are those of one variant."""

    def __init__(self, folder: Path, seed: int, variant: Variant, say: Say) -> None:
        super().__init__(folder, seed, Overrides(), say)
        self._variant = variant

    async def stage_for(self, scenario: Scenario) -> Stage:
        with _environment(self._variant.breaks):
            stage = await super().stage_for(scenario)
        await break_proxy(stage, self._variant.proxy_breaks)
        return stage

    async def inject(self, scene: Any, step: Step) -> Fault:
        harm = HARM.get(step.fault)
        return await (harm(scene) if harm else super().inject(scene, step))


async def prove(variants: Sequence[Variant], folder: Path, seed: int, say: Say) -> list[Result]:
    """Run them one after the other, each on a stage of its own below `folder`."""
    results = []
    for variant in variants:
        say(f"{variant.name}: {variant.title}; expected: {variant.rule or 'nothing'}")
        result = await _prove(variant, folder / variant.name, seed, say)
        say(f"  {_summary(result)}")
        results.append(result)
    return results


async def _prove(variant: Variant, folder: Path, seed: int, say: Say) -> Result:
    try:
        async with BrokenRunner(folder, seed, variant, say) as runner:
            verdict = (await runner.run(variant.scenario)).verdict
    except Broken as error:
        return Result(variant, caught=False, problem=str(error))
    return Result(variant, variant.caught(verdict), verdict.requests, verdict.violations)


@contextmanager
def _environment(breaks: Sequence[str]) -> Iterator[None]:
    """Instances that are started meanwhile are broken so, for all their life."""
    before = dict(os.environ)
    if breaks:
        os.environ[VARIABLE] = ",".join(breaks)
        paths = [str(HERE / "start"), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    try:
        yield
    finally:
        for name in (VARIABLE, "PYTHONPATH"):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def _summary(result: Result) -> str:
    word = "caught" if result.variant.rule else "holds"
    said = ", ".join(f"{item.rule} × {item.count}" for item in result.violations) or "nothing"
    if result.problem:
        return f"could not be carried out: {result.problem}"
    return f"{word if result.caught else 'NOT AS EXPECTED'}: {said}"


def listing(variants: Sequence[Variant] = VARIANTS) -> str:
    """What `--self-test --list` prints: one line each."""
    lines = [("NAME", "GATE", "RULE", "TITLE")]
    lines += [
        (item.name, item.scenario.gate.value, item.rule or "-", item.title) for item in variants
    ]
    return _columns(lines)


def summary(results: Sequence[Result]) -> str:
    """For people: a line for each, then how many were as they must be."""
    lines = [("VARIANT", "GATE", "EXPECTED", "RESULT")]
    lines += [
        (item.variant.name, item.variant.scenario.gate.value, item.variant.rule or "-", told)
        for item, told in ((item, _summary(item)) for item in results)
    ]
    good = sum(item.caught for item in results)
    return f"{_columns(lines)}{good} of {len(results)} as they must be\n"


def body(results: Sequence[Result]) -> Mapping[str, Any]:
    """For machines. `expected` is the rule that the variant must violate, null for the sound one;
    `also` are rules that it may."""
    return {
        "format": FORMAT,
        "proven": proven(results),
        "variants": [
            {
                "name": item.variant.name,
                "title": item.variant.title,
                "gate": item.variant.scenario.gate.value,
                "expected": item.variant.rule,
                "also": sorted(item.variant.also),
                "as_expected": item.caught,
                "requests": item.requests,
                "violations": [asdict(violation) for violation in item.violations],
                "problem": item.problem or None,
            }
            for item in results
        ],
    }


def dumps(results: Sequence[Result]) -> str:
    """As JSON text."""
    return json.dumps(body(results), ensure_ascii=False, indent=1) + "\n"


def proven(results: Sequence[Result]) -> bool:
    """Whether every variant was as it must be; none at all proves nothing."""
    return bool(results) and all(item.caught for item in results)


def _columns(lines: Sequence[tuple[str, str, str, str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "".join(
        "  ".join([*(w.ljust(n) for w, n in zip(line, widths, strict=False)), line[3]]) + "\n"
        for line in lines
    )
