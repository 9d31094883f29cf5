"""How often something ended in which way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect

from photo_api.errors import ApiError, Code
from photo_api.metrics.counts import Counts
from photo_api.metrics.metric import Metric

FAILED = "failed"
"""An end by an exception that is no refusal: an outage, a bug, the end of the instance."""

WORDS: Mapping[type[BaseException], str] = MappingProxyType(
    {RequestValidationError: Code.VALIDATION.wire, ClientDisconnect: "client_gone"}
)


@dataclass(slots=True)
class Result:
    """The word for an end without exception."""

    word: str = "ok"


@contextmanager
def results(counts: Counts, metric: Metric, *values: str) -> Iterator[Result]:
    """Count how the block ends, by the metric's last label: `ok` or the word that it sets, the code
    of a refusal, or `FAILED`."""
    result = Result()
    try:
        yield result
    except ApiError as refusal:
        result.word = refusal.code.wire
        raise
    except BaseException as error:
        result.word = WORDS.get(type(error), FAILED)
        raise
    finally:
        counts.add(metric, *values, result.word)
