"""How a proof is told. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from photo_api.provisioning.proof.proving import Proof
from photo_base.command_line import COULD_NOT, DONE, FAILED
from photo_base.log_lines import printable

WIDTH = 17


def exit_code(proofs: Sequence[Proof], left: Sequence[str]) -> int:
    """1 where something that the service needs does not hold; 2 where that is not known, or objects
    could not be removed."""
    needed = {one.outcome.state for one in proofs if one.needed}
    if "fails" in needed:
        return FAILED
    return COULD_NOT if "unknown" in needed or left or not proofs else DONE


def as_dict(proofs: Sequence[Proof], left: Sequence[str], *, whole: bool) -> dict[str, Any]:
    """What `--json` prints; of a proof that was interrupted, that not all of it is known."""
    return {
        "ok": whole and exit_code(proofs, left) == DONE,
        "properties": [
            {
                "code": one.code,
                "state": one.outcome.state,
                "needed": one.needed,
                "claim": one.claim,
                "seen": one.outcome.seen,
                "follows": one.follows if one.outcome.state == "fails" else "",
            }
            for one in proofs
        ],
        "left": list(left),
    }


def as_text(proofs: Sequence[Proof], left: Sequence[str]) -> str:
    """A table: what the service needs first."""
    lines = []
    for needed, title in ((True, "The service needs:"), (False, "Good to know:")):
        some = [one for one in proofs if one.needed is needed]
        lines += [title, *(line for one in some for line in _lines(one))] if some else []
    lines += [f"could not be removed: {printable(key)}" for key in left]
    counts = dict.fromkeys(("holds", "fails", "unknown"), 0)
    for one in proofs:
        counts[one.outcome.state] += 1
    lines.append(", ".join(f"{count} {state}" for state, count in counts.items()))
    return "\n".join(lines)


def _lines(one: Proof) -> Iterator[str]:
    yield f"  {one.outcome.state:<8} {one.code:<{WIDTH}} {one.claim}"
    yield f"  {'':<8} {'':<{WIDTH}} {printable(one.outcome.seen)}"
    if one.outcome.state == "fails":
        yield f"  {'':<8} {'':<{WIDTH}} → {one.follows}"
