"""The module of a scoring script shadows nothing, and serves as any module does: pickles, sources, child processes."""

from __future__ import annotations

import importlib
import sys
import tempfile
import textwrap
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mljupyter.scoring.worker.script_module import free_name, is_second_name
from tests.scoring.conftest import Replica

EXPRESSIONS = """
    from __future__ import annotations

    import dataclasses, importlib, inspect, multiprocessing, pickle, sys, typing
    from azureml.core.model import Model as Registered  # child processes that import the script need it too

    import helper_of_mine

    @dataclasses.dataclass
    class Point:
        x: int
        y: typing.Optional[Point] = None

    class Model:
        def predict(self): return 7

    def square(x): return x * x

    def pool(method, function, values):
        with multiprocessing.get_context(method).Pool(1) as found:
            return found.map(function, values)

    def init(): pass

    def run(data): return eval(data)
"""


@contextmanager
def served(entry: str, files: dict[str, str], *flags: str, script: str = EXPRESSIONS) -> Iterator[Replica]:
    """Serve a script beside other files, from another directory, as the runtimes do."""
    with tempfile.TemporaryDirectory(prefix="mlj") as path:
        directory = Path(path)
        for name, text in {"helper_of_mine.py": "VALUE = 9\n", **files, entry: textwrap.dedent(script)}.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        arguments = ["--entry-script", entry, "--app-root", path, *flags]
        replica = Replica(directory, None, *arguments, cwd=Path(__file__).parent)
        try:
            yield replica.wait_ready()
        finally:
            replica.end()


@pytest.mark.parametrize(
    ("entry", "files", "is_known"),
    [
        ("own_script.py", [], True),
        ("own_script/own_script.py", [], True),  # a directory without __init__.py is no package
        ("own_script/own_script.py", ["own_script/__init__.py"], False),
        ("own_script.py", ["own_script/__init__.py"], False),
        ("elsewhere/own_script.py", [], False),
        ("joblib.py", [], False),
        ("numpy.py", [], False),
        ("json.py", [], False),
        ("types.py", [], False),
        ("own.script.py", [], False),
        ("own-script.py", [], True),
    ],
)
def test_a_script_has_the_name_of_its_file_only_where_an_import_finds_this_file(
    entry: str, files: list[str], is_known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in (entry, *files):
        (tmp_path / one).parent.mkdir(exist_ok=True)
        (tmp_path / one).write_text("")
    places = [tmp_path, tmp_path / "own_script"]  # the app root and the source directory
    monkeypatch.setattr(sys, "path", [*sys.path, *map(str, places)])
    assert is_second_name(Path(entry).stem, str(tmp_path / entry)) is is_known


def test_a_module_entry_module_of_the_users_own_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert free_name() == "entry_module"
    (tmp_path / "entry_module.py").write_text("")
    importlib.invalidate_caches()
    assert free_name() == "entry_module_2"


PARALLEL = "(lambda j: j.Parallel(n_jobs=2)(j.delayed(square)(n) for n in (1, 2)))(__import__('joblib'))"
PICKLED = "pickle.loads(b'c{}\\nModel\\n)R.').predict()"
QUESTIONS = {
    "helper_of_mine.VALUE": 9,
    "pickle.loads(pickle.dumps(Point(1))).x": 1,
    PICKLED.format("__main__"): 7,  # pickled in a notebook, where the script's class was defined
    "inspect.getsource(square)": "def square(x): return x * x\n",
    "inspect.getsource(Point).splitlines()[1]": "class Point:",
    "typing.get_type_hints(Point)['y'] == typing.Optional[Point]": True,
    "importlib.util.find_spec(__name__).origin == __file__": True,
    "sys.modules[__name__].run is run": True,
    "hasattr(sys.modules['__main__'], 'no_such_name')": False,
    "pool('fork', square, [2])": [4],
    "pool('spawn', square, [3])": [9],
    "pool('spawn', Model.predict, [Model()])": [7],
}


def test_a_script_inside_a_package_of_its_name_serves_as_any_module() -> None:
    with served("score/score.py", {"score/__init__.py": "", "score/helpers.py": "VALUE = 8\n"}) as replica:
        found = {one: replica.score(one).json() for one in QUESTIONS}
        assert found == QUESTIONS, replica.log()[-3000:]
        assert replica.score("importlib.import_module('score.helpers').VALUE").json() == 8
        assert replica.score("__name__").json() == "entry_module", "as with azureml-inference-server-http"
        assert replica.score(PARALLEL).json() == [1, 4], replica.log()[-3000:]


def test_a_script_that_an_import_finds_is_one_module_under_both_names_here_and_in_child_processes() -> None:
    uses_script = {"uses_script.py": "from own_script import square\n"}
    with served("own_script.py", uses_script) as replica:
        found = {one: replica.score(one).json() for one in QUESTIONS}
        assert found == QUESTIONS, replica.log()[-3000:]
        assert replica.score("importlib.import_module('uses_script').square is square").json() is True
        assert replica.score(PICKLED.format("own_script")).json() == 7
        assert replica.score("sys.modules['own_script'] is sys.modules['entry_module']").json() is True
        assert replica.score(PARALLEL).json() == [1, 4], replica.log()[-3000:]


def test_a_script_named_like_an_installed_package_leaves_the_package_to_imports() -> None:
    beside = {"mljupyter/__init__.py": "", "conda.py": "VALUE = 6\n", "statistics.py": "raise SystemExit('not this')\n"}
    with served("joblib.py", beside) as replica:
        assert replica.score("importlib.import_module('joblib').hash(1) != ''").json() is True
        assert replica.score("importlib.import_module('statistics').mean([1, 3])").json() == 2
        assert replica.score("importlib.import_module('conda').VALUE").json() == 6


def test_a_script_that_no_import_finds_is_known_to_pickles_by_the_name_of_its_file() -> None:
    with served("code/types_of_mine.py", {}) as replica:
        assert replica.score(PICKLED.format("types_of_mine")).json() == 7
        assert replica.score("importlib.import_module('types_of_mine').run is run").json() is True


def test_an_interpreter_without_this_package_serves_such_a_script_as_well(tmp_path: Path) -> None:
    venv.create(tmp_path / "other", symlinks=True)
    python = str(tmp_path / "other/bin/python")
    with served("json.py", {"score/__init__.py": ""}, "--worker-python", python) as replica:
        found = {one: replica.score(one).json() for one in QUESTIONS}
        assert found == QUESTIONS, replica.log()[-3000:]
        assert replica.score("importlib.import_module('json').loads('[1]')").json() == [1]


def test_the_command_starts_where_modules_beside_the_script_are_named_like_those_of_the_library() -> None:
    with tempfile.TemporaryDirectory(prefix="mlj") as path:
        for name in ("signal", "json", "socket", "logging", "uvicorn"):
            (Path(path) / f"{name}.py").write_text("raise SystemExit('not this one')\n")
        replica = Replica(Path(path), "def init(): pass\ndef run(data): return __name__\n")
        try:
            assert replica.wait_ready().score("").json() == "entry_module"
        finally:
            replica.end()
