"""What an nginx host tells Prometheus: nginx's members, and until when its certificate is valid."""

from collections.abc import Mapping
from pathlib import Path

from photo_fleet.balancer.follow import Balance

MEMBERS = "photo_fleet_members"
EXPIRES = "photo_fleet_certificate_expires_timestamp_seconds"
DESIRED = "photo_fleet_desired_instances"
MEANINGS = {
    DESIRED: "Instances that the group wants at the moment.",
    MEMBERS: "Instances that nginx sends requests to.",
    EXPIRES: "When the certificate of this host expires, in epoch seconds.",
}


def text(balance: Balance, certificate: str = "", desired: int | None = None) -> str:
    """In Prometheus's text format; `desired` where this process runs the group. What cannot be
    known is left out: the number of members while nginx does not answer, and the end of a
    certificate that cannot be read."""
    numbers: dict[str, float] = {}
    if balance.state()["nginx"]:
        numbers[MEMBERS] = len(balance.members)
    if desired is not None:
        numbers[DESIRED] = desired
    if certificate and (end := expires(Path(certificate))) is not None:
        numbers[EXPIRES] = end
    return written(numbers)


def written(numbers: Mapping[str, float]) -> str:
    """Gauges of this module in Prometheus's text format."""
    return "".join(
        f"# HELP {name} {MEANINGS[name]}\n# TYPE {name} gauge\n{name} {number:.0f}\n"
        for name, number in numbers.items()
    )


def expires(file: Path) -> float | None:
    """When the first certificate of a PEM file expires, which is the server's own, in epoch
    seconds; None when it cannot be read."""
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return None
