"""Property tests of hostile inputs: `make test` tries the same few each time, `make fuzz` many new
ones for as long as it may."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings

TIMES = int(os.environ.get("FUZZ_TIMES", "0"))
"""How many times as many examples as in `make test`; 0 is `make test` itself."""

Test = TypeVar("Test", bound=Callable[..., Any])


def examples(count: int) -> settings:
    """Hypothesis' settings for a test with `count` examples in `make test`."""
    phases = [Phase.explicit, Phase.generate]
    return settings(
        max_examples=count * max(TIMES, 1),
        deadline=None,
        derandomize=not TIMES,
        database=None,
        phases=[*phases, Phase.shrink] if TIMES else phases,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def fuzzed(count: int) -> Callable[[Test], Test]:
    """For a `@given` below it, which `make fuzz` is to try with more than these examples."""

    def decorate(test: Test) -> Test:
        marked: Test = pytest.mark.fuzz(examples(count)(test))
        return marked

    return decorate
