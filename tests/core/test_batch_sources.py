"""Sources of a batch: rows of files in order, exact, and the same whatever the size of the parts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mljupyter.core.batch.kept import KeptResults
from mljupyter.core.batch.result import BatchResult, FailedRow
from mljupyter.core.batch.sources import source_of
from mljupyter.exceptions import UserErrorException

FRAME = pd.DataFrame(
    {
        "id": pd.array([9007199254740993, None, 3], dtype="Int64"),
        "x": [0.1 + 0.2, 1e-300, 5.0],
        "name": ["a", None, "c, d"],
        "t": pd.to_datetime(["2024-01-02 03:04:05.123456789", None, "2024-01-03"], format="ISO8601"),
    }
)
ROWS = [
    [9007199254740993, 0.30000000000000004, "a", "2024-01-02T03:04:05.123456789"],
    [None, 1e-300, None, None],
    [3, 5.0, "c, d", "2024-01-03T00:00:00"],
]


def read(data: object, size: int = 2) -> list[object]:
    source = source_of(data)
    parts = list(source.parts(size))
    assert all(len(part) <= size for part in parts)
    rows = [row for part in parts for row in part]
    assert source.rows == len(rows)
    return rows


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_a_frame_and_a_parquet_file_have_the_same_rows(tmp_path: Path, size: int) -> None:
    FRAME.to_parquet(tmp_path / "a.parquet")
    assert read(FRAME, size) == read(tmp_path / "a.parquet", size) == ROWS


def test_a_csv_file_keeps_whole_numbers_whole_and_every_digit(tmp_path: Path) -> None:
    FRAME[["id", "x", "name"]].to_csv(tmp_path / "a.csv", index=False)
    assert read(tmp_path / "a.csv") == [row[:3] for row in ROWS]


def test_a_column_of_a_csv_file_has_one_type_in_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mljupyter.core.batch.sources._SCAN_ROWS", 2)
    (tmp_path / "a.csv").write_text("code,n,empty\n1,1,\n2,2,\nx,2.5,\n")
    assert read(tmp_path / "a.csv", 1) == [["1", 1.0, None], ["2", 2.0, None], ["x", 2.5, None]]


def test_a_directory_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name, number in (("b.csv", 2), ("a.csv", 1), ("c.csv", 3)):
        (tmp_path / name).write_text(f"n\n{number}\n")
    (tmp_path / "notes.txt").write_text("no rows")
    assert read(tmp_path) == [[1], [2], [3]]


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    assert read(tmp_path / "a.csv") == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("nowhere.csv", "does not exist"),
        (5, "A int has no rows"),
        (Path(__file__), "no file that can be sent in parts"),
    ],
)
def test_what_has_no_rows_is_refused(data: object, said: str) -> None:
    with pytest.raises(UserErrorException, match=said):
        source_of(data)


def test_kept_results_survive_a_cut_off_line_and_end_with_the_batch(tmp_path: Path) -> None:
    kept = KeptResults(tmp_path, "iris", [1])
    kept.keep("one", [1, None])
    kept.keep("two", None)
    kept.close(complete=False)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text() + '["three", [1')
    assert file.stat().st_mode & 0o777 == 0o600
    again = KeptResults(tmp_path, "iris", [1])
    again.keep("four", [4])
    again.close(complete=False)
    last = KeptResults(tmp_path, "iris", [1])
    assert (last.results("one"), last.results("three"), last.results("four")) == ([1, None], None, [4])
    assert last.was_split("two")
    assert KeptResults(tmp_path, "iris", ["another model"]).results("one") is None
    last.close(complete=True)
    assert list(tmp_path.iterdir()) == []


def test_a_result_is_a_list_that_lists_its_failures() -> None:
    result = BatchResult(2)
    result[0], result.missing = {"risk": 0.5}, 0
    result.failed.append(FailedRow(1, "status 400: age is missing"))
    assert result == [{"risk": 0.5}, None]
    assert repr(result) == "2 rows, 1 failed\n  row 1: status 400: age is missing"
    assert result.frame().to_dict("list")["error"][1] == "status 400: age is missing"
