"""The whole OpenAPI document, fuzzed: whatever is sent, there is no server error, and every answer
has the documented shape."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzzing import examples
from tests.service import Service, User, jpeg, new_address


@pytest.fixture(scope="module")
def fuzzer(service: Service) -> Iterator[User]:
    """Somebody with an album, a photo and a share link, so that right ids are found too."""
    with service.new_user() as user:
        album = user.album()["id"]
        user.upload(jpeg(), album)
        user.api.post(f"/albums/{album}/share")
        yield user


CONFORMANCE = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.fuzz
def test_no_request_breaks_the_service(service: Service, fuzzer: User) -> None:
    token = fuzzer.api.headers["Authorization"]
    headers = {"Authorization": token, "X-Forwarded-For": new_address()}
    document = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) > 30
    for operation in operations:

        @examples(12)
        @given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            answer = case.call(
                base_url=service.url, headers=headers, allow_redirects=False, timeout=20
            )
            if answer.status_code >= 500:
                assert answer.status_code == 503, answer.text
                assert "Retry-After" in answer.headers
            case.validate_response(answer, checks=CONFORMANCE)

        holds()
