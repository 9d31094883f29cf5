"""NHN Cloud Log & Crash Search, as its "API v2 guide" describes the collection of logs."""

import re
from typing import Any

import orjson

from photo_api.contract import RELEASE
from photo_api.http_exchange import Answer
from photo_api.settings.instance import LogSettings
from photo_api.telemetry.http_sink import LONGEST_REASON, HttpSink, Line
from photo_api.telemetry.loki import nanoseconds
from photo_api.telemetry.shipping import Outcome
from photo_base.log_lines import redact

PATH = "/v2/log"
TRIES = 3
LONGEST_FIELD = 1000
"""Bytes of a field of one's own, which may have 1 KB."""

KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
ELSEWHERE = {"time", "level", "message", "instance", "traceback"}


class LogAndCrash(HttpSink):
    """The answer tells of each line, in their order, whether it was taken. One that was not is sent
    again, `TRIES` times in all. Lines of a batch count as received at one moment: their order is
    kept by `lncBulkIndex`."""

    name = "nhn"
    zipped = False

    def __init__(self, settings: LogSettings) -> None:
        self._tried: dict[bytes, int] = {}
        super().__init__(settings.nhn_url + PATH, settings)

    def use(self, settings: LogSettings) -> None:
        self._app_key = settings.nhn_app_key
        super().use(settings)

    def headers(self, settings: LogSettings) -> dict[str, str]:
        return {}

    def body(self, lines: list[Line]) -> bytes:
        app_key = self._app_key
        return orjson.dumps([_item(app_key, number, line) for number, line in enumerate(lines)])

    def outcome(self, answer: Answer, lines: list[bytes]) -> Outcome | None:
        try:
            found = orjson.loads(answer.body)
            if not found["header"]["isSuccessful"]:
                raise OSError(f"result {int(found['header']['resultCode'])}")
            data = (found.get("body") or {}).get("data") or {}
            results = data.get("resultList") or []
            failed = int(data.get("errors") or 0)
            fine = [bool(one["isSuccessful"]) for one in results]
            words = next(
                (str(one.get("resultMessage")) for one in results if not one["isSuccessful"]), ""
            )
            words = redact(words[:LONGEST_REASON])
        except (ValueError, TypeError, KeyError, AttributeError):
            raise OSError("an answer of another form") from None
        if not failed and all(fine):
            self._tried = {}
            return None
        if len(fine) != len(lines):  # it cannot be said which
            return Outcome(min(failed, len(lines)), words)
        of_each = zip(lines, fine, strict=True)
        return self._of_each([line for line, taken in of_each if not taken], words)

    def _of_each(self, failed: list[bytes], reason: str) -> Outcome:
        tried = {line: self._tried.get(line, 0) + 1 for line in failed}
        self._tried = {line: count for line, count in tried.items() if count < TRIES}
        again = [line for line in failed if line in self._tried]
        return Outcome(len(failed) - len(again), reason, again)


def _item(app_key: str, number: int, line: Line) -> dict[str, Any]:
    text = line["message"]
    if "traceback" in line:
        text = f"{text}\n{line['traceback']}"
    own = {
        name: str(value).encode()[:LONGEST_FIELD].decode(errors="ignore")
        for name, value in line.items()
        if name not in ELSEWHERE and value is not None and KEY.fullmatch(name)
    }
    return {
        **own,
        "projectName": app_key,
        "projectVersion": line.get("version", RELEASE),
        "logVersion": "v2",
        "logType": "log",
        "logSource": "photo-api",
        "logLevel": line["level"],
        "body": text,
        "host": line.get("instance", ""),
        "sendTime": nanoseconds(line["time"]) // 10**6,
        "lncBulkIndex": number,
    }
