"""What was found at the object store or made there, and how that is told. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from photo_base.command_line import COULD_NOT, DONE, FAILED
from photo_base.log_lines import printable

State = Literal["ok", "left", "made", "planned", "warn", "wrong", "unknown"]
"""`left` is as it was, `planned` would be made; `warn` is right but for some
clients; `unknown` is what no answer came about."""

WIDTH = 22


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, and what to do about it where that is for the operator."""

    code: str
    state: State
    told: str
    fix: str = ""


def exit_code(findings: Sequence[Finding]) -> int:
    """1 where something is wrong, else 2 where something is not known, else 0."""
    states = {one.state for one in findings}
    return FAILED if "wrong" in states else COULD_NOT if "unknown" in states else DONE


def as_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """What `--json` prints."""
    return {"ok": exit_code(findings) == DONE, "findings": [asdict(one) for one in findings]}


def as_text(findings: Sequence[Finding]) -> str:
    """One line for each, and one more for what to do."""
    return "\n".join(line for one in findings for line in _lines(one))


def _lines(one: Finding) -> Iterator[str]:
    yield f"{one.state:<8} {one.code:<{WIDTH}} {printable(one.told)}"
    if one.fix:
        yield f"{'':<8} {'':<{WIDTH}} → {printable(one.fix)}"
