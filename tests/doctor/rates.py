"""How often the doctor is right: faults that it finds by their code, and sound fleets of which it
finds nothing.

`python -m tests.doctor.rates [WORD …]` does the faults in whose code or name one of the words is
to a fleet, and tells of each.
"""

import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from photo_fleet.spec.fleet import Fleet, Metrics
from photo_fleet.spec.loading import loads
from tests.doctor.faults import always, cuts, restarts, traffic
from tests.doctor.faults.fault import Fault
from tests.doctor.ground import Ground, ground
from tests.doctor.sound import SOUND, Sound
from tests.photo_fleet.local_stage import SPEC
from tests.photo_fleet.nginx_stage import short_folder

FAULTS: tuple[Fault, ...] = (
    *restarts.FAULTS,
    *traffic.FAULTS,
    *cuts.FAULTS,
    *always.FAULTS,
)
AT_ONCE = 3
"""Sound fleets, on two cores."""
SOUND_AGAIN = 45.0
"""Seconds until a fleet is well again, and Prometheus knows it."""


@dataclass
class Done:
    """What came of one fault. `found` are the codes that were not there before, `evidence` what was
    said for the right one; `problem` says why it could not be done."""

    fault: Fault
    found: tuple[str, ...] = ()
    evidence: str = ""
    seconds: float = 0.0
    problem: str = ""

    @property
    def right(self) -> bool:
        return self.fault.code in self.found

    def __str__(self) -> str:
        said = self.problem or self.evidence or f"found {', '.join(self.found) or 'nothing'}"
        mark = "ok  " if self.right else "MISS" if not self.problem else "FAIL"
        also = ", ".join(code for code in self.found if code != self.fault.code)
        more = f"  [also {also}]" if self.right and also else ""
        return f"{mark} {self.fault.code}: {self.fault.name} ({self.seconds:.0f} s): {said}{more}"


def spec_for_faults() -> Fleet:
    """Three instances whose size nobody changes, and a Prometheus that looks every two seconds."""
    text = SPEC.format(low=2, high=4, desired=3, cores=2, remove_below=0.1)
    made = loads(text, "fleet.toml")
    database = replace(made.database, max_connections=120)
    return replace(made, metrics=Metrics(interval=2), database=database)


@contextmanager
def ground_for_faults() -> Iterator[Ground]:
    """Its probes are made ten times as often, so that a drain of members is not waited for."""
    with short_folder() as folder, ground(folder, spec_for_faults(), "--time-scale", "10") as made:
        made.bodies("/api/photos/", 2.0)
        yield made


def done(fault: Fault, on: Ground) -> Done:
    """Do it, and hear what the doctor says."""
    began = time.monotonic()
    result = Done(fault)
    try:
        before = sound_again(on, fault.code)
        with fault.do(on):
            until = time.monotonic() + fault.patience
            while True:
                found = on.findings()
                result.found = tuple(code for code in found if code not in before)
                result.evidence = found.get(fault.code, "") if result.right else ""
                if result.right or time.monotonic() > until:
                    break
                time.sleep(0.5)
    except Exception as error:
        if not result.right:
            result.problem = _problem(error)
    finally:
        on.forget()
    result.seconds = time.monotonic() - began
    print(result, flush=True)
    return result


def all_done() -> Iterator[Done]:
    """Every fault, to two fleets beside each other."""

    def some(faults: Sequence[Fault]) -> list[Done]:
        with ground_for_faults() as on:
            return [done(fault, on) for fault in faults]

    halves = (*restarts.FAULTS, *cuts.FAULTS), (*traffic.FAULTS, *always.FAULTS)
    with ThreadPoolExecutor(len(halves)) as pool:
        for results in pool.map(some, halves):
            yield from results


def sound_again(on: Ground, code: str) -> Mapping[str, str]:
    """What is found before anything is done: not this code, if that can be had."""
    until, traffic = time.monotonic() + SOUND_AGAIN, True
    while code in (found := on.findings()) and time.monotonic() < until:
        if traffic and time.monotonic() > until - SOUND_AGAIN / 2:
            on.forget_traffic()
            traffic = False
        time.sleep(1)
    assert code not in found, f"it is found before anything is done: {found[code]}"
    return found


@dataclass
class Visit:
    """What was found of a sound fleet: nothing, or it was a false alarm. `asked` questions, of
    which `open` could not be answered."""

    sound: Sound
    findings: dict[str, str]
    asked: int = 0
    open: int = 0
    problem: str = ""

    def __str__(self) -> str:
        said = self.problem or "; ".join(f"{code}: {text}" for code, text in self.findings.items())
        mark = "FAIL" if self.problem else "FALSE" if self.findings else "ok"
        return f"{mark} {self.sound.name} ({self.open} of {self.asked} open) {said}".rstrip()


def visited(sound: Sound) -> Visit:
    """Start the fleet, bring it into its state, and hear what the doctor says twice."""
    result = Visit(sound, {})
    try:
        with (
            short_folder() as folder,
            ground(folder, sound.fleet, *sound.options) as on,
            sound.state(on),
        ):
            for _ in range(2):
                result.findings |= on.findings()
                counts = on.told["counts"]
                result.open = counts["unknown"]
                result.asked = counts["unknown"] + counts["fine"] + len(on.told["findings"])
    except Exception as error:
        result.problem = _problem(error)
    return result


def all_visited(which: Sequence[Sound]) -> Iterator[Visit]:
    """Some at once: most of the time they wait for something."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for visit in pool.map(visited, which):
            print(visit, flush=True)
            yield visit


def _problem(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {str(error)[-300:]} ({where.name}, line {where.lineno})"


def has_word(text: str, words: Sequence[str]) -> bool:
    """Whether one of them is in it, or there are none but options."""
    wanted = [word for word in words if not word.startswith("--")]
    return not wanted or any(word in text for word in wanted)


def main(words: Sequence[str]) -> None:
    """`--once` looks at each fault once, however it spreads; `--sound` visits sound fleets."""
    once = "--once" in words
    faults = [one for one in FAULTS if has_word(f"{one.section} {one.code} {one.name}", words)]
    right = 0
    if "--sound" in words:
        list(all_visited([one for one in SOUND if has_word(one.name, words)]))
        return
    with ground_for_faults() as on:
        told = on.doctor("-v")
        print(told["verdict"])
        for one in told["findings"]:
            print("  false:", one["code"], one["evidence"])
        for one in told["unknown"]:
            print("  unknown:", one["code"], one["reason"])
        for fault in faults:
            result = done(replace(fault, patience=0) if once else fault, on)
            right += result.right
    print(f"{right} of {len(faults)}")


if __name__ == "__main__":
    main(sys.argv[1:])
