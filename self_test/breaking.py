"""Has an instance break what its environment names, as its modules are imported."""

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from self_test.breaks import BREAKS, Change

VARIABLE = "PHOTO_DRILL_BREAKS"
"""Names of breaks with commas in between, in an instance's environment."""


def breaks(text: str) -> list[str]:
    """Names as in the variable. Raises `KeyError` for one that there is not: an instance that is
    whole by mistake would prove nothing."""
    names = [name for name in text.split(",") if name]
    for name in names:
        BREAKS[name]
    return names


def install(names: Sequence[str]) -> None:
    """Have the modules changed when this process imports them."""
    changes: dict[str, list[Change]] = {}
    for name in names:
        module, change = BREAKS[name]
        changes.setdefault(module, []).append(change)
    sys.meta_path.insert(0, _Changing(changes))


class _Changing(MetaPathFinder):
    """Finds modules as always, and changes some once they are executed."""

    def __init__(self, changes: Mapping[str, Sequence[Change]]) -> None:
        self._changes = changes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._changes:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_change(module: ModuleType) -> None:
                execute(module)
                for change in self._changes[fullname]:
                    change(module)

            spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec
