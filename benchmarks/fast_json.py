"""What fast JSON saves: parsing, encoding, conversion by schemas, and requests of 1 MB to a replica.

``python -m benchmarks.fast_json`` prints tables in Markdown. Each figure is the median of rounds in which both ways
take turns; parsing and encoding are measured in processor time of their thread, so that other programs disturb less.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import httpx
import numpy as np
import pandas as pd

from mljupyter.scoring.worker import fast_json, fast_results, fast_schema

SCRIPT = """
import json

def init(): pass

def run(data):
    return sum(map(len, json.loads(data)["data"]))
"""
SIZES = {"100 B": 100, "10 kB": 10_000, "1 MB": 1_000_000}
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each load of a replica")
    given = parser.parse_args()
    fast_json.install()
    standard: Callable[..., Any] = FunctionType(
        json.loads.__code__, {**vars(json), "_default_decoder": json.JSONDecoder()}
    )
    standard.__kwdefaults__ = json.loads.__kwdefaults__  # type: ignore[attr-defined] # it is a function
    json.loads(documents(10_000)["floats"])  # imports msgspec
    print("| `json.loads` of | " + " | ".join(SIZES) + " |\n|---|" + "---|" * len(SIZES))
    for name in documents(100):
        cells = []
        for size in SIZES.values():
            text = documents(size)[name]
            fast, slow = compared(lambda text=text: json.loads(text), lambda text=text: standard(text), given.rounds)
            cells.append(shown(fast, slow))
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\n| step | with | without | ratio |\n|---|---|---|---|")
    for name, ways in steps().items():
        fast, slow = compared(*ways, given.rounds)
        print(f"| {name} | {amount(fast)} | {amount(slow)} | {slow / fast:.1f} |")
    replicas(given.rounds, given.seconds)


def documents(size: int) -> dict[str, str]:
    """Return documents of about this many characters."""
    chance = random.Random(1)
    row = {"id": 1, "name": "customer 17", "income": 1234.5, "score": 0.123456789, "active": True, "note": None}
    numbers = [[chance.gauss(0, 1) for _ in range(10)] for _ in range(max(size // 210, 1))]
    whole = [[chance.randrange(-(10**6), 10**6) for _ in range(10)] for _ in range(max(size // 85, 1))]
    texts = ["".join(chance.choices("abcdefgh ijk", k=20)) for _ in range(max(size // 24, 1))]
    return {
        "floats": json.dumps({"data": numbers if size > 300 else numbers[0][:4]}),
        "integers": json.dumps({"data": whole}),
        "strings": json.dumps({"data": texts}),
        "mixed rows": json.dumps([{**row, "id": n, "score": chance.random()} for n in range(max(size // 112, 1))]),
    }


def steps() -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Return the steps of a request beside parsing, each in both ways."""
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType

    chance = random.Random(1)
    encode = json.JSONEncoder(separators=(",", ":")).encode
    flat = [chance.uniform(0.001, 1) for _ in range(50_000)]
    results = {
        "50,000 probabilities": flat,
        "17,000 × 3 probabilities, some below 0.0001": [
            [chance.random() ** 4 for _ in range(3)] for _ in range(17_000)
        ],
        "100,000 whole numbers": [chance.randrange(1000) for _ in range(100_000)],
        "20,000 rows with names": [{"id": n, "p": chance.uniform(0.1, 1), "label": "yes"} for n in range(20_000)],
    }
    frame = pd.DataFrame([[chance.uniform(0.1, 1) for _ in range(30)] for _ in range(1000)])
    frame.columns = [f"column_{number}" for number in range(30)]
    found = {
        f"encode {name}": (lambda it=it: fast_results.compact(it), lambda it=it: encode(it).encode("ascii"))
        for name, it in results.items()
    }
    for name, make, data in (
        ("`NumpyParameterType`, 50,000 numbers", lambda: NumpyParameterType(np.zeros(1)), flat),
        (
            "`NumpyParameterType`, 5,000 × 10",
            lambda: NumpyParameterType(np.zeros((1, 10))),
            np.ones((5000, 10)).tolist(),
        ),
        ("`PandasParameterType`, 1,000 × 30", lambda: PandasParameterType(frame.iloc[:1]), frame.to_dict("records")),
    ):
        found[name] = converted(make, data)
    return found


