"""What is broken on purpose is still there to be broken: a later renaming, or another parameter,
would make a broken fleet whole, or break it in another way."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from self_test import breaks

CHECK = """
import importlib.util, inspect, re, sys
from self_test.breaks import BREAKS

def functions(module):
    owners = [module, *(item for item in vars(module).values() if inspect.isclass(item)
                        and item.__module__ == module.__name__)]
    return {(getattr(owner, "__name__", ""), name): item for owner in owners
            for name, item in vars(owner).items() if inspect.isfunction(item) or item in owners}

def shape(function):
    kinds = inspect.Parameter
    taken = inspect.signature(function).parameters.values()
    if any(item.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD) for item in taken):
        return None
    return len(taken)

for name, (module, change) in BREAKS.items():
    spec = importlib.util.find_spec(module)
    fresh = importlib.util.module_from_spec(spec)
    sys.modules[module] = fresh
    spec.loader.exec_module(fresh)
    before = functions(fresh)
    change(fresh)
    after = functions(fresh)
    unknown = after.keys() - before.keys()
    assert not unknown, f"{name} adds what nobody calls: {unknown}"
    for place, function in after.items():
        if function is not before[place]:
            shapes = shape(function), shape(before[place])
            assert not re.match("_(?!_)", place[1]), f"{name} changes {place}, which is private"
            assert None in shapes or shapes[0] == shapes[1], f"{name} changes {place}: {shapes}"
"""


def test_a_break_uses_what_is_public_alone() -> None:
    tree = ast.parse(Path(breaks.__file__).read_text())
    used = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and re.match("_(?!_)", node.attr)
    }
    assert used == {"os._exit"}


def test_every_break_changes_what_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
