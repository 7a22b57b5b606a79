"""The benchmark of serving measures ours and writes its report; the other servers are not installed for a test."""

import json

import pytest

from benchmarks.serving import systems
from benchmarks.serving.__main__ import main

pytestmark = pytest.mark.system


def test_ours_is_measured_and_reported_without_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(systems, "_IMPORTS", 1)  # each takes seconds of a processor
    main([
        "--only", "ours", "--workload", "sklearn", "--connections", "1", "--seconds", "0.3", "--warm-up", "0.3",
        "--no-path", "--no-plot", "--output", str(tmp_path),
    ])  # fmt: skip
    results = json.loads((tmp_path / "serving-benchmark.json").read_text())
    cells = {cell["system"]: cell for cell in results["cells"]}
    assert set(cells) == {"ours", "ours-batching"}, results["skipped"]
    for cell in cells.values():
        assert cell["errors"] == 0
        assert cell["per_second"] > 0
        assert 0 < cell["p50"] <= cell["p99"]
        assert cell["cpu_per_1000"] > 0
        assert cell["peak_mb"] > 0
    assert {start["system"] for start in results["starts"]} == set(cells)
    assert "**mljupyter**" in (tmp_path / "serving-benchmark.md").read_text()
