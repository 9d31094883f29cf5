"""What AWS's command line makes of a line: `xform_name` of botocore's names, as its own parser."""

import json
import shlex
from typing import Any

from botocore import xform_name

from photo_fleet.drift.asking import Aws


def call(aws: Aws, line: str) -> Any:
    """Does what the line says. botocore holds its parameters to the model."""
    service, operation, parameters = parsed(aws, line)
    if number := parameters.pop("SourceVersion", None):  # moto does not look at it
        [version] = aws.all(
            "ec2",
            "describe_launch_template_versions",
            "LaunchTemplateVersions",
            LaunchTemplateId=parameters["LaunchTemplateId"],
            Versions=[number],
        )
        parameters["LaunchTemplateData"] = (
            version["LaunchTemplateData"] | parameters["LaunchTemplateData"]
        )
    return getattr(aws.client(service), operation)(**parameters)


def parsed(aws: Aws, line: str) -> tuple[str, str, dict[str, Any]]:
    """Service, operation and parameters."""
    program, service, operation, *words = shlex.split(line)
    assert program == "aws"
    model = aws.client(service).meta.service_model
    [name] = [one for one in model.operation_names if xform_name(one, "-") == operation]
    members = model.operation_model(name).input_shape.members
    options = {xform_name(one, "-"): one for one in members}
    parameters: dict[str, Any] = {}
    while words:
        option = words.pop(0).removeprefix("--")
        values = [words.pop(0) for _ in range(_until_next(words))]
        if option.startswith("no-") and option not in options:
            parameters[options[option.removeprefix("no-")]] = False
        else:
            parameters[options[option]] = _read(members[options[option]], values)
    return service, operation.replace("-", "_"), parameters


def _until_next(words: list[str]) -> int:
    return next((at for at, word in enumerate(words) if word.startswith("--")), len(words))


def _read(shape: Any, values: list[str]) -> Any:
    if shape.type_name == "boolean":
        assert values == []
        return True
    if shape.type_name == "list" and not values[0].startswith("["):
        return values
    [value] = values
    if shape.type_name in ("list", "structure", "map"):
        return json.loads(value)
    return {"integer": int, "long": int, "double": float, "float": float}.get(shape.type_name, str)(
        value
    )
