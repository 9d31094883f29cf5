"""What a load consists of: which acts how often, how many a second, and when each is due."""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Arrivals = Literal["poisson", "even"]

HEAVIEST = 1_000_000

EVERYDAY: Mapping[str, float] = {
    "list_photos": 20,
    "list_albums": 10,
    "thumbnail": 30,
    "view_share": 8,
    "edit_album": 6,
    "arrange_album": 6,
    "direct_upload": 6,
    "upload": 4,
    "slow_upload": 1,
    "slow_download": 1,
    "create_album": 2,
    "create_share": 2,
    "delete_photo": 2,
    "missing": 1,
    "careless_upload": 0.5,
    "refresh": 2,
    "login": 0.5,
    "sign_up": 0.3,
}
"""Weights of the acts as a service for photographs sees them: people mostly look."""


@dataclass(frozen=True, slots=True)
class Mix:
    """`rate` acts a second on average, by `clients` people. `fresh` is the share of requests that
    come over a connection of their own; `slow` the seconds that slow transfers take."""

    rate: float = 20.0
    clients: int = 20
    weights: Mapping[str, float] = field(default_factory=lambda: dict(EVERYDAY))
    arrivals: Arrivals = "poisson"
    fresh: float = 0.2
    slow: tuple[float, float] = (5.0, 20.0)


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is wanted otherwise than the scenarios say; None: as they say."""

    rate: float | None = None
    weights: Mapping[str, float] | None = None

    def applied(self, mix: Mix) -> Mix:
        """At a higher rate there are as many more people, so that none of them meets a limit that
        is meant for one."""
        rate = mix.rate if self.rate is None else self.rate
        clients = max(mix.clients, math.ceil(mix.clients * rate / mix.rate))
        weights = mix.weights if self.weights is None else self.weights
        return replace(mix, rate=rate, clients=clients, weights=weights)


@dataclass(frozen=True, slots=True)
class Arrival:
    """At `at` seconds this client does this. `seed` decides everything about it that is left to
    chance."""

    at: float
    client: int
    act: str
    seed: int


def weights_of(text: str) -> dict[str, float]:
    """Weights as on a command line: `thumbnail=3,upload=1`. Raises `ValueError`."""
    weights = {}
    for item in text.split(","):
        name, _, number = item.partition("=")
        if name.strip() not in EVERYDAY:
            raise ValueError(f"{name.strip()!r} is no act; there are {', '.join(EVERYDAY)}")
        weights[name.strip()] = _weight(number)
    if not sum(weights.values()):
        raise ValueError("one of the weights must be above 0")
    return weights


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1
    if not 0 <= weight <= HEAVIEST:
        raise ValueError(f"{text!r} is no weight; it is a number from 0 to {HEAVIEST}")
    return weight


def schedule(mix: Mix, seed: int) -> Iterator[Arrival]:
    """Arrivals without end, from 0 seconds on; the same for the same mix and seed. Open loop: they
    do not depend on whether earlier ones are done."""
    chance = random.Random(seed)
    acts, weights = list(mix.weights), list(mix.weights.values())
    at = 0.0
    while True:
        pause = 1 / mix.rate
        at += chance.expovariate(mix.rate) if mix.arrivals == "poisson" else pause
        act = chance.choices(acts, weights)[0]
        yield Arrival(at, chance.randrange(mix.clients), act, chance.getrandbits(32))
