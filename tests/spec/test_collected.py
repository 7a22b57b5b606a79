"""The path of a collected file tells model, designation and day."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from mljupyter.spec.collected import CollectedFile, chosen

OWNER = "modeldata/default/default/team/iris/ridge/3"


def file(path: str) -> CollectedFile:
    return CollectedFile(path=path, size=1, modified_time=datetime.now(UTC))


@pytest.mark.parametrize("place", ["data.csv", "data.pod-1.csv", "07/data.csv"])
def test_a_path_of_the_documented_layout_is_understood(place: str) -> None:
    found = file(f"{OWNER}/inputs/2030/01/31/{place}")
    assert (found.model_name, found.model_version, found.designation) == ("ridge", "3", "inputs")
    assert found.day == date(2030, 1, 31)


@pytest.mark.parametrize(
    "path", ["modeldata/data.csv", f"{OWNER}/inputs/2030/13/31/data.csv", f"{OWNER}/inputs/a/b/c/data.csv"]
)
def test_another_path_tells_nothing(path: str) -> None:
    found = file(path)
    assert (found.model_name, found.designation, found.day) == ("", "", None)


def test_files_are_chosen_by_model_designation_and_day() -> None:
    files = [
        file(f"{OWNER}/inputs/2030/01/30/data.csv"),
        file(f"{OWNER}/inputs/2030/01/31/data.csv"),
        file(f"{OWNER}/labels/2030/02/01/data.csv"),
        file("modeldata/data.csv"),
    ]
    assert chosen(files) == files
    assert chosen(files, designation="inputs") == files[:2]
    assert chosen(files, model_name="ridge", since=date(2030, 1, 31)) == files[1:3]
    assert chosen(files, model_name="wine") == []
