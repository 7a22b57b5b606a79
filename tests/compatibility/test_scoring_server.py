"""The scoring server answers as azureml-inference-server-http does, but for the differences that have a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.compatibility import scoring_server
from tests.scoring.replicas import replica_of

pytest.importorskip("inference_schema")


@contextmanager
def ours(text: str) -> Iterator[httpx.Client]:
    with replica_of(text) as replica:
        yield replica.client


def test_every_difference_from_azures_server_has_a_reason() -> None:
    recorded: scoring_server.Answers = json.loads(scoring_server.RECORD.read_text())
    found = scoring_server.differences(recorded, scoring_server.answers(ours))
    without, stale = scoring_server.unexplained(found)
    assert without == {}, f"give each a reason in {scoring_server.DIFFERENCES.name}, or answer as the original does"
    assert stale == [], "these are no differences any more"
