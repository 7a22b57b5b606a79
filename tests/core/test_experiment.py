"""Experiments and runs that a notebook logs itself."""

from __future__ import annotations

import io
import json
import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update

from mljupyter.core import Dataset, Experiment, Model, Run, Workspace
from mljupyter.core.run import _OfflineRun, get_run
from mljupyter.deploy.gc import collect_garbage
from mljupyter.exceptions import (
    RunEnvironmentException,
    TrainingException,
    UserErrorException,
    WebserviceException,
)
from mljupyter.registry.catalog.transactions import writing
from mljupyter.tracking.tables import RUN_FILES, RUNS

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def experiment(shared_workspace: Workspace) -> Experiment:
    return Experiment(shared_workspace, "diabetes")


@pytest.fixture
def run(experiment: Experiment) -> Iterator[Run]:
    yield (run := experiment.start_logging())
    run.complete()


class TestExperiments:
    def test_a_name_is_created_once_and_found_again(self, workspace: Workspace) -> None:
        first = Experiment(workspace, "diabetes")
        assert Experiment(workspace=workspace, name="diabetes").id == first.id
        assert {*workspace.experiments} == {"diabetes"}

    @pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 256, 5])
    def test_a_name_against_the_rule_is_refused(self, workspace: Workspace, name: object) -> None:
        with pytest.raises(UserErrorException, match="Use 1 to 255"):
            Experiment(workspace, name)  # type: ignore[arg-type]

    def test_an_archived_one_is_hidden_and_comes_back_under_another_name(self, workspace: Workspace) -> None:
        experiment = Experiment(workspace, "old")
        experiment.archive()
        assert workspace.experiments == {}
        assert [one.name for one in Experiment.list(workspace, view_type="ArchivedOnly")] == ["old"]
        experiment.reactivate("new")
        assert {*workspace.experiments} == {"new"}

    def test_tags_filter_the_list(self, workspace: Workspace) -> None:
        Experiment(workspace, "one").tag("area", "demo")
        Experiment(workspace, "two").set_tags({"area": "other"})
        assert [one.name for one in Experiment.list(workspace, tags=[["area", "demo"]])] == ["one"]

    def test_only_one_without_runs_is_deleted(self, workspace: Workspace) -> None:
        experiment = Experiment(workspace, "empty")
        Experiment.delete(workspace, experiment.id)
        with pytest.raises(UserErrorException, match="ExperimentNotFound"):
            Experiment.delete(workspace, experiment.id)
        used = Experiment(workspace, "used")
        used.start_logging()
        with pytest.raises(UserErrorException, match="has runs"):
            Experiment.delete(workspace, used.id)

    def test_other_arguments_of_a_run_are_refused(self, experiment: Experiment) -> None:
        with pytest.raises(UserErrorException, match="start_logging does not take colour"):
            experiment.start_logging(colour="blue")

    def test_something_else_is_not_submitted(self, experiment: Experiment) -> None:
        with pytest.raises(UserErrorException, match=r"ScriptRunConfig\('\.', 'train.py'\)"):
            experiment.submit(object())  # type: ignore[arg-type]


