"""Amazon's query APIs, as botocore's models of them describe them, for stand-ins to read and answer
by.

Every request is read by the model, and then sent once more through a client of botocore with its
Stubber, which refuses what the model does not allow; lengths and patterns, which that leaves out,
are looked at here. Answers are in the form that the model gives, and errors as in "Common Errors"
(EC2 Auto Scaling API reference).
"""

import re
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal
from xml.sax.saxutils import escape

import botocore.session
from botocore import xform_name
from botocore.exceptions import BotoCoreError
from botocore.stub import Stubber

Service = Literal["autoscaling", "elbv2"]
MESSAGES = {
    "AccessDenied": "User: arn:aws:sts::1:assumed-role/photo-role/i-0 is not authorized",
    "ResourceContention": "You already have a pending update to an Auto Scaling resource.",
    "SignatureDoesNotMatch": "The request signature we calculated does not match",
    "Throttling": "Rate exceeded",
}
Answer = tuple[int, str]
"""A status, and the XML of a body."""

ID = "<RequestId>7c6e177f-f082-11e1-ac58-3714bEXAMPLE</RequestId>"


class Refused(Exception):
    """The model does not know such a request."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


def read(service: Service, form: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The operation and its parameters."""
    left, model = dict(form), _client(service).meta.service_model
    operation, version = left.pop("Action", ""), left.pop("Version", "")
    if (version, operation in model.operation_names) != (model.api_version, True):
        raise Refused("InvalidAction", f"Could not find operation {operation}")
    shape = model.operation_model(operation).input_shape
    parameters = _parsed(shape, left, "")
    if fault := _fault(service, operation, parameters) or " ".join(left):
        raise Refused("ValidationError", fault)
    return operation, parameters


def success(service: Service, operation: str, result: str = "") -> Answer:
    output = _client(service).meta.service_model.operation_model(operation).output_shape
    wrapper = output.serialization["resultWrapper"]
    metadata = f"<ResponseMetadata>{ID}</ResponseMetadata>"
    return 200, _xml(service, f"{operation}Response", f"<{wrapper}>{result}</{wrapper}>{metadata}")


def error(status: int, code: str, message: str = "", service: Service = "autoscaling") -> Answer:
    kind = "Receiver" if status >= 500 else "Sender"
    text = escape(message or MESSAGES.get(code, "…"))
    told = f"<Type>{kind}</Type><Code>{code}</Code><Message>{text}</Message>"
    return status, _xml(service, "ErrorResponse", f"<Error>{told}</Error>{ID}")


def _xml(service: Service, name: str, content: str) -> str:
    namespace = _client(service).meta.service_model.metadata["xmlNamespace"]
    return f'<{name} xmlns="{namespace}">{content}</{name}>'


def _parsed(shape: Any, left: dict[str, str], at: str) -> Any:
    """What the form has there, taken out of it; as in botocore's `QuerySerializer`."""
    if shape.type_name == "structure":
        places = {name: f"{at}.{name}".lstrip(".") for name in shape.members}
        return {
            name: _parsed(shape.members[name], left, place)
            for name, place in places.items()
            if any(key == place or key.startswith(f"{place}.") for key in left)
        }
    if shape.type_name == "list":
        found = list[Any]()
        while any(key.startswith(f"{at}.member.{len(found) + 1}") for key in left):
            found.append(_parsed(shape.member, left, f"{at}.member.{len(found) + 1}"))
        return found
    text = left.pop(at)
    return int(text) if shape.type_name == "integer" else text


def _fault(service: Service, operation: str, parameters: dict[str, Any]) -> str:
    """What the model has against these parameters."""
    client, method = _client(service), xform_name(operation)
    with _one_at_a_time, Stubber(client) as stubber:
        stubber.add_response(method, {}, dict(parameters))
        try:
            getattr(client, method)(**parameters)
        except BotoCoreError as fault:
            return str(fault)
    members = client.meta.service_model.operation_model(operation).input_shape.members
    for name, value in parameters.items():
        limits = members[name].metadata
        if members[name].type_name != "string":
            continue
        if len(value) > limits.get("max", len(value)):
            return f"{name} is too long"
        pattern = limits.get("pattern", "")
        if "u0020" not in pattern and pattern and not re.fullmatch(pattern, value):
            return f"{name} does not match {pattern}"
    return ""


_one_at_a_time = threading.Lock()


@cache
def _client(service: Service) -> Any:
    return botocore.session.get_session().create_client(
        service, "eu-north-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
