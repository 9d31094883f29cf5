"""What replaying a month of minutes takes, in seconds of a processor.

Run as `python -m bench.replay`. The traffic has a wave a day and chance on top, so that hardly two
of its 44,640 minutes are alike; each number is the median of its turns.
"""

import math
import random
import time
from itertools import chain
from statistics import median

from photo_fleet.replay.making import Replay
from photo_fleet.replay.simulation import Conditions
from photo_fleet.replay.station import Station
from photo_fleet.replay.traffic import Traffic
from photo_fleet.spec.fleet import Group

MINUTES, TURNS = 31 * 1440, 5
CONDITIONS = Conditions(Station(40, 2, 0.2), 2, 10, 120)


def main() -> None:
    """Print the table."""
    taken: dict[str, list[float]] = {}
    for turn in range(TURNS):
        traffic = _month(random.Random(turn)).scaled(640)
        began = time.process_time()
        replay = Replay(traffic, CONDITIONS, None)
        taken.setdefault("demand", []).append(time.process_time() - began)
        began = time.process_time()
        for _, outcome in chain((replay.spec(Group()) for _ in range(1)), replay.rivals()):
            taken.setdefault(outcome.policy, []).append(time.process_time() - began)
            began = time.process_time()
    for name, times in taken.items():
        print(f"{name:16} {median(times):6.3f} s")
    print(f"{'all':16} {sum(map(median, taken.values())):6.3f} s")


def _month(chance: random.Random) -> Traffic:
    waves = (1.2 - math.cos(2 * math.pi * minute / 1440) for minute in range(MINUTES))
    return Traffic(tuple(wave * chance.gauss(1, 0.1) for wave in waves), 60)


if __name__ == "__main__":
    main()
