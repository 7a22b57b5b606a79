"""Collected data in a directory: lists of files, pieces of files, and what a script may have put there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.client.errors import CollectedDataError
from mljupyter.controller.collected.directory import CollectedDirectory
from mljupyter.spec import SpecError
from mljupyter.spec.collected import parts_of

PLACE = "modeldata/default/default/team/iris/ridge/1"


@pytest.fixture
def data(tmp_path: Path) -> CollectedDirectory:
    (tmp_path / "secret.csv").write_text("key\n")
    return CollectedDirectory(tmp_path / "collected")


def write(tmp_path: Path, path: str, text: str = "a\n1\n", endpoint: str = "iris") -> Path:
    file = tmp_path / "collected" / endpoint / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


async def listed(data: CollectedDirectory, endpoint: str = "iris", after: str = "", most: int = 100) -> list[str]:
    return [file.path for file in await data.files(endpoint, after, most)]


async def test_an_endpoint_that_has_collected_nothing_has_no_files(data: CollectedDirectory, tmp_path: Path) -> None:
    assert await listed(data) == []
    write(tmp_path, f"{PLACE}/inputs/2030/01/31/data.csv", endpoint="other")
    assert await listed(data) == []


async def test_files_are_listed_in_order_with_size_day_and_owner(data: CollectedDirectory, tmp_path: Path) -> None:
    write(tmp_path, f"{PLACE}/predictions/2030/01/31/data.csv")
    write(tmp_path, f"{PLACE}/inputs/2030/02/01/data.pod-1.csv", "a,b\n1,2\n")
    found = await data.files("iris", "", 100)
    assert [(one.designation, str(one.day), one.size) for one in found] == [
        ("inputs", "2030-02-01", 8),
        ("predictions", "2030-01-31", 4),
    ]
    assert {(one.model_name, one.model_version) for one in found} == {("ridge", "1")}


async def test_a_long_list_is_read_in_parts_without_gaps_or_repetition(
    data: CollectedDirectory, tmp_path: Path
) -> None:
    # Names that sort differently as paths and as lists of names.
    for day in ("01", "02"):
        for name in ("data.csv", "data-2.csv", "data.a.csv"):
            write(tmp_path, f"{PLACE}/inputs/2030/01/{day}/{name}")
            write(tmp_path, f"{PLACE}/inputs/2030/01/{day}/00/{name}")
    everything = await listed(data)
    assert len(everything) == 12
    found: list[str] = []
    while part := await listed(data, after=found[-1] if found else "", most=5):
        found += part
    assert found == everything


async def test_a_file_is_read_in_pieces(data: CollectedDirectory, tmp_path: Path) -> None:
    path = f"{PLACE}/inputs/2030/01/31/data.csv"
    write(tmp_path, path, "0123456789")
    assert await data.read("iris", path, 0, 4) == b"0123"
    assert await data.read("iris", path, 8, 4) == b"89"
    assert await data.read("iris", path, 10, 4) == b""


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../secret.csv",
        "modeldata/../../../secret.csv",
        "modeldata/./a.csv",
        "modeldata//a.csv",
        "modeldata/a.txt",
        "other/a.csv",
        "modeldata/a\n.csv",
        f"modeldata/{'a' * 3000}.csv",
    ],
)
async def test_a_path_that_leads_out_or_is_no_file_of_collected_data_is_refused(
    data: CollectedDirectory, path: str
) -> None:
    with pytest.raises(SpecError, match="no file of collected data"):
        await data.read("iris", path, 0, 100)


@pytest.mark.parametrize("endpoint", ["..", ".", "", "a/b", "../collected/iris"])
async def test_the_name_of_an_endpoint_leads_nowhere_else(data: CollectedDirectory, endpoint: str) -> None:
    with pytest.raises(SpecError, match="leads out"):
        await data.files(endpoint, "", 10)
    with pytest.raises(SpecError, match="leads out"):
        await data.read(endpoint, "modeldata/a.csv", 0, 10)


async def test_links_of_a_script_are_not_followed(data: CollectedDirectory, tmp_path: Path) -> None:
    write(tmp_path, f"{PLACE}/inputs/2030/01/31/data.csv")
    place = tmp_path / "collected/iris/modeldata"
    (place / "file.csv").symlink_to(tmp_path / "secret.csv")
    (place / "directory").symlink_to(tmp_path)
    assert await listed(data) == [f"{PLACE}/inputs/2030/01/31/data.csv"]
    for path in ("modeldata/file.csv", "modeldata/directory/secret.csv"):
        with pytest.raises(CollectedDataError, match="cannot be read"):
            await data.read("iris", path, 0, 100)


async def test_an_endpoint_whose_directory_is_a_link_has_no_data(data: CollectedDirectory, tmp_path: Path) -> None:
    write(tmp_path, "modeldata/data.csv", endpoint="other")
    (tmp_path / "collected/iris").symlink_to(tmp_path / "collected/other")
    with pytest.raises(CollectedDataError, match="cannot be read"):
        await data.files("iris", "", 10)


async def test_only_regular_files_are_read_and_a_pipe_does_not_block(data: CollectedDirectory, tmp_path: Path) -> None:
    file = write(tmp_path, "modeldata/data.csv")
    os.mkfifo(file.with_name("pipe.csv"))
    file.with_name("notes.txt").write_text("x")
    assert await listed(data) == ["modeldata/data.csv"]
    with pytest.raises(CollectedDataError, match="no regular file"):
        await data.read("iris", "modeldata/pipe.csv", 0, 10)


async def test_a_directory_that_may_not_be_read_is_told_and_not_taken_for_empty(
    data: CollectedDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, f"{PLACE}/inputs/2030/01/31/data.csv")

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # the tests may run as root, who may read everything

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(CollectedDataError, match="of 'iris' cannot be read: Permission denied"):
        await data.files("iris", "", 10)


async def test_directories_deeper_than_the_layout_are_not_entered(data: CollectedDirectory, tmp_path: Path) -> None:
    write(tmp_path, "modeldata/" + "d/" * 40 + "data.csv")
    assert await listed(data) == []


@pytest.mark.parametrize("seconds", [-(1 << 40), 1 << 40])
async def test_a_time_of_no_calendar_hides_no_files(data: CollectedDirectory, tmp_path: Path, seconds: int) -> None:
    os.utime(write(tmp_path, "modeldata/data.csv"), (seconds, seconds))
    assert await listed(data) == ["modeldata/data.csv"]


async def test_a_file_that_was_removed_is_told(data: CollectedDirectory) -> None:
    with pytest.raises(CollectedDataError, match="does not exist any more"):
        await data.read("iris", "modeldata/data.csv", 0, 10)


@given(st.text(max_size=40))
def test_a_path_is_refused_or_stays_below_its_directory(text: str) -> None:
    try:
        parts = parts_of(text)
    except SpecError:
        return
    assert parts[0] == "modeldata"
    assert not {"", ".", ".."} & set(parts)
