"""One item of a check list: what it asks, and how its answer is judged. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from photo_fleet.report.history import History, Missing
from photo_fleet.report.line import Line, Plot, Table, Verdict

MOST_ROWS = 40
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Judgement:
    """`answer` are the numbers in words. Something in `faults` fails the line, something in `gaps`
    keeps it from passing: what is not known may fail as well as not."""

    answer: str
    faults: Sequence[str] = ()
    gaps: Sequence[str] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Never `pass` on data that lack something."""
        if self.faults:
            return "fail"
        return "unknown" if self.gaps else "pass"


@dataclass(frozen=True, slots=True)
class Item:
    """`code` and `question` stand in the operator's guide. `judge` raises Missing when it cannot
    even begin; `todo` is what to do about a failure."""

    code: str
    question: str
    todo: str
    command: str
    judge: Callable[[History], Judgement]


def line_of(item: Item, history: History) -> Line:
    """What the report says about it."""
    try:
        found = item.judge(history)
    except Missing as missing:
        found = Judgement("", gaps=[str(missing)])
    except Exception as error:  # what others made may be of a kind that nobody thought of
        reason = f"what was read is not understood ({type(error).__name__}: {error})"
        found = Judgement("", gaps=[reason[:LONGEST_REASON]])
    answer = "; ".join([*found.faults, found.answer]) if found.faults else found.answer
    return Line(
        item.code,
        item.question,
        found.verdict,
        answer,
        "" if found.verdict == "pass" else item.todo,
        item.command,
        "; ".join(found.gaps),
        found.tables,
        found.plots,
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The first `MOST_ROWS` of them."""
    kept = tuple(tuple(row) for row in rows[:MOST_ROWS])
    return Table(tuple(headings), kept, max(0, len(rows) - MOST_ROWS))