def converted(make: Callable[[], Any], data: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return the conversion of data by a parameter type, the fast way and the type's own."""
    from inference_schema.parameter_types import pandas_parameter_type

    fast, slow = make(), make()
    fast_schema.make_faster([fast])
    module = pandas_parameter_type.json
    pandas_parameter_type.json = json

    def convert() -> None:
        pandas_parameter_type.json = module
        fast.deserialize_input(data)
        pandas_parameter_type.json = json

    return convert, lambda: slow.deserialize_input(data)


def compared(fast: Callable[[], Any], slow: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Return the medians of the processor time of a call in seconds, of rounds that alternate."""
    began = time.thread_time()
    slow()
    calls = max(1, round(0.003 / (time.thread_time() - began + 1e-7)))
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, seconds in zip((fast, slow), taken, strict=True):
            began = time.thread_time()
            for _ in range(calls):
                call()
            seconds.append((time.thread_time() - began) / calls)
    return statistics.median(taken[0]), statistics.median(taken[1])


def replicas(rounds: int, seconds: float) -> None:
    """Print requests per second, start-up and memory of two replicas that differ in the setting alone."""
    text = documents(1_000_000)["floats"].encode()
    rates: dict[str, list[float]] = {"on": [], "off": []}
    idle: dict[str, list[float]] = {"on": [], "off": []}
    starts: dict[str, list[float]] = {"on": [], "off": []}
    used: dict[str, list[float]] = {"on": [], "off": []}
    for _ in range(max(rounds // 3, 3)):
        for setting in ("on", "off"):
            with replica(setting) as (client, ready):
                starts[setting].append(ready)
                idle[setting].append(memory(client))
                client.post("/score", content=text)
                began = time.perf_counter()
                done = 0
                while time.perf_counter() - began < seconds:
                    client.post("/score", content=text).raise_for_status()
                    done += 1
                rates[setting].append(done / (time.perf_counter() - began))
                used[setting].append(memory(client))
    print("\n| a replica, bodies of 1 MB, one connection | with | without | ratio |\n|---|---|---|---|")
    for name, figures, unit in (
        *(("requests", rates, "/s"), ("start until ready", starts, " s")),
        *(("PSS of the worker when ready", idle, " MB"), ("PSS of the worker after the load", used, " MB")),
    ):
        with_it, without = (statistics.median(figures[setting]) for setting in ("on", "off"))
        print(f"| {name} | {with_it:.4g}{unit} | {without:.4g}{unit} | {with_it / without:.2f} |")


@contextlib.contextmanager
def replica(setting: str) -> Iterator[tuple[httpx.Client, float]]:
    """Start a replica, and give a client and the seconds until it was ready."""
    with tempfile.TemporaryDirectory(prefix="mlj") as directory:
        (Path(directory) / "score.py").write_text(SCRIPT)
        socket = Path(directory) / "s"
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "mljupyter.scoring", "--entry-script", "score.py", "--unix-socket", str(socket)],
            cwd=directory,
            env={**os.environ, fast_json.FAST_JSON: setting},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        transport = httpx.HTTPTransport(uds=str(socket))
        try:
            with httpx.Client(transport=transport, base_url="http://replica", timeout=60) as client:
                while not is_ready(client):
                    time.sleep(0.002)
                yield client, time.perf_counter() - began
        finally:
            process.terminate()
            process.wait()


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def memory(client: httpx.Client) -> float:
    """Return the proportional set size of the worker in MB."""
    pid = client.get("/-/state").json()["worker_pid"]
    found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    return int(found[1]) / 1024 if found else 0.0


def shown(fast: float, slow: float) -> str:
    return f"{slow / fast:.1f} × ({amount(slow)} → {amount(fast)})"


def amount(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds >= 0.001 else f"{seconds * 1e6:.3g} µs"


if __name__ == "__main__":
    main()
