"""CORS and lifecycle rules of an S3 bucket as the service needs them, beside those that are there
already ("Elements of a CORS configuration", "Lifecycle configuration elements" in Amazon's S3 user
guide). Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, tostring

from photo_api.contract import OF_BYTES_READABLE
from photo_base.origins import ANY, as_stores_know
from photo_base.preflight import STRANGER

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
READS, WRITES = ("GET", "HEAD"), ("GET", "HEAD", "PUT")
SENT = {"GET": ("range",), "PUT": ("content-type", "x-amz-checksum-sha256")}
"""Headers of a request for which a browser asks leave."""
KEPT = ("photos/", "renditions/")
STAGING = "staging/"


class NotRules(ValueError):
    """The store's answer is no document of rules."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`document` is to be put in place of what is there; None: nothing is. `told` says why."""

    document: bytes | None
    told: str


def plan_cors(current: bytes | None, origins: Sequence[str], *, exact: bool) -> Plan:
    """Rules by which anyone may look (signed URLs decide) and only `origins` may upload. What is
    there stays, and what is not allowed by it is added, unless they are to be `exact`. Raises
    `NotRules`."""
    origins = as_stores_know(origins)
    rules = _rules(current, "CORSRule") if current else []
    wanted = [*([_cors_rule(origins, WRITES)] if origins else []), _cors_rule([ANY], READS)]
    if not rules or exact:
        if sorted(map(_essence, rules)) == sorted(map(_essence, wanted)):
            return Plan(None, _cors_told(origins))
        return Plan(_document("CORSConfiguration", wanted), _cors_told(origins))
    lacking = [one for one in origins if not all(_grants(rules, one, how) for how in SENT)]
    if lacking:
        # First and with all methods: SeaweedFS answers a preflight by the first rule whose origin
        # fits.
        rules = [_cors_rule(lacking, WRITES), *rules]
        return Plan(_document("CORSConfiguration", rules), f"added for {', '.join(lacking)}")
    if ANY not in origins and _grants(rules, STRANGER, "PUT"):
        return Plan(None, "pages of any origin may upload with a signed URL: --exact ends that")
    return Plan(None, _cors_told(origins))


def _cors_told(origins: Sequence[str]) -> str:
    return f"GET and HEAD for all pages, PUT for those of {', '.join(origins) or 'no origin'}"


def _cors_rule(origins: Sequence[str], methods: Sequence[str]) -> Element:
    rule = Element("CORSRule")
    for tag, texts in (
        ("AllowedOrigin", origins),
        ("AllowedMethod", methods),
        ("AllowedHeader", (ANY,)),
        ("ExposeHeader", ("ETag", *OF_BYTES_READABLE)),
        ("MaxAgeSeconds", ("3000",)),
    ):
        for text in texts:
            SubElement(rule, tag).text = text
    return rule


def _grants(rules: Sequence[Element], origin: str, method: str) -> bool:
    return any(
        method in _texts(rule, "AllowedMethod")
        and any(fnmatchcase(origin, one) for one in _texts(rule, "AllowedOrigin"))
        and all(
            any(fnmatchcase(sent, one.lower()) for one in _texts(rule, "AllowedHeader"))
            for sent in SENT[method]
        )
        for rule in rules
    )


def plan_lifecycle(current: bytes | None, days: int) -> Plan:
    """What is unfinished goes after `days` at the latest: a second net, for the sweep is there
    before. Whoever has rules of their own for that keeps them. Raises `NotRules`."""
    rules = _rules(current, "Rule") if current else []
    added = []
    if not any(_for_all(rule, "") and _days(rule, ABORT) for rule in rules):
        added.append(_lifecycle_rule("photo-api-unfinished", "", ABORT, days))
    if not any(_for_all(rule, STAGING) and _days(rule, EXPIRE) for rule in rules):
        added.append(_lifecycle_rule("photo-api-staging", STAGING, EXPIRE, days))
    if not added:
        return Plan(None, "unfinished uploads and what is staged go by rules that are there")
    what = f"unfinished uploads and what is in {STAGING} go after {days} days"
    return Plan(_document("LifecycleConfiguration", [*rules, *added]), what)


ABORT, EXPIRE = "AbortIncompleteMultipartUpload/DaysAfterInitiation", "Expiration/Days"


def faults_of_lifecycle(current: bytes | None, days: int) -> Iterator[str]:
    """What of these rules does harm, and what is missing. Raises `NotRules`."""
    rules = _rules(current, "Rule") if current else []
    for rule in (rule for rule in rules if _is_on(rule)):
        name, prefix = rule.findtext("ID") or "without a name", _prefix(rule)
        gone = rule.find("Expiration/Days") is not None or rule.find("Expiration/Date") is not None
        hits = [one for one in KEPT if one.startswith(prefix) or prefix.startswith(one)]
        if gone and hits:
            yield f"the rule {name} deletes objects in {' and '.join(hits)}: photos get lost"
        least = _days(rule, EXPIRE)
        if least and STAGING.startswith(prefix) and least < days - 1:
            yield f"the rule {name} deletes what is in {STAGING} while it may still be confirmed"
    if plan_lifecycle(current, days).document is not None:
        yield "there is no rule for unfinished uploads, or for what is in staging"


def _lifecycle_rule(name: str, prefix: str, what: str, days: int) -> Element:
    rule, (action, limit) = Element("Rule"), what.split("/")
    SubElement(rule, "ID").text = name
    SubElement(SubElement(rule, "Filter"), "Prefix").text = prefix
    SubElement(rule, "Status").text = "Enabled"
    SubElement(SubElement(rule, action), limit).text = str(days)
    return rule


def _is_on(rule: Element) -> bool:
    return rule.findtext("Status") == "Enabled"


def _prefix(rule: Element) -> str:
    found = (rule.findtext(path) for path in ("Filter/Prefix", "Filter/And/Prefix", "Prefix"))
    return next(filter(None, found), "") or ""


def _for_all(rule: Element, prefix: str) -> bool:
    """Whether it is in force for all objects under this prefix."""
    filtered = rule.find("Filter")
    conditions = {one.tag for one in filtered} if filtered is not None else set()
    return _is_on(rule) and prefix.startswith(_prefix(rule)) and conditions <= {"Prefix"}


def _days(rule: Element, path: str) -> int:
    text = rule.findtext(path) or ""
    return int(text) if text.isdecimal() else 0


def _rules(document: bytes, tag: str) -> list[Element]:
    try:
        root = fromstring(document)
    except ParseError as error:
        raise NotRules("the store's answer is not XML") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root.findall(tag)


def _document(tag: str, rules: Sequence[Element]) -> bytes:
    inside = b"".join(map(tostring, rules))
    return f'<{tag} xmlns="{NAMESPACE}">'.encode() + inside + f"</{tag}>".encode()


def _texts(rule: Element, tag: str) -> list[str]:
    return [found.text or "" for found in rule.findall(tag)]


def _essence(rule: Element) -> tuple[list[str], ...]:
    return tuple(sorted(_texts(rule, f"Allowed{what}")) for what in ("Origin", "Method", "Header"))
