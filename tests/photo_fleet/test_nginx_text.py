"""The rendered configuration, word for word, and that nginx takes it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from photo_api.errors import Code
from photo_fleet.render import nginx, nginx_edge
from photo_fleet.render.nginx_errors import edge_errors
from photo_fleet.render.nginx_members import members_file
from photo_fleet.render.places import Places
from photo_fleet.spec.edge import Edge
from photo_fleet.spec.fleet import (
    Balancer,
    Fleet,
    RateLimit,
    RateLimits,
    Service,
    Tls,
)
from photo_fleet.spec.store import Store, Swift
from tests.photo_fleet.golden_files import assert_golden
from tests.photo_fleet.nginx_stage import refused_configuration, short_folder, write_files

OTHER = Balancer(
    algorithm="least-connections",
    server_name="photos.example.org www.example.org",
    trusted_hops=("10.0.0.0/8", "2001:db8::1"),
    store="https://s3.example.org",
    bucket="my.photos",
    tls=Tls("/etc/ssl/photos.pem", "/etc/ssl/photos.key"),
    rate_limits=RateLimits(read=RateLimit(0.5, 0), edit=RateLimit(1, 0, 7)),
    buffer_uploads=False,
    read_timeout=25.5,
)
VARIANTS = {
    "default": (Fleet(), Places()),
    "tls": (
        Fleet(
            service=Service(cors_origins=("https://www.example.org", "http://localhost:*")),
            balancer=OTHER,
        ),
        Places(resolver="10.0.0.2", user="www-data", tls_port=8443),
    ),
    "reload": (
        Fleet(balancer=Balancer(membership="reload", store="http://10.0.0.5:8333")),
        Places(),
    ),
    "edge": (
        Fleet(
            service=Service(cors_origins=("https://www.example.org",)),
            balancer=Balancer(store="http://10.0.0.5:8333"),
            edge=Edge(on=True),
        ),
        Places(),
    ),
    "edge-swift": (
        Fleet(
            balancer=Balancer(membership="reload"),
            store=Store("swift", Swift(account="https://swift.example.org/v1/AUTH_1234")),
            edge=Edge(on=True, size=100 * 2**30, inactive=3600, fresh=600, slice=2**18),
        ),
        Places(resolver="10.0.0.2"),
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_text_is_exactly_this(variant: str) -> None:
    fleet, places = VARIANTS[variant]
    rendered = nginx.files(fleet, places)
    assert rendered == nginx.files(fleet, places)
    assert_golden(
        f"nginx/{variant}",
        {name: text for name, text in rendered.items() if name.endswith(".conf")},
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_only_answers_does_so_whatever_the_request_s_size(variant: str) -> None:
    text = nginx.files(*VARIANTS[variant])["nginx.conf"]
    lines = [line.strip() for line in text.splitlines()]
    after = {then for line, then in pairwise(lines) if line == "internal;"}
    assert after == {"client_max_body_size 0;"}


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("variant", VARIANTS)
def test_nginx_takes_it(variant: str) -> None:
    fleet, places = VARIANTS[variant]
    with short_folder() as folder:
        tls = Tls(str(folder / "cert.pem"), str(folder / "key.pem")) if variant == "tls" else Tls()
        fleet = replace(fleet, balancer=replace(fleet.balancer, tls=tls))
        places = replace(Places.below(folder, 8080), resolver=places.resolver, tls_port=8443)
        write_files(fleet, places)
        if variant == "tls":
            write_certificate(folder)
        Path(places.members_include).write_text(nginx.no_members(fleet))
        assert refused_configuration(places) == ""


def write_certificate(folder: Path) -> None:
    """`cert.pem` and `key.pem` for localhost."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def test_without_lua_there_is_no_lua_and_it_is_said() -> None:
    fleet, places = VARIANTS["reload"]
    rendered = nginx.files(fleet, places)
    assert not any("lua" in name for name in rendered)
    assert "lua_" not in rendered["nginx.conf"]
    assert any("reload" in note for note in nginx.notes(fleet))
    assert not any("reload" in note for note in nginx.notes(Fleet()))


def test_plain_http_and_unbuffered_uploads_are_noted() -> None:
    assert any("balancer.tls.certificate" in note for note in nginx.notes(Fleet()))
    assert [note.split(":")[0] for note in nginx.notes(VARIANTS["tls"][0])] == [
        "uploads are not buffered"
    ]


def test_a_store_may_be_of_an_authority_of_one_s_own() -> None:
    balancer = Balancer(store="https://s3.example.org", store_ca="/etc/ssl/private-ca.pem")
    told = "".join(nginx.files(Fleet(balancer=balancer), Places()).values())
    assert "proxy_ssl_verify on;" in told
    assert "proxy_ssl_trusted_certificate /etc/ssl/private-ca.pem;" in told


def test_a_file_of_members_is_the_same_for_the_same_set() -> None:
    fleet = VARIANTS["reload"][0]
    text = members_file(fleet, ["10.0.0.2:8000", "10.0.0.1:8000"])
    assert text == members_file(fleet, ["10.0.0.1:8000", "10.0.0.2:8000"])
    assert "server 10.0.0.1:8000 max_fails=3 fail_timeout=10s;" in text
    with pytest.raises(ValueError, match="a member"):
        members_file(fleet, ["10.0.0.1:8000; return 200"])


@pytest.mark.parametrize(
    ("balancer", "complaint"),
    [
        (Balancer(server_name="a;b"), "balancer.server_name"),
        (Balancer(tls=Tls("/etc/a b.pem", "/k")), "balancer.tls.certificate"),
        (Balancer(store="10.0.0.5:8333"), "balancer.store"),
        (Balancer(store="http://10.0.0.5/folder"), "balancer.store"),
        (Balancer(store="http://10.0.0.5", bucket="api"), "balancer.bucket"),
        (Balancer(store="http://10.0.0.5", bucket="cdn"), "balancer.bucket"),
        (Balancer(trusted_hops=("everybody",)), "everybody"),
    ],
)
def test_what_nginx_would_misunderstand_is_refused(balancer: Balancer, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        nginx.files(Fleet(balancer=balancer), Places())


@pytest.mark.parametrize(
    ("fleet", "complaint"),
    [
        (Fleet(edge=Edge(on=True)), "balancer.store"),
        (Fleet(edge=Edge(on=True), store=Store("swift")), "store.swift.account"),
    ],
)
def test_an_edge_before_no_store_is_refused(fleet: Fleet, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        nginx.files(fleet, Places())


def test_nginx_s_errors_have_the_service_s_codes() -> None:
    """Where the service has an error of that status that says the same."""
    known = {code.wire: int(code.status) for code in Code}
    own = {"bad_gateway": 502, "gateway_timeout": 504, "precondition_failed": 412}
    own |= {"link_invalid": 403, "link_expired": 410}
    for error in (*edge_errors(Balancer()), *nginx_edge.ERRORS):
        if error.status != 414:
            assert (known | own)[error.code] == error.status
