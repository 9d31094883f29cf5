"""What OpenAPI says of errors and shared answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from photo_api.errors import Code


def example(body: dict[str, Any]) -> ConfigDict:
    """The configuration of a model whose example in OpenAPI is `body`."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class ErrorItem(BaseModel):
    loc: list[str | int]
    msg: str
    type: str


class Error(BaseModel):
    """The body of every error; `detail` is a list for 422 and a sentence otherwise."""

    model_config = example(
        {"detail": "Photo not found", "code": "not_found", "request_id": "f3a9…"}
    )
    detail: str | list[ErrorItem]
    code: str
    request_id: str


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` entries for these statuses, each with the codes it may carry."""
    return {status: _entry(status) for status in statuses}


def _entry(status: int) -> dict[str, Any]:
    codes = [code.wire for code in Code if code.status == status]
    # By reference: as a `model` FastAPI would build a validator for each of them at every start.
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Error.__name__}"}}}
    entry: dict[str, Any] = {"description": f"code: {', '.join(codes)}", "content": content}
    if status in (429, 503):
        entry["headers"] = {
            "Retry-After": {"description": "seconds", "schema": {"type": "integer"}}
        }
    return entry


def error_schemas() -> dict[str, Any]:
    """The components that `errors` refers to."""
    schema = Error.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), Error.__name__: schema}
