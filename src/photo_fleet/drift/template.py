"""What the CloudFormation template says of each thing, as paths and values. Pure."""

import base64
import binascii
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

UNKNOWN: Final = object()
"""What only the operator knows: a parameter, or what AWS makes up."""

LONGEST_USER_DATA = 1024 * 1024
"""Bytes, unpacked; AWS takes 16 KiB of them packed."""
_ORDERED: Final = frozenset(("TerminationPolicies",))
_MORE_ALLOWED: Final = frozenset(("AlarmActions", "OKActions", "TargetGroupARNs"))
"""Lists to which an operator may have added, such as a topic that alarms write to."""

Known = Mapping[str, str]
"""What references mean, by `Name` (Ref) or `Name.Attribute` (Fn::GetAtt)."""


def resolved(node: Any, known: Known) -> Any:
    """The value with its references replaced by what is `known`, other functions by `UNKNOWN`."""
    if isinstance(node, Mapping):
        if len(node) == 1 and (function := next(iter(node))) in _FUNCTIONS:
            return _FUNCTIONS[function](node[function], known)
        if len(node) == 1 and next(iter(node)).startswith("Fn::"):
            return UNKNOWN
        return {key: resolved(value, known) for key, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [resolved(item, known) for item in node]
    return node


def _ref(name: str, known: Known) -> Any:
    return known.get(name, UNKNOWN)


def _attribute(of: str | Sequence[str], known: Known) -> Any:
    return known.get(of if isinstance(of, str) else ".".join(of), UNKNOWN)


_FUNCTIONS: Final = {
    "Ref": _ref,
    "Fn::GetAtt": _attribute,
    "Fn::Base64": resolved,  # live ones are compared unpacked
}


def flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and values of what a resource says. Items of a list are found by their key or name,
    where they have one; a list of texts is a value, and of another list its length is one too."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from flat(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list) and any(isinstance(item, Mapping) for item in node):
        if not all("Key" in item for item in node):  # others may add tags and attributes
            yield f"{path}[]", len(node)
        for index, item in enumerate(node):
            name = _name(item)
            if name:
                rest = {key: value for key, value in item.items() if key not in ("Key", "Name")}
                yield from flat(rest, f"{path}[{name}]")
            else:
                yield from flat(item, f"{path}[{index}]")
    else:
        yield path, node


def _name(item: Any) -> str:
    return str(item.get("Key") or item.get("Name") or "") if isinstance(item, Mapping) else ""


def unpacked(user_data: str) -> str:
    """User data as text, which may be base64 and gzip. What is neither stays as it is."""
    try:
        content = base64.b64decode(user_data, validate=True)
        if content[:2] == b"\x1f\x8b":
            content = zlib.decompressobj(31).decompress(content, LONGEST_USER_DATA)
        return content.decode()
    except (binascii.Error, UnicodeDecodeError, zlib.error, ValueError):
        return user_data


def is_same(path: str, wanted: Any, live: Any) -> bool:
    """Whether AWS has what the template says at this path."""
    if not isinstance(wanted, list):
        return bool(_scalar(wanted) == _scalar(live))
    ours = [_scalar(item) for item in wanted if item is not UNKNOWN]
    theirs = [_scalar(item) for item in live] if isinstance(live, list) else []
    if path in _MORE_ALLOWED or len(ours) < len(wanted):
        return set(ours) <= set(theirs)
    if path in _ORDERED:
        return ours == theirs
    return sorted(map(str, ours)) == sorted(map(str, theirs))


def _scalar(value: Any) -> Any:
    """AWS writes numbers and truths as texts in some places, templates in others."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return float(value)
    except (TypeError, ValueError):
        return value.lower() if value in ("True", "False") else value
