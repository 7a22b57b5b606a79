"""The decisions of runs and datasets: statuses, metrics, steps, paths and packages."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.tracking import statuses, steps
from mljupyter.tracking.errors import TrackingError
from mljupyter.tracking.metrics import Metric, merged, stored_list, stored_scalar, stored_table
from mljupyter.tracking.packages import unmet
from mljupyter.tracking.paths import checked_path, fixed_part, matching


class Scalar:
    """A scalar as NumPy and PyTorch have them."""

    ndim = 0

    def item(self) -> float:
        return 0.5


class TestStatuses:
    @pytest.mark.parametrize("final", sorted(statuses.FINAL))
    def test_a_final_status_stays(self, final: str) -> None:
        assert not statuses.allowed(final, statuses.RUNNING)
        assert not statuses.allowed(final, statuses.COMPLETED)

    def test_a_run_that_is_to_end_only_ends(self) -> None:
        assert not statuses.allowed(statuses.CANCEL_REQUESTED, statuses.FINALIZING)
        assert statuses.allowed(statuses.CANCEL_REQUESTED, statuses.CANCELED)

    @pytest.mark.parametrize(
        ("present", "exit_status", "timed_out", "expected"),
        [
            (statuses.RUNNING, 0, False, statuses.COMPLETED),
            (statuses.RUNNING, 1, False, statuses.FAILED),
            (statuses.RUNNING, -9, False, statuses.FAILED),
            (statuses.RUNNING, None, False, statuses.FAILED),
            (statuses.RUNNING, -15, True, statuses.FAILED),
            (statuses.CANCEL_REQUESTED, 0, False, statuses.CANCELED),
            (statuses.CANCEL_REQUESTED, -15, False, statuses.CANCELED),
            (statuses.COMPLETED, 1, False, statuses.COMPLETED),
        ],
    )
    def test_the_end_of_a_script_decides_the_status(
        self, present: str, exit_status: int | None, timed_out: bool, expected: str
    ) -> None:
        status, reason = statuses.outcome(present, exit_status, timed_out)
        assert status == expected
        assert (reason is not None) == (expected == statuses.FAILED)


class TestMetrics:
    def test_a_value_logged_twice_is_a_list(self) -> None:
        assert merged([Metric("a", "scalar", 1), Metric("a", "scalar", 2)]) == {"a": [1, 2]}

    def test_lists_are_joined(self) -> None:
        assert merged([Metric("a", "list", [1]), Metric("a", "list", [2, 3])]) == {"a": [1, 2, 3]}

    def test_one_row_has_values_and_several_rows_have_columns(self) -> None:
        row, more = Metric("p", "row", {"x": 1, "y": 2}), Metric("p", "row", {"x": 3, "y": 4})
        assert merged([row]) == {"p": {"x": 1, "y": 2}}
        assert merged([row, more]) == {"p": {"x": [1, 3], "y": [2, 4]}}

    @given(st.floats())
    def test_every_number_comes_back(self, number: float) -> None:
        (back,) = merged([Metric("a", "scalar", stored_scalar("a", number))]).values()
        assert back == number or (math.isnan(number) and math.isnan(back))

    def test_scalars_of_arrays_are_numbers(self) -> None:
        assert stored_scalar("a", Scalar()) == 0.5
        assert stored_list("a", (Scalar(), 1)) == [0.5, 1]
        assert stored_table("a", {"x": Scalar(), "y": [1, 2]}) == {"x": 0.5, "y": [1, 2]}

    @pytest.mark.parametrize("value", [object(), [1], {"a": 1}, b"text"])
    def test_what_is_no_scalar_is_refused_with_the_name_of_the_metric(self, value: object) -> None:
        with pytest.raises(TrackingError, match="'loss'"):
            stored_scalar("loss", value)

    def test_a_text_is_no_list(self) -> None:
        with pytest.raises(TrackingError, match="a list"):
            stored_list("loss", "text")


class TestSteps:
    @given(st.integers(0, 200), st.floats(0.01, 0.99), st.integers(0, 2**31))
    def test_each_row_is_in_exactly_one_part_of_a_split(self, count: int, share: float, seed: int) -> None:
        first, second = steps.split(share, seed)
        assert sorted(steps.kept(count, [first]) + steps.kept(count, [second])) == list(range(count))

    def test_a_split_without_a_seed_has_two_parts_that_fit(self) -> None:
        first, second = steps.split(0.5, None)
        assert sorted(steps.kept(100, [first]) + steps.kept(100, [second])) == list(range(100))

    def test_steps_apply_in_their_order(self) -> None:
        assert steps.kept(10, [steps.skip(2), steps.take(3), steps.skip(1)]) == [3, 4]

    @pytest.mark.parametrize("count", [-1, 1.5, True, "2"])
    def test_a_count_is_a_whole_number(self, count: object) -> None:
        with pytest.raises(TrackingError, match="whole number"):
            steps.take(count)  # type: ignore[arg-type]

    @pytest.mark.parametrize("share", [0, 1, 1.5, "0.5"])
    def test_a_share_is_between_zero_and_one(self, share: object) -> None:
        with pytest.raises(TrackingError, match="between 0 and 1"):
            steps.split(share, 1)  # type: ignore[arg-type]


class TestPaths:
    @pytest.mark.parametrize("path", ["", "/", "..", "a/../../b", "a\0b", "x" * 2000])
    def test_a_path_never_leads_out_of_its_place(self, path: str) -> None:
        with pytest.raises(TrackingError, match=r"without '\.\.'"):
            checked_path(path)

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("", ["a.csv", "b/c.csv", "b/d/e.csv", "b/f.txt"]),
            ("a.csv", ["a.csv"]),
            ("b", ["b/c.csv", "b/d/e.csv", "b/f.txt"]),
            ("b/*.csv", ["b/c.csv"]),
            ("**/*.csv", ["a.csv", "b/c.csv", "b/d/e.csv"]),
            ("b/**", ["b/c.csv", "b/d/e.csv", "b/f.txt"]),
            ("c", []),
        ],
    )
    def test_a_pattern_names_files(self, pattern: str, expected: list[str]) -> None:
        assert matching(["b/f.txt", "a.csv", "b/c.csv", "b/d/e.csv"], pattern) == expected

    def test_the_fixed_part_of_a_pattern_is_its_folder(self) -> None:
        assert [fixed_part(text) for text in ("*.csv", "a/b/*.csv", "a/b.csv")] == ["", "a/b", "a/b.csv"]


def test_packages_that_are_missing_or_of_another_version_are_named() -> None:
    installed = {"numpy": "2.1.0", "pandas": "2.2.0"}.get
    lines = ["numpy==1.16", "pandas>=2", "torch", "dataclasses; python_version < '3.7'", "git+https://example.com/x"]
    assert unmet(lines, installed) == [
        "numpy==1.16 (installed: 2.1.0)",
        "torch (not installed)",
        "git+https://example.com/x",
    ]
