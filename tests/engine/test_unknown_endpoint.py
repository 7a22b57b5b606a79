"""The sentence about an endpoint that does not exist."""

from __future__ import annotations

import pytest

from mljupyter.client.errors import EndpointNotFoundError
from mljupyter.engine.endpoints.unknown_endpoint import unknown_endpoint

MANY = [f"endpoint-{number}" for number in range(1, 11)]


@pytest.mark.parametrize(
    ("name", "known", "rest"),
    [
        ("diabets", ["iris", "diabetes"], " Did you mean 'diabetes'?"),
        ("wine", ["iris", "diabetes"], " Known: diabetes, iris."),
        ("wine", [], " There are none yet."),
        ("wine", MANY, f" Known: {', '.join(sorted(MANY)[:8])} and 2 more."),
    ],
)
def test_an_unknown_endpoint_is_answered_with_the_nearest_name_or_those_that_there_are(
    name: str, known: list[str], rest: str
) -> None:
    assert unknown_endpoint(name, known) == f"There is no endpoint {name!r} in this workspace.{rest}"


def test_the_error_has_the_code_that_programs_search_for_and_the_same_sentence() -> None:
    said = str(EndpointNotFoundError.named("diabets", ["diabetes"], "on compute target 'team'"))
    assert said == (
        "WebserviceNotFound: There is no endpoint 'diabets' on compute target 'team'. Did you mean 'diabetes'?"
    )
