"""AWS WAF before the balancer: the spec's rates for each address, as near as WAF has them.

From "Rate-based rule statements" and "Rate-based rule caveats" (AWS WAF developer guide): it counts
over a window of 1, 2, 5 or 10 minutes and acts within seconds to minutes, so that there is no queue
and no limit of a second.
"""

from typing import Final

from photo_fleet.render import request_classes as paths
from photo_fleet.render.aws.intrinsics import Resource, attribute, ref
from photo_fleet.render.nginx_errors import edge_error, refusal_body
from photo_fleet.render.yaml_text import Node
from photo_fleet.spec.fleet import Fleet, RateLimit

WINDOWS: Final = (60, 120, 300, 600)
"""Seconds that WAF may count over."""

LEAST: Final = 10
"""Requests in a window: WAF takes no lower limit."""

CLASSES: Final = ("auth", "image", "share", "upload", "edit", "read")

_RETRY_AFTER: Final = "30"
"""Seconds: WAF lets an address in again as late as this."""

_BODY: Final = "too-many"


def resources(fleet: Fleet) -> Resource:
    """By their names in the template."""
    return {
        "Firewall": {
            "Type": "AWS::WAFv2::WebACL",
            "Properties": {
                "Scope": "REGIONAL",
                "DefaultAction": {"Allow": {}},
                "CustomResponseBodies": {
                    _BODY: {
                        "ContentType": "APPLICATION_JSON",
                        "Content": refusal_body(edge_error(fleet.balancer, 429)),
                    }
                },
                "Rules": [_rule(fleet, place, name) for place, name in enumerate(CLASSES)],
                "VisibilityConfig": _seen_as(f"{fleet.name}-firewall"),
            },
        },
        "FirewallOfBalancer": {
            "Type": "AWS::WAFv2::WebACLAssociation",
            "Properties": {
                "ResourceArn": ref("Balancer"),
                "WebACLArn": attribute("Firewall", "Arn"),
            },
        },
    }


def limit_of(rate: RateLimit) -> tuple[int, int] | None:
    """So many requests in a window of so many seconds as the spec lets through: the shortest window
    that WAF takes it for; None when there is none."""
    for window in WINDOWS:
        if (most := int(rate.rate * window + rate.burst)) >= LEAST:
            return most, window
    return None


def _rule(fleet: Fleet, place: int, name: str) -> Resource:
    """A rate that WAF cannot have is replaced by the lowest that it can."""
    most, window = limit_of(getattr(fleet.balancer.rate_limits, name)) or (LEAST, WINDOWS[-1])
    return {
        "Name": name,
        "Priority": place,
        "Statement": {
            "RateBasedStatement": {
                "Limit": most,
                "EvaluationWindowSec": window,
                "AggregateKeyType": "IP",
                "ScopeDownStatement": _scope(name),
            }
        },
        "Action": {
            "Block": {
                "CustomResponse": {
                    "ResponseCode": 429,
                    "CustomResponseBodyKey": _BODY,
                    "ResponseHeaders": [{"Name": "Retry-After", "Value": _RETRY_AFTER}],
                }
            }
        },
        "VisibilityConfig": _seen_as(f"{fleet.name}-{name}"),
    }


def _scope(name: str) -> Resource:
    """Requests of the class. No class uses up another's rate."""
    match name:
        case "auth":
            return _path(paths.LOGIN)
        case "image":
            return _path(paths.IMAGE)
        case "share":
            return _all(_path(paths.SHARE), _no(_path(paths.IMAGE)))
        case "upload":
            return _all(_no(_READS), _any(_path(paths.FORM), _path(paths.DIRECT_UPLOAD)))
        case "edit":
            mine = (paths.LOGIN, paths.SHARE, paths.IMAGE, paths.FORM, paths.DIRECT_UPLOAD)
            return _all(_no(_READS), _no(_any(*map(_path, mine))))
    return _all(_READS, _no(_any(*map(_path, (paths.LOGIN, paths.SHARE, paths.IMAGE)))))


def _path(expression: str) -> Resource:
    """However it is escaped."""
    return _matches("UriPath", expression, "URL_DECODE")


def _matches(field: str, expression: str, transformation: str) -> Resource:
    return {
        "RegexMatchStatement": {
            "FieldToMatch": {field: {}},
            "RegexString": expression,
            "TextTransformations": [{"Priority": 0, "Type": transformation}],
        }
    }


_READS: Final = _matches("Method", paths.READING, "NONE")


def _all(*statements: Node) -> Resource:
    return {"AndStatement": {"Statements": statements}}


def _any(*statements: Node) -> Resource:
    return {"OrStatement": {"Statements": statements}}


def _no(statement: Node) -> Resource:
    return {"NotStatement": {"Statement": statement}}


def _seen_as(name: str) -> Node:
    return {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": name}