class TestMetrics:
    def test_all_forms_come_back(self, run: Run) -> None:
        run.log("alpha", 0.5)
        for step, loss in enumerate([3, 2.5, math.inf]):
            run.log("loss", loss, step=step)
        run.log_list("names", ["a", "b"])
        run.log_row("point", x=1, y=2)
        run.log_row("point", x=3, y=4)
        run.log_table("table", {"k": [1, 2], "v": ["x", "y"]})
        assert run.get_metrics() == {
            "alpha": 0.5,
            "loss": [3, 2.5, math.inf],
            "names": ["a", "b"],
            "point": {"x": [1, 3], "y": [2, 4]},
            "table": {"k": [1, 2], "v": ["x", "y"]},
        }
        assert run.get_metrics(name="alpha") == {"alpha": 0.5}

    def test_values_of_numpy_are_numbers(self, run: Run) -> None:
        numpy = pytest.importorskip("numpy")
        run.log("mean", numpy.float32(0.5))
        run.log_list("values", numpy.array([1, 2]))
        assert run.get_metrics() == {"mean": 0.5, "values": [1, 2]}

    def test_an_image_is_a_file_of_the_run(self, run: Run, project: Path) -> None:
        (project / "plot.png").write_bytes(PNG)
        run.log_image("residuals", "plot.png")
        run.log_image("residuals", "plot.png")
        assert run.get_metrics() == {"residuals": ["residuals.png", "residuals_2.png"]}
        run.download_file("residuals.png", "copy.png")
        assert (project / "copy.png").read_bytes() == PNG
        with pytest.raises(UserErrorException, match="a path or a plot"):
            run.log_image("residuals")

    def test_a_figure_is_drawn(self, run: Run) -> None:
        figure = pytest.importorskip("matplotlib.figure").Figure()
        run.log_image("figure", plot=figure)
        run.download_file("figure.png")
        assert Path("figure.png").read_bytes().startswith(PNG)

    def test_documents_are_files_of_the_run(self, run: Run) -> None:
        run.log_confusion_matrix("matrix", {"schema_type": "confusion_matrix", "data": {}})
        assert run.get_metrics() == {"matrix": "matrix.json"}
        run.download_file("matrix.json")
        assert json.loads(Path("matrix.json").read_text())["schema_type"] == "confusion_matrix"

    def test_a_value_of_another_type_is_refused(self, run: Run) -> None:
        with pytest.raises(UserErrorException, match="'model' has a value of type object"):
            run.log("model", object())

    def test_several_threads_log_at_once(self, run: Run) -> None:
        threads = [threading.Thread(target=lambda: [run.log("n", 1) for _ in range(5)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert run.get_metrics() == {"n": [1] * 20}


class TestFiles:
    def test_files_are_stored_and_come_back(self, run: Run, project: Path) -> None:
        (project / "model.pkl").write_text("weights")
        run.upload_file("outputs/model.pkl", "model.pkl")
        run.upload_file("outputs/stream.txt", io.StringIO("text"))
        run.upload_files(["a.txt", "b/c.txt"], ["model.pkl", "model.pkl"])
        assert run.get_file_names() == ["a.txt", "b/c.txt", "outputs/model.pkl", "outputs/stream.txt"]
        run.download_files("outputs", "copies", append_prefix=False)
        assert {path.name for path in (project / "copies").iterdir()} == {"model.pkl", "stream.txt"}
        run.download_files(output_directory="all")
        assert (project / "all/b/c.txt").read_text() == "weights"

    def test_a_folder_is_stored(self, run: Run, project: Path) -> None:
        (project / "plots/deep").mkdir(parents=True)
        (project / "plots/deep/x.txt").write_text("x")
        assert run.upload_folder("outputs/plots", "plots") == ["outputs/plots/deep/x.txt"]

    def test_a_file_is_uploaded_once(self, run: Run, project: Path) -> None:
        (project / "a.txt").write_text("a")
        run.upload_file("a.txt", "a.txt")
        with pytest.raises(UserErrorException, match="another name"):
            run.upload_file("a.txt", "a.txt")

    @pytest.mark.parametrize("name", ["../a.txt", "", "/"])
    def test_a_path_out_of_the_run_is_refused(self, run: Run, project: Path, name: str) -> None:
        (project / "a.txt").write_text("a")
        with pytest.raises(UserErrorException, match="Rule: relative"):
            run.upload_file(name, "a.txt")

    def test_a_file_that_is_missing_is_named_with_those_that_are_there(self, run: Run, project: Path) -> None:
        (project / "a.txt").write_text("a")
        run.upload_file("a.txt", "a.txt")
        with pytest.raises(UserErrorException, match=r"ArtifactNotFound.*'b\.txt'.*It has: a\.txt"):
            run.download_file("b.txt")
        with pytest.raises(UserErrorException, match="is not a file"):
            run.upload_file("c.txt", "nowhere.txt")

    def test_outputs_are_stored_when_the_run_ends(self, experiment: Experiment, project: Path) -> None:
        (project / "outputs").mkdir()
        with experiment.start_logging() as run:
            (project / "outputs/model.pkl").write_text("weights")
            run.upload_file("outputs/early.txt", io.BytesIO(b"early"))
        assert run.get_file_names() == ["outputs/early.txt", "outputs/model.pkl"]
        with experiment.start_logging(outputs=False) as without:
            pass
        assert without.get_file_names() == []

    def test_a_source_directory_is_stored_when_it_is_named(self, experiment: Experiment, project: Path) -> None:
        (project / "train.py").write_text("print(1)")
        with experiment.start_logging(snapshot_directory=".") as run:
            pass
        copy = run.restore_snapshot(path=project / "restored")
        assert (Path(copy) / "train.py").read_text() == "print(1)"

    def test_the_garbage_collection_keeps_them(self, workspace: Workspace, project: Path) -> None:
        (project / "a.txt").write_text("a")
        run = Experiment(workspace, "kept").start_logging()
        run.upload_file("a.txt", "a.txt")
        workspace.registry.collect_garbage(workspace.context.tracking.digests)
        collect_garbage(workspace.context)
        run.download_file("a.txt", "again.txt")
        assert (project / "again.txt").read_text() == "a"


class TestStatus:
    def test_a_block_completes_the_run(self, experiment: Experiment) -> None:
        with experiment.start_logging() as run:
            assert run.get_status() == "Running"
        assert run.status == "Completed"
        details = run.get_details()
        assert details["runId"] == run.id and details["startTimeUtc"] <= details["endTimeUtc"]

    def test_an_exception_fails_it_and_goes_on(self, experiment: Experiment) -> None:
        with pytest.raises(ZeroDivisionError), experiment.start_logging() as run:
            _ = 1 / 0
        assert run.get_status() == "Failed"
        assert "ZeroDivisionError" in run.get_details()["error"]["error"]["message"]

    def test_one_that_has_ended_stays(self, experiment: Experiment) -> None:
        run = experiment.start_logging()
        run.cancel()
        run.complete()
        assert run.get_status() == "Canceled"

    def test_nothing_is_waited_for_without_a_script(self, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        assert run.wait_for_completion(show_output=True)["status"] == "Running"
        assert "run.complete()" in capsys.readouterr().out

    def test_the_object_of_another_process_sees_it(self, run: Run, shared_workspace: Workspace) -> None:
        run.tag("area", "demo")
        found = Run.get(shared_workspace, run.id)
        assert found.get_tags() == {"area": "demo"}
        assert shared_workspace.get_run(run.id).number == get_run(run.experiment, run.id).number == run.number
        with pytest.raises(UserErrorException, match="RunNotFound"):
            Run.get(shared_workspace, "nowhere")


class TestTags:
    def test_tags_change_and_properties_are_only_added(self, run: Run) -> None:
        run.tag("quality", "good")
        run.tag("mark")
        run.set_tags({"quality": "better", "n": 1})  # type: ignore[dict-item]
        run.remove_tags(["mark"])
        assert run.get_tags() == {"quality": "better", "n": "1"}
        run.add_properties({"author": "ana"})
        assert run.get_properties() == {"author": "ana"}
        with pytest.raises(UserErrorException, match="only added"):
            run.add_properties({"author": "ben"})

    def test_runs_are_found_by_tags_and_properties_the_newest_first(self, workspace: Workspace) -> None:
        experiment = Experiment(workspace, "search")
        runs = [experiment.start_logging() for _ in range(3)]
        for place, run in enumerate(runs):
            run.tag("parity", "even" if place % 2 == 0 else "odd")
        runs[0].add_properties({"author": "ana"})
        assert [run.number for run in experiment.get_runs()] == [3, 2, 1]
        assert [run.number for run in experiment.get_runs(tags={"parity": "even"})] == [3, 1]
        assert [run.number for run in experiment.get_runs(tags="parity", properties={"author": "ana"})] == [1]
        assert [run.number for run in Run.list(experiment, status="Completed")] == []

    def test_display_name_and_description_can_be_set(self, run: Run, shared_workspace: Workspace) -> None:
        run.display_name, run.description = "ridge", "alpha 0.5"
        found = Run.get(shared_workspace, run.id)
        assert (found.display_name, found.description) == ("ridge", "alpha 0.5")


class TestChildren:
    def test_children_have_their_parent_and_are_not_listed_with_it(self, experiment: Experiment, run: Run) -> None:
        with run.child_run("fold 1") as child:
            child.log("mse", 1)
        with child.child_run("inner") as inner:
            inner.log("mse", 2)
        assert child.parent is not None and child.parent.id == run.id
        assert [one.id for one in run.get_children()] == [child.id]
        assert {one.id for one in run.get_children(recursive=True)} == {child.id, inner.id}
        assert run.get_metrics(recursive=True) == {run.id: {}, child.id: {"mse": 1}, inner.id: {"mse": 2}}
        listed = [one.id for one in experiment.get_runs()]
        assert run.id in listed and child.id not in listed
        assert child.id in [one.id for one in experiment.get_runs(include_children=True)]

    def test_several_get_a_tag_each(self, run: Run) -> None:
        children = run.create_children(tag_key="fold", tag_values=["1", "2"])
        assert [child.get_tags() for child in children] == [{"fold": "1"}, {"fold": "2"}]
        with pytest.raises(UserErrorException, match="create_children needs"):
            run.create_children()


class TestModels:
    def test_a_file_becomes_a_model_that_knows_its_run(self, run: Run, project: Path) -> None:
        (project / "ridge.pkl").write_text("weights")
        run.upload_file("outputs/ridge.pkl", "ridge.pkl")
        data = Dataset.File.from_files("ridge.pkl")
        model = run.register_model(
            "run-model", "outputs/ridge.pkl", tags={"area": "demo"}, datasets=[(Dataset.Scenario.TRAINING, data)]
        )
        assert (model.run_id, model.experiment_name) == (run.id, "diabetes")
        assert model.run is not None and model.run.id == run.id
        assert Path(model.download("fetched")).name == "ridge.pkl"
        assert [one.id for one in Model.list(run.experiment.workspace, run_id=run.id)] == [model.id]

    def test_a_folder_becomes_a_model(self, run: Run, project: Path) -> None:
        (project / "net/deep").mkdir(parents=True)
        (project / "net/deep/weights.bin").write_text("w")
        run.upload_folder("outputs/net", "net")
        model = run.register_model("folder-model", "outputs/net")
        assert (Path(model.download("fetched")) / "deep/weights.bin").read_text() == "w"

    def test_a_file_of_outputs_need_not_be_stored_before(self, run: Run, project: Path) -> None:
        (project / "outputs").mkdir()
        (project / "outputs/late.pkl").write_text("weights")
        assert run.register_model("late-model", "outputs/late.pkl").name == "late-model"

    def test_a_file_that_is_missing_registers_nothing(self, run: Run) -> None:
        with pytest.raises(UserErrorException, match="ArtifactNotFound"):
            run.register_model("no-model", "outputs/nowhere.pkl")
        with pytest.raises(WebserviceException, match="ModelNotFound"):
            Model(run.experiment.workspace, "no-model")


class TestForeignRows:
    """A database that a team shares is written by others; their values become paths here."""

    @pytest.mark.parametrize("run_id", ["../../x", "a/b", "x" * 256])
    def test_an_id_that_is_a_path_is_refused(self, run: Run, run_id: str) -> None:
        with pytest.raises(UserErrorException, match="Invalid run name"):
            run.child_run(run_id=run_id)

    def test_an_id_or_a_file_that_leads_out_is_not_read(self, workspace: Workspace) -> None:
        run = Experiment(workspace, "foreign").start_logging(outputs=False)
        engine = workspace.registry.engine
        row = {"run_id": run.id, "digest": f"sha256:{'0' * 64}", "size": 1, "time": datetime.now(UTC)}
        with writing(engine) as connection:
            connection.execute(insert(RUN_FILES).values(path="../../outside.txt", **row))
        with pytest.raises(UserErrorException, match=r"without '\.\.'"):
            run.download_files(output_directory="here")
        with writing(engine) as connection:
            connection.execute(delete(RUN_FILES))
            connection.execute(update(RUNS).values(id="../../outside"))
        with pytest.raises(UserErrorException, match="which is no id"):
            [*run.experiment.get_runs()]


class TestContext:
    def test_without_a_submitted_script_values_are_printed_and_kept(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Run.get_context() as run:
            run.log("acc", 0.9)
            run.log_list("values", [1, 2])
            run.tag("area", "demo")
            run.upload_file("outputs/a.txt", "a.txt")
        assert isinstance(run, _OfflineRun) and run.id.startswith("OfflineRun")
        assert run.get_metrics() == {"acc": 0.9, "values": [1, 2]} and run.get_tags() == {"area": "demo"}
        assert run.get_status() == "Completed"
        assert "acc: 0.9" in capsys.readouterr().out

    def test_it_has_no_experiment(self) -> None:
        with pytest.raises(AttributeError, match=r"Workspace\.from_config\(\)"):
            Run.get_context().experiment  # noqa: B018
        assert not hasattr(Run.get_context(), "experiment")

    def test_it_is_refused_where_a_run_is_needed(self) -> None:
        with pytest.raises(RunEnvironmentException, match=r"Experiment\.submit"):
            Run.get_context(allow_offline=False)
        assert issubclass(RunEnvironmentException, TrainingException)
