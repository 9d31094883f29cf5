"""How a worker imports what it serves with: called before anything of it is imported."""

import gc
import sys


def leave_out_what_no_request_needs() -> None:
    """Put off what OpenAPI documents are checked with until one is asked for, and collect no
    garbage while modules are loaded."""
    # Imports make hardly any garbage, and very many objects to look through.
    gc.disable()
    from pydantic import BaseModel

    # FastAPI loads it with the first route, to see that no model is one of its own.
    sys.modules["pydantic.v1"] = None  # type: ignore[assignment]
    BaseModel.model_config["defer_build"] = True
    try:
        import fastapi.openapi.models  # noqa: F401
    finally:
        del BaseModel.model_config["defer_build"]


def all_is_loaded() -> None:
    """What is there now stays: no collection looks at it again."""
    gc.freeze()
    gc.enable()
