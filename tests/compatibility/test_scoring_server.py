"""The scoring server answers as azureml-inference-server-http does, but for the differences that have a reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.compatibility import scoring_server
from tests.compatibility.scoring_requests import SERVERS
from tests.scoring.replicas import replica_of

pytest.importorskip("inference_schema")


@contextmanager
def replicas() -> Iterator[dict[str, scoring_server.Served]]:
    with ExitStack() as stack:
        found = {}
        for name, server in SERVERS.items():
            replica = stack.enter_context(replica_of(server.script, **server.environment))
            found[name] = scoring_server.Served(replica.client, replica.log)
        yield found


def our_answers() -> scoring_server.Answers:
    with replicas() as servers:
        return scoring_server.answers(servers) | scoring_server.script_starts(sys.executable, "ours")


def test_every_difference_from_azures_server_has_a_reason(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(
            lambda: scoring_server.original_answers(scoring_server.install_original(tmp_path / "azure"))
        )
        ours = our_answers()
    found = scoring_server.differences(theirs.result(), ours)
    without, stale = scoring_server.unexplained(found)
    assert without == {}, "give each a reason in docs/scoring-scripts.md, or answer as the original does"
    assert stale == [], "these are no differences any more: remove them from docs/scoring-scripts.md"
