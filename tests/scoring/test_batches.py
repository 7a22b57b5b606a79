"""Batches in a running replica: who gets what, and who pays for whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.scoring.conftest import Replica, now_ms
from tests.waiting import promised, wait_until

Serve = Callable[..., Replica]
JSON = {"content_type": "application/json"}

ROWS = """
import os, time
import numpy as np
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
sizes = []
def init(): pass
@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
def run(data):
    sizes.append(len(data))
    if data[0, 0] == -1000:
        while not os.path.exists("gate"):
            time.sleep(0.002)
    elif (data < 0).any():
        time.sleep(-data.min())
    if (data == 666).any():
        raise ValueError("the number of the beast")
    if (data == 667).any():
        os._exit(1)
    if (data == 668).any():
        return {"all": len(data)}
    if data[0, 0] == 100:
        return sizes
    return (data.sum(axis=1)).tolist()
"""

LISTS = """
import json, os, time
batching = True
sizes = []
def init(): pass
def run(data):
    assert isinstance(data, list)
    sizes.append(len(data))
    texts = [json.loads(text) for text in data]
    while texts[0] == "busy" and not os.path.exists("gate"):
        time.sleep(0.002)
    if "bad" in texts:
        raise ValueError("bad")
    if "short" in texts:
        return texts[1:]
    return [sizes if text == "sizes" else text for text in texts]
