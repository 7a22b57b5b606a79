"""Joint runs behind the router: they happen where a version asks for them, and everybody gets the own answer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.system.conftest import Machine

pytestmark = pytest.mark.system
SHARES_MACHINE = True

# Answers for each row its sum and how many rows its run had.
ROWS = """
    import time
    import numpy as np
    from inference_schema.schema_decorators import input_schema
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType

    def init():
        pass

    @input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
    def run(data):
        time.sleep(0.01)
        return [[float(row.sum()), len(data)] for row in data]
    """
CLIENTS, EACH = 12, 12


def answers(uri: str) -> tuple[set[bool], int]:
    """Ask from several clients at once; return whether each got the sums of its own rows, and the longest run."""

    def ask(client_number: int) -> list[tuple[bool, int]]:
        found = []
        with httpx.Client() as client:
            for number in range(EACH):
                rows = [[client_number, number + row] for row in range(1 + number % 3)]
                answer = client.post(uri, json={"data": rows})
                assert answer.status_code == 200, answer.text
                result = json.loads(answer.content)
                right = [one[0] for one in result] == [float(sum(row)) for row in rows]
                found.append((right, max(one[1] for one in result)))
        return found

    with ThreadPoolExecutor(CLIENTS) as clients:
        found = [one for part in clients.map(ask, range(CLIENTS)) for one in part]
    return {right for right, _ in found}, max(rows for _, rows in found)


@pytest.mark.parametrize(("batching", "joined"), [(True, True), (None, False), (False, False)])
def test_a_version_says_whether_requests_are_joined(machine: Machine, batching: bool | None, joined: bool) -> None:
    version = {} if batching is None else {"batching": batching}
    record = machine.healthy(machine.spec(script=ROWS, limits={"maxQueueWaitMs": 30_000}, **version))
    right, longest = answers(record.status.scoring_uri)
    assert right == {True}
    assert (longest > 3) is joined
