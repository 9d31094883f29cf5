"""Amazon's Auto Scaling API for one machine, as botocore's model of it (2011-01-01) describes it.

Every request is read by the model, and then sent once more through a client of botocore with its
Stubber, which refuses what the model does not allow; lengths and patterns, which that leaves out,
are looked at here. Answers are in the form that the model gives, and errors as in "Common Errors"
(EC2 Auto Scaling API reference): `tests/test_autoscaling_api.py` has botocore's own client read
them. What is said of an action that is not open was seen of the real one (issue 2432 of convox/rack
on GitHub quotes it).
"""

import re
import threading
import time
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
from botocore import xform_name
from botocore.exceptions import BotoCoreError
from botocore.stub import Stubber

VERSION = "2011-01-01"
MESSAGES = {
    "AccessDenied": "User: arn:aws:sts::1:assumed-role/photo-role/i-0 is not authorized",
    "ResourceContention": "You already have a pending update to an Auto Scaling resource.",
    "SignatureDoesNotMatch": "The request signature we calculated does not match",
}
Answer = tuple[int, str]
"""A status, and the XML of a body."""


class TerminationHook:
    """Its action for one machine: opened, held open by heartbeats, and ended by a result or by the
    timeout, whose result is ABANDON. Times are monotonic."""

    def __init__(self, group: str = "photos", name: str = "drain", timeout: float = 30.0) -> None:
        self.group, self.name, self.timeout = group, name, timeout
        self.heartbeats: list[float] = []
        self.results: list[str] = []
        self._deadline: float | None = None
        self._busy = threading.Lock()

    def open(self) -> None:
        with self._busy:
            self._deadline = time.monotonic() + self.timeout

    @property
    def is_open(self) -> bool:
        with self._busy:
            return self._is_open()

    def _is_open(self) -> bool:
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.results.append("ABANDON")
            self._deadline = None
        return self._deadline is not None

    def take(self, operation: str, parameters: dict[str, str]) -> bool:
        """Whether there is an action that this can be done to."""
        with self._busy:
            if not self._is_open():
                return False
            if operation == "RecordLifecycleActionHeartbeat":
                self.heartbeats.append(time.monotonic())
                self._deadline = self.heartbeats[-1] + self.timeout
            else:
                self.results.append(parameters["LifecycleActionResult"])
                self._deadline = None
            return True


def answer(form: dict[str, str], hook: TerminationHook, instance_id: str) -> Answer:
    """To a request whose signature is right."""
    operation, parameters = form.pop("Action", ""), form
    if (form.pop("Version", ""), operation in _model().operation_names) != (VERSION, True):
        return error(400, "InvalidAction", f"Could not find operation {operation}")
    if fault := _fault(operation, parameters):
        return error(400, "ValidationError", fault)
    if parameters["AutoScalingGroupName"] != hook.group:
        return error(400, "ValidationError", "AutoScalingGroup name not found - no such group")
    if parameters["LifecycleHookName"] != hook.name:
        return error(400, "ValidationError", f"No Lifecycle Hook found with name {hook.name}")
    if parameters.get("InstanceId") != instance_id or not hook.take(operation, parameters):
        told = parameters.get("InstanceId", "")
        text = f"No active Lifecycle Action found with instance ID {told}"
        return error(400, "ValidationError", text)
    output = _model().operation_model(operation).output_shape
    result = f"<{output.serialization['resultWrapper']}/>"
    return 200, _xml(f"{operation}Response", f"{result}<ResponseMetadata>{ID}</ResponseMetadata>")


ID = "<RequestId>7c6e177f-f082-11e1-ac58-3714bEXAMPLE</RequestId>"


def error(status: int, code: str, message: str = "") -> Answer:
    kind = "Receiver" if status >= 500 else "Sender"
    text = escape(message or MESSAGES.get(code, "…"))
    told = f"<Type>{kind}</Type><Code>{code}</Code><Message>{text}</Message>"
    return status, _xml("ErrorResponse", f"<Error>{told}</Error>{ID}")


def _xml(name: str, content: str) -> str:
    return f'<{name} xmlns="{_model().metadata["xmlNamespace"]}">{content}</{name}>'


def _fault(operation: str, parameters: dict[str, str]) -> str:
    """What the model has against these parameters; all of these operations' are strings."""
    method = xform_name(operation)
    with _one_at_a_time, Stubber(_client()) as stubber:
        stubber.add_response(method, {}, dict(parameters))
        try:
            getattr(_client(), method)(**parameters)
        except BotoCoreError as fault:
            return str(fault)
    members = _model().operation_model(operation).input_shape.members
    for name, value in parameters.items():
        limits = members[name].metadata
        if len(value) > limits.get("max", len(value)):
            return f"{name} is too long"
        pattern = limits.get("pattern", "")
        if "u0020" not in pattern and pattern and not re.fullmatch(pattern, value):
            return f"{name} does not match {pattern}"
    if parameters.get("LifecycleActionResult", "CONTINUE") not in ("CONTINUE", "ABANDON"):
        return "LifecycleActionResult must be CONTINUE or ABANDON"
    return ""


_one_at_a_time = threading.Lock()


@cache
def _client() -> Any:
    return botocore.session.get_session().create_client(
        "autoscaling", "eu-north-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


def _model() -> Any:
    return _client().meta.service_model