"""


def rows(*values: list[float]) -> str:
    return '{"data": ' + str([list(value) for value in values]) + "}"


def together(replica: Replica, first: str, bodies: list[str], **headers: str) -> tuple[httpx.Response, list[Any]]:
    """Send `first`, which keeps run() busy until there is a gate, and meanwhile the others, which so make one batch."""
    gate = replica.directory / "gate"
    gate.unlink(missing_ok=True)
    with ThreadPoolExecutor(len(bodies) + 1) as clients:
        busy = clients.submit(replica.score, first, **JSON, **headers)
        wait_until(lambda: replica.state()["running"] == 1, what="the start of run()")
        others = [clients.submit(replica.score, body, **JSON, **headers) for body in bodies]
        wait_until(lambda: replica.state()["waiting"] == len(bodies), what="the batch")
        gate.touch()
        return busy.result(), [future.result() for future in others]


BUSY = rows([-1000.0, 0.5])
SIZES = rows([100.0, 0.0])


def test_what_waits_together_runs_together_and_each_gets_its_own_rows(serve: Serve) -> None:
    replica = serve(ROWS, "--batching", "--max-queue-wait-ms", "20000")
    bodies = [rows(*([[float(n), 0.5]] * (n % 3 + 1))) for n in range(1, 21)]
    busy, answers = together(replica, BUSY, bodies)
    assert busy.json() == [-999.5]
    assert [answer.json() for answer in answers] == [[n + 0.5] * (n % 3 + 1) for n in range(1, 21)]
    assert replica.score(SIZES, **JSON).json() == [1, sum(n % 3 + 1 for n in range(1, 21)), 1]
    state = replica.state()
    assert (state["completed"], state["failed"], state["runs"]) == (22, 0, 3)


def test_answers_to_many_clients_are_never_mixed_up(serve: Serve) -> None:
    replica = serve(ROWS, "--batching", "--max-queue-wait-ms", "20000")

    def ask(n: int) -> bool:
        values = [[float(n), float(k) / 8] for k in range(n % 5 + 1)]
        return bool(replica.score(rows(*values), **JSON).json() == [a + b for a, b in values])

    with ThreadPoolExecutor(16) as clients:
        assert all(clients.map(ask, range(1, 100)))
        assert all(clients.map(ask, range(101, 600)))


@pytest.mark.parametrize(("bad", "status"), [(rows([666.0, 0.0]), 500), (rows([667.0, 0.0]), 502)])
def test_a_request_that_fails_in_a_batch_fails_alone(serve: Serve, bad: str, status: int) -> None:
    replica = serve(ROWS, "--batching", "--max-queue-wait-ms", "20000")
    _, answers = together(replica, BUSY, [rows([1.0, 2.0]), bad, rows([3.0, 4.0])])
    assert [answer.status_code for answer in answers] == [200, status, 200]
    assert [answers[0].json(), answers[2].json()] == [[3.0], [7.0]]
    assert replica.state()["failed"] == 1


def test_a_request_that_does_not_fit_the_schema_does_not_reach_the_batch(serve: Serve) -> None:
    replica = serve(ROWS, "--batching", "--max-queue-wait-ms", "20000")
    wrong = ["not json", '{"other": 1}', rows([1.0, 2.0, 3.0]), '{"data": [["a", 1.0]]}']
    _, answers = together(replica, BUSY, [rows([1.0, 2.0]), *wrong, rows([3.0, 4.0])])
    alone = [replica.score(body, **JSON) for body in wrong]
    assert [answer.status_code for answer in answers] == [200, *(answer.status_code for answer in alone), 200]
    assert all(answer.status_code >= 400 for answer in alone)
    assert replica.score(SIZES, **JSON).json() == [1, 2, 1]


def test_a_result_that_cannot_be_divided_is_made_one_by_one(serve: Serve) -> None:
    replica = serve(ROWS, "--batching", "--max-queue-wait-ms", "20000")
    _, answers = together(replica, BUSY, [rows([668.0, 1.0]), rows([668.0, 1.0], [1.0, 1.0])])
    assert [answer.json() for answer in answers] == [{"all": 1}, {"all": 2}]


def test_two_entries_for_two_rows_by_chance_are_not_taken_for_two_answers(serve: Serve) -> None:
    script = ROWS.replace("return (data.sum(axis=1)).tolist()", "return [data.tolist(), len(data)]")
    replica = serve(script, "--batching", "--max-queue-wait-ms", "20000")
    _, answers = together(replica, BUSY, [rows([1.0, 2.0]), rows([3.0, 4.0])])
    assert [answer.json() for answer in answers] == [[[[1.0, 2.0]], 1], [[[3.0, 4.0]], 1]]
    assert "one entry for each row" in replica.wait_log("batching ends")


def test_a_request_without_rows_gets_what_it_gets_alone(serve: Serve) -> None:
    script = ROWS.replace("def run(data):", "def run(data):\n    assert len(data)\n")
    script = script.replace("NumpyParameterType(np.array([[1.0, 2.0]]))", "NumpyParameterType(np.array([1.0]))")
    script = script.replace("data[0, 0]", "data[0]").replace("data.sum(axis=1)", "data")
    replica = serve(script, "--batching", "--max-queue-wait-ms", "20000")
    _, answers = together(replica, '{"data": [-1000]}', ['{"data": [1]}', '{"data": []}', '{"data": [2]}'])
    assert [answer.status_code for answer in answers] == [200, 500, 200]


def test_data_frames_are_joined_by_rows(serve: Serve) -> None:
    script = """
        import os, time
        import pandas as pd
        from inference_schema.schema_decorators import input_schema
        from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
        sizes = []
        def init(): pass
        @input_schema("data", PandasParameterType(pd.DataFrame({"a": [1.5], "b": ["x"]})))
        def run(data):
            sizes.append(len(data))
            while data["a"][0] < 0 and not os.path.exists("gate"):
                time.sleep(0.002)
            assert list(data.index) == list(range(len(data)))
            return sizes if data["b"][0] == "sizes" else (data["b"] + data["a"].astype(str)).tolist()
    """
    replica = serve(script, "--batching", "--max-queue-wait-ms", "20000")

    def frame(*values: tuple[float, str]) -> str:
        return '{"data": [' + ",".join(f'{{"a": {a}, "b": "{b}"}}' for a, b in values) + "]}"

    bodies = [frame((1.5, "p")), frame((2.5, "q"), (3.5, "r")), frame((4.5, "s"))]
    _, answers = together(replica, frame((-1.5, "busy")), bodies)
    assert [answer.json() for answer in answers] == [["p1.5"], ["q2.5", "r3.5"], ["s4.5"]]
    assert replica.score(frame((0.5, "sizes")), **JSON).json() == [1, 4, 1]


def test_a_batch_has_at_most_so_many_requests(serve: Serve) -> None:
    replica = serve(ROWS, "--batching", "--max-batch-size", "4", "--max-queue-wait-ms", "20000")
    _, answers = together(replica, BUSY, [rows([float(n), 0.0]) for n in range(10)])
    assert [answer.json() for answer in answers] == [[float(n)] for n in range(10)]
    assert replica.score(SIZES, **JSON).json() == [1, 4, 4, 2, 1]


def test_routed_requests_wait_for_the_next_batch_and_more_are_sent_elsewhere(serve: Serve) -> None:
    flags = ("--batching", "--max-batch-size", "4", "--max-queue-wait-ms", "20000")
    replica = serve(ROWS, *flags)
    for _ in range(3):
        assert replica.score(rows([-1.0, 0.0]), **JSON).status_code == 200  # a run usually takes this long
    busy, answers = together(replica, BUSY, [rows([1.0, 0.0])] * 4, x_mlj_start=now_ms())
    assert busy.status_code == 200
    assert [answer.status_code for answer in answers] == [200] * 4
    (replica.directory / "gate").unlink()
    with ThreadPoolExecutor(13) as clients:
        clients.submit(replica.score, BUSY, x_mlj_start=now_ms(), **JSON)
        wait_until(lambda: replica.state()["running"] == 1, what="the start of run()")
        sent = [clients.submit(replica.score, rows([1.0, 0.0]), x_mlj_start=now_ms(), **JSON) for _ in range(12)]
        wait_until(lambda: sum(future.done() for future in sent) >= 8, what="more than a batch are sent elsewhere")
        (replica.directory / "gate").touch()
        statuses = sorted(future.result().status_code for future in sent)
    assert 503 in statuses and statuses.count(200) >= 4


@pytest.mark.alone
def test_a_lone_client_does_not_wait(serve: Serve) -> None:
    replica = serve(ROWS, "--batching")
    for _ in range(2):
        replica.score(rows([-1.0, 0.0]), **JSON)
    start = time.monotonic()
    assert replica.score(rows([1.0, 0.0]), **JSON).status_code == 200
    assert time.monotonic() - start < promised(0.08)  # a tenth of the usual run is 100 ms


@pytest.mark.alone  # the clients must be back within the milliseconds that a batch waits for them
def test_clients_that_return_at_once_are_waited_for(serve: Serve) -> None:
    replica = serve(ROWS, "--batching", "--max-queue-wait-ms", "20000")
    body = rows([-0.2, 0.0])
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            assert replica.score(body, **JSON).status_code == 200

    with ThreadPoolExecutor(4) as clients:
        futures = [clients.submit(ask) for _ in range(4)]
        wait_until(lambda: replica.state()["completed"] >= 40, "forty answers")
        stop.set()
        for future in futures:
            future.result()
    sizes = replica.score(SIZES, **JSON).json()
    full_ones = "".join("x" if size == 4 else " " for size in sizes)
    assert "xxx" in full_ones, f"else one begins alone while the others return: {sizes}"


def test_batching_is_off_unless_asked_for(serve: Serve) -> None:
    replica = serve(ROWS, "--max-queue-wait-ms", "20000")
    together(replica, BUSY, [rows([1.0, 0.0])] * 3)
    assert replica.score(SIZES, **JSON).json() == [1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("declared", "flags", "variable", "batched"),
    [
        ("batching = True\n", (), "", True),
        ("batching = False\n", ("--batching",), "", False),
        ("batching = True\n", ("--no-batching",), "", False),
        ("", (), "true", True),
        ("", ("--no-batching",), "true", False),
        ("batching = 'yes'\n", (), "", False),
    ],
)
def test_who_decides_about_batching(
    serve: Serve, declared: str, flags: tuple[str, ...], variable: str, batched: bool
) -> None:
    environment = {"MLJUPYTER_BATCHING": variable}
    replica = serve(declared + ROWS, "--max-queue-wait-ms", "20000", *flags, environment=environment)
    together(replica, BUSY, [rows([1.0, 0.0])] * 3)
    assert (replica.score(SIZES, **JSON).json() == [1, 3, 1]) is batched


def test_a_script_that_declares_batching_gets_lists_always(serve: Serve) -> None:
    replica = serve(LISTS, "--max-queue-wait-ms", "20000")
    assert replica.score('"one"').json() == "one"
    _, answers = together(replica, '"busy"', ['"a"', '"b"', '{"c": [1, 2]}'])
    assert [answer.json() for answer in answers] == ["a", "b", {"c": [1, 2]}]
    assert replica.score('"sizes"').json() == [1, 1, 3, 1]


def test_a_script_with_lists_gets_lists_of_one_where_batching_is_off(serve: Serve) -> None:
    replica = serve(LISTS, "--no-batching", "--max-queue-wait-ms", "20000")
    _, answers = together(replica, '"busy"', ['"a"', '"b"'])
    assert [answer.json() for answer in answers] == ["a", "b"]
    assert replica.score('"sizes"').json() == [1, 1, 1, 1]


@pytest.mark.parametrize("bad", ['"bad"', "no json", '"short"'])
def test_a_bad_request_among_lists_fails_alone(serve: Serve, bad: str) -> None:
    replica = serve(LISTS, "--max-queue-wait-ms", "20000")
    _, answers = together(replica, '"busy"', ['"a"', bad, '"b"'])
    assert [answer.status_code for answer in answers] == [200, 500, 200]
    assert [answers[0].json(), answers[2].json()] == ["a", "b"]


def test_a_result_list_of_the_wrong_length_is_explained_in_the_log(serve: Serve) -> None:
    replica = serve(LISTS)
    assert replica.score('"short"').status_code == 500
    assert "one result for each of its 1 inputs; it returned 0 results" in replica.wait_log("must return a list")


def test_a_script_that_declares_batching_but_cannot_ends_with_a_reason(launch: Serve) -> None:
    replica = launch("batching = True\ndef init(): pass\ndef run(data, request_headers): return data\n")
    assert replica.wait_exit() == 3
    assert "run() cannot take several requests" in replica.log()


def test_batching_for_a_script_without_rows_is_said_to_have_no_effect(serve: Serve) -> None:
    replica = serve("def init(): pass\ndef run(data): return data\n", "--batching")
    assert replica.score("x").json() == "x"
    replica.wait_log("batching is on, but has no effect")


def test_threads_take_batches_too(serve: Serve) -> None:
    replica = serve(ROWS, "--batching", "--concurrency", "2", "--max-queue-wait-ms", "20000")
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda n: replica.score(rows([float(n), 0.5]), **JSON).json(), range(1, 90)))
    assert answers == [[n + 0.5] for n in range(1, 90)]


def test_the_time_of_a_joint_run_is_counted_once(serve: Serve) -> None:
    replica = serve(ROWS, "--batching", "--max-queue-wait-ms", "20000")
    first = replica.score(rows([1.0, 0.0]), **JSON)
    busy, answers = together(replica, BUSY, [rows([-0.3, 0.0]), *[rows([1.0, 0.0])] * 9])
    seconds = [float(answer.headers["x-ms-run-fn-exec-ms"]) / 1000 for answer in (first, busy, *answers)]
    assert len(set(seconds[2:])) == 1 and seconds[2] > 0.29
    assert replica.state()["run_seconds_sum"] == pytest.approx(sum(seconds[:3]), abs=0.01)
