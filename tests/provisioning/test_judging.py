"""Each judgement about a store is seen to pass, to fail, and to be unsure."""

import pytest

from photo_api.provisioning import judging
from photo_api.provisioning.findings import Finding, as_text, exit_code
from photo_api.provisioning.s3_rules import NotRules, faults_of_lifecycle, plan_cors
from photo_api.provisioning.swift_rules import Wanted
from photo_base.clock import Offset

DAY = 86400.0


@pytest.mark.parametrize(
    ("offset", "state"),
    [
        (Offset(0.2, 0.5), "ok"),
        (Offset(-250, 1), "ok"),
        (Offset(302, 1), "wrong"),
        (Offset(-4000, 2), "wrong"),
        (Offset(295, 30), "unknown"),
        (None, "unknown"),
    ],
)
def test_clock(offset: Offset | None, state: str) -> None:
    assert judging.clock(offset).state == state


@pytest.mark.parametrize(
    ("address", "ends", "clients", "state"),
    [
        ("https://s3.example.org", 30 * DAY, True, "ok"),
        ("https://s3.example.org", 2 * DAY, True, "wrong"),
        ("https://s3.example.org", None, True, "unknown"),
        ("http://s3.example.org", None, False, "wrong"),
        ("http://127.0.0.1:8333", None, True, "ok"),
        ("http://10.0.0.7", None, False, "ok"),
        ("http://10.0.0.7", None, True, "wrong"),
        ("http://store:8333", None, False, "ok"),
        ("http://8.8.8.8", None, False, "wrong"),
    ],
)
def test_tls(address: str, ends: float | None, clients: bool, state: str) -> None:
    assert judging.tls(address, ends, 0, clients=clients).state == state


@pytest.mark.parametrize(
    ("status", "detail", "state"),
    [
        (404, "NoSuchKey", "ok"),
        (400, "InvalidArgument", "warn"),  # "Only one auth mechanism allowed", as AWS says
        (403, "AccessDenied", "warn"),
        (503, "SlowDown", "unknown"),
    ],
)
def test_a_token_beside_a_signature(status: int, detail: str, state: str) -> None:
    found = judging.authorization(status, detail)
    assert (found.state, bool(found.fix)) == (state, state == "warn")
    assert exit_code([found]) == (2 if state == "unknown" else 0)


@pytest.mark.parametrize(
    ("listed", "is_list", "read", "not_found", "state"),
    [
        (403, False, 403, False, "ok"),
        (401, False, 401, False, "ok"),
        (200, True, 403, False, "wrong"),
        (403, False, 404, True, "wrong"),
        (403, False, 200, False, "wrong"),
        (503, False, 403, False, "unknown"),
        (403, False, 429, False, "unknown"),
        (301, False, 301, False, "unknown"),
    ],
)
def test_strangers(listed: int, is_list: bool, read: int, not_found: bool, state: str) -> None:
    found = judging.strangers("a", listed=listed, is_list=is_list, read=read, not_found=not_found)
    assert found.state == state


@pytest.mark.parametrize(
    ("status", "state"),
    [(404, "ok"), (401, "wrong"), (403, "wrong"), (200, "wrong"), (503, "unknown")],
)
def test_signed_url(status: int, state: str) -> None:
    assert judging.signed_url("GET", status, "").state == state


@pytest.mark.parametrize(
    ("configured", "allowed", "accepted", "state"),
    [
        ("auto", ["sha256"], "", "ok"),
        ("auto", [], "sha256", "ok"),
        ("auto", [], "sha1", "wrong"),
        ("auto", [], "", "unknown"),
        ("sha512", ["sha256"], "sha256", "wrong"),
        ("sha512", [], "sha512", "ok"),
    ],
)
def test_digest(configured: str, allowed: list[str], accepted: str, state: str) -> None:
    assert judging.digest(configured, allowed, accepted).state == state


@pytest.mark.parametrize(
    ("held", "state"),
    [(["a", ""], "ok"), (["", ""], "unknown"), (["b", ""], "wrong"), (["a", "b"], "wrong")],
)
def test_keys(held: list[str], state: str) -> None:
    names = ("x-container-meta-temp-url-key", "x-container-meta-temp-url-key-2")
    found = judging.keys(Wanted("photos", ("a",), ()), dict(zip(names, held, strict=True)))
    assert found.state == state


RULE = (
    "<LifecycleConfiguration><Rule><ID>r</ID><Status>{status}</Status>"
    "<Filter><Prefix>{prefix}</Prefix></Filter><Expiration><Days>{days}</Days></Expiration></Rule>"
    "</LifecycleConfiguration>"
)


@pytest.mark.parametrize(
    ("prefix", "days", "status", "told"),
    [
        ("", 400, "Enabled", "photos get lost"),
        ("photos/1/", 400, "Enabled", "photos get lost"),
        ("pho", 400, "Enabled", "photos get lost"),
        ("renditions/", 400, "Enabled", "photos get lost"),
        ("staging/", 1, "Enabled", "while it may still be confirmed"),
        ("logs/", 1, "Enabled", ""),
        ("", 400, "Disabled", ""),
        ("staging/", 7, "Enabled", ""),
    ],
)
def test_lifecycle(prefix: str, days: int, status: str, told: str) -> None:
    rules = RULE.format(prefix=prefix, days=days, status=status).encode()
    faults = [one for one in faults_of_lifecycle(rules, 3) if "there is no rule" not in one]
    assert [told] * bool(told) == [fault.partition(": ")[2] or fault[-31:] for fault in faults]


def test_an_answer_that_is_none_is_not_planned_on() -> None:
    with pytest.raises(NotRules):
        plan_cors(b"<html>", (), exact=False)


def test_what_is_wrong_counts_for_more_than_what_is_unknown() -> None:
    fine, odd = Finding("a", "ok", "x"), Finding("c", "unknown", "z\n\x1b[2J")
    wrong = Finding("b", "wrong", "y", "do it")
    assert [exit_code(found) for found in ([fine], [fine, odd], [odd, wrong])] == [0, 2, 1]
    assert "→ do it" in as_text([wrong])
    assert "\x1b" not in as_text([odd])
