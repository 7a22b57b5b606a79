"""Datasets: made from files, registered with versions, and read."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from mljupyter.core import Dataset, Datastore, Workspace
from mljupyter.core.data import DataType, FileDataset, TabularDataset
from mljupyter.core.data.dataset_type_definitions import PromoteHeadersBehavior
from mljupyter.exceptions import DatasetExecutionError, DatasetValidationError, UserErrorException

TITANIC = "Name,Age,Fare,Born,Gone\nAna,30,7.5,1890-01-02,true\nBen,,8,1891-03-04,false\nCid,50,9.25,1892-05-06,true\n"


@pytest.fixture
def titanic(project: Path) -> TabularDataset:
    (project / "titanic.csv").write_text(TITANIC)
    return Dataset.Tabular.from_delimited_files("titanic.csv")


@pytest.fixture
def web(project: Path) -> Iterator[str]:
    """The address of a web server with the files of the current directory."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestTabular:
    def test_columns_have_the_types_of_their_values(self, titanic: TabularDataset) -> None:
        frame = titanic.to_pandas_dataframe()
        assert [*frame.columns] == ["Name", "Age", "Fare", "Born", "Gone"]
        assert [frame[name].dtype.kind for name in ("Age", "Fare", "Born", "Gone")] == ["f", "f", "M", "b"]

    def test_types_can_be_given_or_left_to_texts(self, titanic: TabularDataset) -> None:
        types = {"Fare": DataType.to_string(), "Gone": DataType.to_bool(), "Born": DataType.to_datetime("%Y-%m-%d")}
        frame = Dataset.Tabular.from_delimited_files(
            "titanic.csv", infer_column_types=False, set_column_types=types
        ).to_pandas_dataframe()
        assert frame["Fare"].tolist() == ["7.5", "8", "9.25"]
        assert frame["Gone"].tolist() == [True, False, True] and frame["Born"].dtype.kind == "M"
        assert frame["Age"][0] == "30"

    def test_lines_of_text_are_one_column(self, project: Path) -> None:
        (project / "bodies.txt").write_text('{"data": [[1, 2]]}\n{"data": [[3, 4]]}\n')
        dataset = Dataset.Tabular.from_delimited_files(
            "bodies.txt", separator="\n", infer_column_types=True, header=PromoteHeadersBehavior.NO_HEADERS
        )
        frame = dataset.to_pandas_dataframe()
        assert frame["Column1"].tolist() == ['{"data": [[1, 2]]}', '{"data": [[3, 4]]}']

    @pytest.mark.parametrize(
        ("header", "columns", "rows"),
        [
            (True, ["a", "b"], 2),
            (False, ["Column1", "Column2"], 4),
            (PromoteHeadersBehavior.ALL_FILES_HAVE_SAME_HEADERS, ["a", "b"], 2),
        ],
    )
    def test_headers_of_several_files(self, project: Path, header: object, columns: list[str], rows: int) -> None:
        for name in ("one", "two"):
            (project / f"{name}.csv").write_text("a,b\n1,2\n")
        frame = Dataset.Tabular.from_delimited_files("*.csv", header=header).to_pandas_dataframe()  # type: ignore[arg-type]
        assert ([*frame.columns], len(frame)) == (columns, rows)

    def test_each_row_can_name_its_file(self, project: Path) -> None:
        (project / "in").mkdir()
        (project / "in/x.csv").write_text("a\n1\n")
        frame = Dataset.Tabular.from_delimited_files("in", include_path=True).to_pandas_dataframe()
        assert frame.to_dict("list") == {"Path": ["/x.csv"], "a": [1]}

    def test_parquet_and_json_lines(self, project: Path, titanic: TabularDataset) -> None:
        titanic.to_pandas_dataframe().to_parquet("titanic.parquet")
        (project / "rows.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
        assert len(Dataset.Tabular.from_parquet_files("titanic.parquet").to_pandas_dataframe()) == 3
        assert Dataset.Tabular.from_json_lines_files("rows.jsonl").to_pandas_dataframe()["a"].tolist() == [1, 2]

    def test_steps_choose_rows_and_columns(self, titanic: TabularDataset) -> None:
        assert titanic.skip(1).take(1).to_pandas_dataframe()["Name"].tolist() == ["Ben"]
        assert [*titanic.keep_columns(["Fare", "Name"]).to_pandas_dataframe().columns] == ["Fare", "Name"]
        assert [*titanic.drop_columns("Born").to_pandas_dataframe().columns] == ["Name", "Age", "Fare", "Gone"]
        assert len(titanic.to_pandas_dataframe()) == 3, "a dataset itself never changes"

    def test_a_filter_keeps_rows(self, titanic: TabularDataset) -> None:
        chosen = titanic.filter(((titanic["Fare"] > 7.6) & titanic["Gone"]) | titanic["Age"].is_null())
        assert chosen.to_pandas_dataframe()["Name"].tolist() == ["Ben", "Cid"]
        assert titanic.filter(~(titanic["Name"] == "Ana")).take(1).to_pandas_dataframe()["Name"].tolist() == ["Ben"]
        assert len(titanic.filter(titanic["Born"] >= "1891-01-01").to_pandas_dataframe()) == 2
        with pytest.raises(UserErrorException, match="join conditions by"):
            titanic.filter(titanic["Fare"] > 1 and titanic["Gone"])
        with pytest.raises(UserErrorException, match="needs a condition"):
            titanic.filter("Fare > 1")  # type: ignore[arg-type]

    def test_the_parts_of_a_split_are_all_rows(self, titanic: TabularDataset, workspace: Workspace) -> None:
        first, second = titanic.random_split(0.5, seed=7)
        names = first.to_pandas_dataframe()["Name"].tolist() + second.to_pandas_dataframe()["Name"].tolist()
        assert sorted(names) == ["Ana", "Ben", "Cid"]
        kept = first.register(workspace, "train")
        again = Dataset.get_by_name(workspace, "train").to_pandas_dataframe()
        assert again["Name"].tolist() == kept.to_pandas_dataframe()["Name"].tolist()

    def test_columns_that_are_missing_are_named(self, titanic: TabularDataset) -> None:
        with pytest.raises(DatasetExecutionError, match=r"no column 'Nope'.*Name, Age"):
            titanic.keep_columns("Nope", validate=True)
        assert issubclass(DatasetExecutionError, UserErrorException)

    def test_a_file_that_goes_or_is_of_another_form_is_named(self, titanic: TabularDataset, project: Path) -> None:
        (project / "titanic.csv").unlink()
        with pytest.raises(DatasetExecutionError, match=r"titanic\.csv"):
            titanic.to_pandas_dataframe()
        (project / "x.parquet").write_text("no parquet")
        with pytest.raises(DatasetExecutionError, match=r"x\.parquet cannot be read as parquet"):
            Dataset.Tabular.from_parquet_files("x.parquet").to_pandas_dataframe()

    def test_a_table_is_registered_from_pandas(self, workspace: Workspace, titanic: TabularDataset) -> None:
        frame, store = titanic.to_pandas_dataframe(), Datastore.get_default(workspace)
        for version in (1, 2):
            dataset = Dataset.Tabular.register_pandas_dataframe(
                frame, (store, "tables"), "titanic", show_progress=False
            )
            assert dataset.version == version
        pd.testing.assert_frame_equal(dataset.to_pandas_dataframe(), frame)

    def test_rows_become_files(self, titanic: TabularDataset) -> None:
        files = titanic.take(1).keep_columns("Name").to_csv_files()
        (path,) = files.download("csv")
        assert Path(path).read_text() == "Name\nAna\n"

    def test_what_is_not_there_says_what_to_do(self, titanic: TabularDataset) -> None:
        with pytest.raises(UserErrorException, match="register_pandas_dataframe"):
            Dataset.Tabular.from_sql_query((None, "select 1"))
        with pytest.raises(UserErrorException, match="include_path=True"):
            Dataset.Tabular.from_delimited_files("titanic.csv", partition_format="{x}")
        with pytest.raises(UserErrorException, match="has no path"):
            titanic.as_named_input("x").as_mount().submitted(Path("inputs"))


class TestPlaces:
    def test_a_file_that_is_missing_is_an_error_at_once(self, project: Path, workspace: Workspace) -> None:
        with pytest.raises(DatasetValidationError, match=r"no file .*nowhere\.csv"):
            Dataset.Tabular.from_delimited_files("nowhere.csv")
        with pytest.raises(DatasetValidationError, match="workspaceblobstore"):
            Dataset.File.from_files((Datastore.get_default(workspace), "nowhere/*.csv"))
        assert Dataset.Tabular.from_delimited_files("nowhere.csv", validate=False).version is None

    def test_files_come_from_the_web(self, web: str, titanic: TabularDataset) -> None:
        dataset = Dataset.Tabular.from_delimited_files(f"{web}/titanic.csv?sig=geheim")
        assert len(dataset.to_pandas_dataframe()) == 3
        assert "geheim" not in repr(dataset)
        (path,) = Dataset.File.from_files([f"{web}/titanic.csv"]).download("web")
        assert Path(path).read_text() == TITANIC

    def test_a_web_address_that_does_not_answer_is_one_sentence(self, web: str) -> None:
        missing = Dataset.Tabular.from_delimited_files(f"{web}/nowhere.csv?sig=geheim")
        with pytest.raises(DatasetExecutionError, match=r"nowhere\.csv cannot be read") as caught:
            missing.to_pandas_dataframe()
        assert "geheim" not in str(caught.value)

    @pytest.mark.parametrize("path", [5, [], [None], {"a": 1}])
    def test_something_else_is_no_path(self, path: object) -> None:
        with pytest.raises(UserErrorException, match="path"):
            Dataset.File.from_files(path)  # type: ignore[arg-type]


class TestFiles:
    @pytest.fixture
    def files(self, project: Path) -> FileDataset:
        for name in ("a.txt", "b.txt", "deep/c.txt"):
            (project / "files" / name).parent.mkdir(exist_ok=True, parents=True)
            (project / "files" / name).write_text(name)
        return Dataset.File.from_files("files")

    def test_they_are_downloaded_with_their_folders(self, files: FileDataset, project: Path) -> None:
        assert files.to_path() == ["/a.txt", "/b.txt", "/deep/c.txt"]
        assert len(files.download("copy")) == 3
        assert (project / "copy/deep/c.txt").read_text() == "deep/c.txt"
        with pytest.raises(UserErrorException, match="overwrite=True"):
            files.download("copy")
        assert len(files.download("copy", overwrite=True)) == 3

    def test_steps_choose_files(self, files: FileDataset) -> None:
        assert files.skip(1).take(1).to_path() == ["/b.txt"]
        first, second = files.random_split(0.5, seed=3)
        assert sorted(first.to_path() + second.to_path()) == files.to_path()

    def test_a_mount_is_a_folder(self, files: FileDataset, project: Path) -> None:
        with files.mount() as mount:
            assert mount.mount_point == str(project / "files"), "a folder on this machine is used in its place"
        with files.take(1).mount() as mount:
            assert [path.name for path in Path(mount.mount_point).iterdir()] == ["a.txt"]

    def test_a_folder_is_uploaded_as_a_dataset(self, files: FileDataset, workspace: Workspace) -> None:
        store = Datastore.get_default(workspace)
        dataset = Dataset.File.upload_directory("files", (store, "up"), pattern="*.txt", show_progress=False)
        assert dataset.to_path() == files.to_path()


class TestRegistration:
    def test_a_name_has_versions(self, workspace: Workspace, titanic: TabularDataset) -> None:
        first = titanic.register(workspace, "titanic", description="all", tags={"area": "demo"})
        assert (first.name, first.version, first.tags) == ("titanic", 1, {"area": "demo"})
        with pytest.raises(UserErrorException, match="create_new_version=True"):
            titanic.take(1).register(workspace, "titanic")
        second = titanic.take(1).register(workspace, "titanic", create_new_version=True)
        assert second.version == 2
        assert titanic.register(workspace, "titanic", create_new_version=True).version == 1, "the data is there already"
        assert Dataset.get_by_name(workspace, "titanic").version == 2
        assert len(Dataset.get_by_name(workspace, name="titanic", version=1).to_pandas_dataframe()) == 3
        assert Dataset.get_by_id(workspace, id=second.id or "").version == 2
        assert {name: one.version for name, one in workspace.datasets.items()} == {"titanic": 2}

    def test_one_that_is_missing_raises_with_a_token(self, workspace: Workspace, titanic: TabularDataset) -> None:
        with pytest.raises(UserErrorException, match="DatasetNotFound"):
            Dataset.get_by_name(workspace, "titanic")
        titanic.register(workspace, "titanic")
        with pytest.raises(UserErrorException, match=r"DatasetNotFound.*no version 7.*It has: 1"):
            Dataset.get_by_name(workspace, "titanic", 7)
        with pytest.raises(UserErrorException, match="Rule: a number"):
            Dataset.get_by_name(workspace, "titanic", "newest")
        with pytest.raises(UserErrorException, match="DatasetNotFound"):
            Dataset.get_by_id(workspace, "nowhere")

    def test_tags_and_description_change(self, workspace: Workspace, titanic: TabularDataset) -> None:
        dataset = titanic.register(workspace, "titanic", tags={"a": "1"})
        dataset.add_tags({"b": "2"}).remove_tags(["a"])
        assert Dataset.get_by_name(workspace, "titanic").tags == {"b": "2"}
        assert dataset.update(description="new", tags={"c": "3"}).description == "new"
        assert Dataset.get_by_name(workspace, "titanic").tags == {"c": "3"}
        with pytest.raises(UserErrorException, match="is not registered"):
            titanic.add_tags({"a": "1"})

    def test_a_version_number_is_never_used_twice(self, workspace: Workspace, titanic: TabularDataset) -> None:
        titanic.register(workspace, "titanic").unregister_all_versions()
        assert workspace.datasets == {}
        assert titanic.register(workspace, "titanic").version == 2

    @pytest.mark.parametrize("name", ["", "a/b", "-x"])
    def test_a_name_against_the_rule_is_refused(self, workspace: Workspace, titanic: TabularDataset, name: str) -> None:
        with pytest.raises(UserErrorException, match="Use 1 to 255"):
            titanic.register(workspace, name)
