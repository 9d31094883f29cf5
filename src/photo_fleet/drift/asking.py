"""Questions to AWS, each bounded in time and in what it may answer. The only place that knows
botocore, which the extra `aws` brings."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from photo_base.log_lines import printable

CONNECT, READ, ATTEMPTS, TOTAL = 3.0, 10.0, 3, 90.0
"""Seconds for a connection and between two pieces of an answer, tries of a question, and seconds
for all questions together."""
MOST = 2000
"""Items of a list; one that is longer counts as unread."""
LARGEST = 8 * 1024 * 1024
"""Bytes of an answer, as it comes and unpacked; the longest of a group's take a hundredth."""
LONGEST_NAME = 64
DENIED = frozenset(("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"))
REFUSED = frozenset(
    (
        *("AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"),
        *("RequestExpired", "SignatureDoesNotMatch", "UnrecognizedClientException"),
    )
)
"""Codes of credentials that AWS does not take."""

_NETWORK = "look at the network, at AWS_ENDPOINT_URL and at proxies"

Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read: it may be there or not, right or wrong. `remedy` is what to do to
    read it."""

    why: str
    remedy: str


class Incomplete(Exception):
    """An answer that botocore takes for an empty one: a part of it, or a page of a proxy."""


class TooMuch(Exception):
    """An answer that has more than `LARGEST` bytes."""


class Aws:
    """An account's region, by the usual environment and files of AWS; `region` None: by these too.
    Whatever goes wrong is an `Unread`."""

    def __init__(self, region: str | None, total: float = TOTAL) -> None:
        from botocore.session import Session

        self._session = Session()
        self._region = region
        self._clients: dict[str, Any] = {}
        self._end = time.monotonic() + total

    def one(self, service: str, operation: str, *absent: str, **parameters: Any) -> Any:
        """The answer; None where AWS says by one of the codes `absent` that there is no such
        thing."""
        return self._bounded(
            service,
            operation,
            lambda: getattr(self.client(service), operation)(**parameters),
            absent,
        )

    def all(self, service: str, operation: str, key: str, *absent: str, **parameters: Any) -> Any:
        """The items under `key` of all pages; none of them where AWS says by one of the codes
        `absent` that there is no such thing."""

        def read() -> Any:
            items: list[Any] = []
            for page in self.client(service).get_paginator(operation).paginate(**parameters):
                if key not in page:
                    raise Incomplete(key)
                items += page[key] or ()
                if len(items) > MOST:
                    return Unread(f"there are more than {MOST} of them", "remove what is not used")
            return items

        found = self._bounded(service, operation, read, absent)
        return [] if found is None else found

    def client(self, service: str) -> Any:
        """botocore's, made once."""
        if service not in self._clients:
            from botocore.config import Config

            retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
            config = Config(connect_timeout=CONNECT, read_timeout=READ, retries=retries)
            client = self._session.create_client(service, region_name=self._region, config=config)
            client.meta.events.register("before-send", partial(_send, client))
            client.meta.events.register("response-received", _look_at_form)
            self._clients[service] = client
        return self._clients[service]

    def _bounded(self, service: str, operation: str, call: Call, absent: tuple[str, ...]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        action = _permission(service, operation)
        try:
            return _within(self._end - time.monotonic(), call)
        except TimeoutError:
            return Unread(
                f"{service} did not answer {action} before the time for all questions was over",
                "look at the network",
            )
        except ClientError as error:
            code = printable(str(error.response.get("Error", {}).get("Code", "")))[:LONGEST_NAME]
            return None if code in absent else _answered(service, action, code)
        except BotoCoreError as error:
            return _failed(service, type(error).__name__)
        except TooMuch:
            return Unread(f"{service} answered {action} with more than {LARGEST} bytes", _NETWORK)
        except Exception as error:
            # Its parsers raise whatever comes up at an answer that is none of AWS's.
            name = type(error).__name__
            return Unread(f"{service} answered what is no answer of AWS ({name})", _NETWORK)


def _send(client: Any, request: Any, **_: Any) -> Any:
    """In botocore's place, which reads whatever comes. Raises `TooMuch`, and what botocore makes of
    a connection that breaks, so that it tries again."""
    from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
    from urllib3.exceptions import HTTPError
    from urllib3.exceptions import ReadTimeoutError as NothingMore

    request.stream_output = True  # it leaves the body to us then
    answer = client._endpoint.http_session.send(request)
    try:
        answer._content = _bounded_body(answer.raw)
    except NothingMore as error:
        raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
    except HTTPError as error:
        raise ConnectionClosedError(endpoint_url=request.url, error=error) from error
    return answer


def _bounded_body(raw: Any) -> bytes:
    content = bytearray()
    for piece in raw.stream(64 * 1024):
        content += piece
        if len(content) > LARGEST:
            raw.close()
            raise TooMuch
    return bytes(content)


def _look_at_form(response_dict: Any, event_name: str, **_: Any) -> None:
    """Of a good answer, which names its operation where it is XML, and is an object where it is
    JSON. Raises `Incomplete`."""
    if response_dict is None or response_dict["status_code"] >= 300:
        return
    body, operation = response_dict["body"], event_name.rpartition(".")[2]
    form = response_dict["headers"].get("Content-Type", "")
    if "cbor" in form:  # which botocore cannot read a part of
        return
    root = rb"\s*(<\?[^>]*\?>\s*)?<" + operation.encode() + rb"Response[\s>]"
    if not re.match(root, body) and not _is_object(body):
        raise Incomplete(operation)


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _within(seconds: float, call: Call) -> Any:
    """What `call` returns or raises, or TimeoutError. Its thread is left behind then: botocore
    bounds the wait for each piece of an answer, and not for all of them."""
    done: SimpleQueue[tuple[Any, Exception | None]] = SimpleQueue()

    def run() -> None:
        try:
            done.put((call(), None))
        except Exception as error:
            done.put((None, error))

    if seconds <= 0:
        raise TimeoutError
    Thread(target=run, daemon=True).start()
    try:
        answer, error = done.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return answer


def _permission(service: str, operation: str) -> str:
    """The action as IAM calls it."""
    prefix = {"elbv2": "elasticloadbalancing"}.get(service, service)
    name = "".join(word.capitalize() for word in operation.split("_"))
    return f"{prefix}:{name.replace('WebAcl', 'WebACL')}"


def _answered(service: str, action: str, code: str) -> Unread:
    if code in DENIED:
        return Unread(f"these credentials may not {action} ({code})", f"allow {action} to them")
    if code in REFUSED:
        return Unread(
            f"AWS does not take these credentials ({code})",
            "log in again, or name others (AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret)",
        )
    if "Throttl" in code or code == "RequestLimitExceeded":
        why = f"{service} said {ATTEMPTS} times that it is asked too often ({code})"
        return Unread(why, "wait a little")
    return Unread(f"{service} answered {action} with {code or 'an error'}", "look what it means")


def _failed(service: str, name: str) -> Unread:
    """By the name of botocore's exception, whose text may quote what a file of credentials says."""
    if any(word in name for word in ("Credential", "Profile", "Token", "Config", "Login")):
        return Unread(
            f"no usable credentials of AWS ({name})",
            "log in, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if "Region" in name:
        return Unread(f"no usable region ({name})", "say --region, or set AWS_REGION")
    return Unread(f"{service} does not answer ({name})", _NETWORK)
