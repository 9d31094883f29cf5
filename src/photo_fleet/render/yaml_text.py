"""YAML of plain data: deterministic, and a reader finds texts of several lines as they are."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z0-9_]+)*")
_OTHER = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
"""Words that YAML 1.1 takes for something else."""

Node = None | bool | int | float | str | Sequence["Node"] | Mapping[str, "Node"]


def dump(tree: Mapping[str, Node]) -> str:
    """The document, in the mapping's order. Scalars are JSON, which YAML 1.2 contains; texts of
    several printable lines stand as blocks, unless the first has a space in front, which would need
    a mark of its own."""
    return "\n".join(_mapping(tree, "")) + "\n"


def _mapping(tree: Mapping[str, Node], indent: str) -> Iterator[str]:
    for key, value in tree.items():
        yield from _entry(f"{indent}{_key(key)}:", value, indent + "  ")


def _sequence(items: Sequence[Node], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Mapping) and item:
            first, *rest = _mapping(item, indent + "  ")
            yield f"{indent}- {first[len(indent) + 2 :]}"
            yield from rest
        else:
            yield from _entry(f"{indent}-", item, indent + "  ")


def _entry(head: str, value: Node, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield head
        yield from _mapping(value, indent)
    elif isinstance(value, str) and _is_block(value):
        yield f"{head} |"
        for line in value.split("\n")[:-1]:
            yield indent + line if line else ""
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        yield head
        yield from _sequence(value, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _is_block(text: str) -> bool:
    *lines, last = text.split("\n")
    return last == "" and bool(lines) and _is_plain(lines) and lines[-1].strip() != ""


def _is_plain(lines: list[str]) -> bool:
    return lines[0][:1] not in ("", " ") and all(line.isprintable() for line in lines)


def _scalar(value: Node) -> str:
    if isinstance(value, str) and not value.isprintable():
        # As YAML escapes it, whose readers do not join JSON's pairs of surrogates.
        signs = (json.dumps(c)[1:-1] if c < "\x80" else rf"\U{ord(c):08x}" for c in value)
        return f'"{"".join(signs)}"'
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    """Plain where no reader could take it for anything else."""
    return key if _NAME.fullmatch(key) and key.lower() not in _OTHER else _scalar(key)
