"""Sources of a batch: rows of files in order, exact, and the same whatever the size of the parts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.core.batch.kept import KeptResults
from mljupyter.core.batch.result import BatchResult, FailedRow
from mljupyter.core.batch.sources import source_of
from mljupyter.engine.requests.encoder import EncodingError, request_text
from mljupyter.exceptions import UserErrorException
from mljupyter.magics.commands.values import json_body
from tests.engine.test_encoder import frames

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


def test_a_row_is_named_with_its_file_and_its_number_there(tmp_path: Path) -> None:
    for name, rows in (("a.csv", 2), ("b.csv", 0), ("c.csv", 3)):
        (tmp_path / name).write_text("n\n" + "1\n" * rows)
    source = source_of(tmp_path)
    assert [source.place(row) for row in range(source.rows)] == [
        *("row 0 of a.csv", "row 1 of a.csv"),
        *("row 0 of c.csv", "row 1 of c.csv", "row 2 of c.csv"),
    ]
    assert source_of([1, 2]).place(1) == source_of(FRAME).place(1) == "row 1"


INFINITE = pd.DataFrame({"n": [0.0] * 70 + [float("inf")] + [0.0] * 29})


@pytest.mark.parametrize("size", [1, 30, 1000])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (INFINITE, "row 70: column 'n': infinity"),
        (INFINITE.to_numpy(), "row 70: infinity"),
        (scipy.sparse.csr_matrix(INFINITE.to_numpy()), "row 70: infinity"),
        (pa.table(INFINITE), "row 70: column 'n': infinity"),
        (INFINITE.to_numpy().tolist(), "row 70: infinity"),
        ([[0]] * 70 + [[{1}]] * 30, "row 70: it contains a set"),
        (pd.DataFrame({"n": [0] * 70 + [{1}] * 30}), "row 70: column 'n': it contains a set"),
    ],
)
def test_a_value_that_cannot_be_sent_is_named_by_the_row_of_the_whole_input(data: object, said: str, size: int) -> None:
    with pytest.raises(EncodingError, match=f"^{said}"):
        list(source_of(data).parts(size))


def test_a_value_of_a_file_that_cannot_be_sent_is_named_by_the_row_of_the_file(tmp_path: Path) -> None:
    INFINITE.to_parquet(tmp_path / "b.parquet")
    INFINITE[:10].to_parquet(tmp_path / "a.parquet")
    with pytest.raises(EncodingError, match=r"^row 70 of b.parquet: column 'n': infinity"):
        list(source_of(tmp_path).parts(30))


def test_files_of_rows_without_names_have_the_same_columns_in_the_same_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("y,x\n2,1\n")
    (tmp_path / "c.csv").write_text("")
    with pytest.raises(UserErrorException, match=r"Column 0 of '.*b.csv' is 'y', and that of 'a.csv' is 'x'"):
        source_of(tmp_path)
    assert list(source_of(tmp_path, by_name=True).parts(5)) == [[{"x": 1, "y": 2}], [{"y": 2, "x": 1}]]
    (tmp_path / "b.csv").write_text("x\n1\n")
    with pytest.raises(UserErrorException, match=r"Column 1 of '.*b.csv' is missing, and that of 'a.csv' is 'y'"):
        source_of(tmp_path)


def test_a_column_of_several_csv_files_has_one_type_in_all(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("code,n\n1,1\n")
    (tmp_path / "b.csv").write_text("code,n\nx,2.5\n")
    assert [json.dumps(row) for row in read(tmp_path)] == ['["1", 1.0]', '["x", 2.5]']


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"n": np.random.default_rng(0).random(10_000)}).to_parquet(path)
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196  # the header of the first page
    path.write_bytes(content)
    with pytest.raises(UserErrorException, match=r"'.*a.parquet' cannot be read"):
        list(source_of(path).parts(100))


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


@settings(max_examples=30, deadline=None)
@given(frames(), st.booleans())
def test_everything_that_sends_a_frame_sends_the_same(frame: pd.DataFrame, by_name: bool) -> None:
    text = request_text(frame, by_name=by_name)
    rows = [row for part in source_of(frame, by_name=by_name).parts(2) for row in part]
    assert json.dumps({"data": rows}) == text
    assert json_body(frame, "frame", by_name=by_name) == text
    assert source_of(rows).rows == len(frame)
    assert [row for part in source_of(rows).parts(3) for row in part] == rows
