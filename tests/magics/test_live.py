"""The magics with real endpoints: deploy, again, change, invoke, look, undeploy."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mljupyter.core import Webservice, Workspace
from mljupyter.core.batch import Progress
from mljupyter.magics.commands import invoke
from mljupyter.notebook.session import session_of
from mljupyter.notebook.views.progress import ShownProgress
from mljupyter.widgets.panels.log_sources import EndpointLog
from mljupyter.widgets.wizards.try_form import TryForm
from tests.clients import answers
from tests.magics.conftest import SCRIPT, Shell
from tests.waiting import wait_until

pytestmark = pytest.mark.system

TYPED = """\
import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema

def init():
    pass

@input_schema("data", PandasParameterType(pd.DataFrame({"age": [1.5, 2], "sex": ["it's", "f"]})))
def run(data):
    return data.to_dict("records")
"""

WAITING = """\
import time

def init():
    time.sleep(600)

def run(data):
    return data
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell whose workspace has the endpoint 'adder'."""
    directory = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("MLJUPYTER_HOME", str(directory / "home"))
        patch.setenv("MLJUPYTER_WORKSPACE", "default")
        shell = Shell()
        shell.run("%mlj workspace live-team --create")
        shell.run(f"%%score sums\n{SCRIPT}")
        shell.run("adder = %deploy adder --score sums --kind aci")
        yield shell
        shell.close()
        Workspace.get("live-team").delete(delete_dependent_resources=True)


def test_stages_are_told_without_anything_that_changes_between_runs(
    live: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    service = live.run("%deploy staged --score sums --replicas 1")
    assert capsys.readouterr().out.startswith("staged → local: create\n  script  sums ✓\n  start   Healthy ✓\n")
    assert service.state == "Healthy"
    live.run("%undeploy staged")


def test_deploying_again_changes_nothing(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    before = live.run("%endpoints").data
    capsys.readouterr()
    service = live.run("%deploy adder --score sums --kind aci")
    assert capsys.readouterr().out.startswith("adder → local: unchanged\n")
    assert service.name == "adder"
    assert live.run("%endpoints").data == before


def test_a_change_is_an_update_that_keeps_tags(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    live.variables["adder"].add_tags({"team": "blue"})
    plan = live.run("%deploy adder --score sums --kind aci --cpu 0.2 --dry-run").text()
    assert plan == (
        "adder → local: update (dry run, nothing done)\n"
        "  versions.adder.resources.cpu: 0.1 → 0.2\n"
        "  versions.adder.resources.cpuLimit: none → 0.2"
    )
    capsys.readouterr()
    service = live.run("%deploy adder --score sums --kind aci --cpu 0.2")
    assert capsys.readouterr().out.startswith(
        "adder → local: update\n  versions.adder.resources.cpu: 0.1 → 0.2\n"
        "  versions.adder.resources.cpuLimit: none → 0.2\n"
    )
    assert service.tags == {"team": "blue"}
    kept = live.run("%deploy adder --score sums --dry-run").text()
    assert kept == "adder → local: unchanged (dry run, nothing done)"
    live.run("%deploy adder --score sums --kind aci --quiet")


def test_the_port_that_was_chosen_for_a_local_web_service_is_no_change(
    live: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    live.run("%deploy near --score sums --kind local")
    capsys.readouterr()
    live.run("%deploy near --score sums --kind local")
    assert capsys.readouterr().out.startswith("near → local: unchanged\n")
    live.run("%undeploy near")


def test_data_of_every_kind_is_answered(live: Shell) -> None:
    live.variables["frame"] = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    live.variables["array"] = np.array([[1, 2]])
    assert live.run('%invoke adder {"data": [[1, 2]]}') == [6]
    assert live.run("%invoke adder frame") == [8, 12]
    assert live.run("%invoke adder frame[:1]") == [8]
    assert live.run("%invoke adder array") == [6]
    Path("rows.json").write_text('{"data": [[5]]}')
    assert live.run("%invoke adder @rows.json") == [10]


def test_expressions_keep_their_quotes_and_brackets(live: Shell) -> None:
    live.variables["frame"] = pd.DataFrame({"a": [1, 2], "b c": [3, 4]})
    assert live.run("%invoke adder frame[['b c']]") == [6, 8]
    assert live.run("%invoke adder {'data': frame[['a', 'b c']].to_numpy().tolist()}") == [8, 12]
    assert live.run("%invoke adder frame.query('a == 2')[:1]") == [12]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("%invoke adder {'data': [[(n := 5)]]}", [10]),
        ("%invoke adder (lambda a: {'data': [[a, 1]]})(2)", [6]),
        ("%invoke adder {'data': [[len(f'{name} it{chr(39)}s')]]}", [20]),
        ("%invoke adder {'data': [[len('a b')], [len(\"c'd\")]]}", [6, 6]),
        ("%invoke {name} {'data': [[1]]}", [2]),
        ("%invoke $name {'data': [[1]]}", [2]),
        ("%invoke {'ad' + 'der'} {'data': [[1]]}", [2]),
        ("held.attr = %invoke adder {'data': [[3]]}\nheld.attr", [6]),
        ("held.d['a b'] = %invoke adder {'data': [[4]]}\nheld.d['a b']", [8]),
        ("def asked(name, rows):\n    r = %invoke {name} {'data': rows}\n    return r\nasked('adder', [[6]])", [12]),
        ("def held_by(self):\n    r = %invoke adder self.rows\n    return r\nheld_by(held)", [14]),
    ],
)
def test_expressions_and_names_are_those_of_python(live: Shell, line: str, answer: list[int]) -> None:
    live.variables["name"] = "adder"
    live.run("class Held: d, rows = {}, {'data': [[7]]}\nheld = Held()")
    assert live.run(line) == answer


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rows -o held.attr", "-o held.attr: that is not a name for a variable.*\nWrite TARGET = %invoke ..."),
        ("rows -o class", "-o class: that is not a name for a variable"),
        ("$rows", "'\\$rows' is not a Python expression: .* A variable is given by its name alone: rows"),
        ("{rows}", "{rows} cannot be evaluated: TypeError: .* A variable is given by its name alone: rows"),
        ("rows # the rows", "'#' is one value too many: .* and a comment onto a line of its own"),
        ("-rows[0]", r"-rows\[0\] begins like an option: an expression that begins with - goes into parentheses"),
        ("'some text'", "'some text' is not a Python expression: .*\n.* A text is JSON, with quotes of its own"),
        ("''", "The data is empty"),
        ("rows['a", '"rows\\[\'a" is not a Python expression: unterminated string literal'),
        ("1/0", "1/0 cannot be evaluated: ZeroDivisionError: division by zero"),
        ("rows.nope", "rows.nope cannot be evaluated: AttributeError: 'list' object has no attribute 'nope'"),
        ("import os", "'os' is one value too many"),
    ],
)
def test_an_expression_that_fails_says_what_failed(live: Shell, line: str, said: str) -> None:
    live.variables["rows"] = [[1]]
    assert re.match(said, live.error(f"%invoke adder {line}"))
    assert re.match(r"\$nme in '\$nme' has no value: There is no variable 'nme'", live.error("%invoke $nme rows"))


def test_a_table_is_sent_in_parts_with_progress_and_in_order(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    live.variables["frame"] = pd.DataFrame({"a": range(100)})
    live.variables["frame"].to_csv("rows.csv", index=False)
    capsys.readouterr()
    assert live.run("%invoke adder frame --batch-rows 7 -o result") is None
    shown = capsys.readouterr().out.splitlines()
    assert (shown[0], shown[-1]) == ("0 of 100 rows", "100 of 100 rows")
    assert live.variables["result"] == list(range(0, 200, 2))
    assert live.run("%invoke adder @rows.csv") == live.variables["result"]
    live.variables["rows"] = [[1], [2], ["x"], [4]]
    live.run("%invoke adder rows --batch-rows 2 -o result")
    assert capsys.readouterr().out.splitlines()[-2].startswith("4 rows, 1 failed")
    assert live.variables["result"] == [2, 4, None, 8]
    assert "row 2: status 500" in repr(live.variables["result"])


def test_an_interrupt_keeps_the_parts_that_are_done(live: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    live.variables["rows"] = [[number] for number in range(50)]
    show = ShownProgress.__call__

    def interrupted(self: ShownProgress, progress: Progress) -> None:
        if progress.done >= 20:
            raise KeyboardInterrupt
        show(self, progress)

    with monkeypatch.context() as patch:
        patch.setattr(ShownProgress, "__call__", interrupted)
        said = live.error("%invoke adder rows --batch-rows 5 -o result")
    assert said.startswith("Stopped: 50 rows, 0 failed, ")
    assert "the same line goes on from there" in said
    assert live.variables["result"][:20] == list(range(0, 40, 2))
    live.run("%invoke adder rows --batch-rows 5 -o result")
    assert live.variables["result"] == list(range(0, 100, 2))


def test_a_body_over_the_limit_is_refused_at_once(live: Shell) -> None:
    live.variables["large"] = np.zeros((4_000_000, 30))
    for line in ("%invoke adder large", "%invoke adder 'x' * 105_000_000".replace(" * ", "*")):
        said = live.error(line)
        assert "takes at most 105 MB" in said
        assert "--batch-rows" in said
    assert "has no rows that can be sent in parts" in live.error("%invoke adder 5 --batch-rows 2")


def test_local_variables_of_a_function_come_before_those_of_the_notebook(live: Shell) -> None:
    live.run("rows, kept = {'data': [[1]]}, 'notebook'")
    live.run(
        "def score(rows, batch):\n    one = %invoke adder rows\n    two = %invoke adder {'data': [batch]}\n"
        "    return one, two"
    )
    assert live.run("score({'data': [[5]]}, [7])") == ([10], [14])
    live.run("def stored():\n    kept = None\n    %invoke adder rows -o kept\n    return kept")
    assert live.error("stored()") == (
        "-o kept: it is a local variable of a function, which a magic cannot set.\nWrite kept = %invoke ... without -o."
    )
    assert live.variables["kept"] == "notebook"


def test_the_answer_can_be_kept_or_printed_as_json(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert live.run('%invoke adder {"data": [[1]]} -o answer') is None
    assert capsys.readouterr().out == ""
    assert live.variables["answer"] == [2]
    live.run('%invoke adder {"data": [[1]]} --json')
    assert json.loads(capsys.readouterr().out) == [2]


def test_a_request_that_fails_leads_to_the_log(live: Shell) -> None:
    said = live.error("%invoke adder 5")
    assert "status 500" in said
    assert "%logs adder" in said
    assert "TypeError" in live.run("%logs adder -n 30").text()


def test_endpoints_are_listed_with_the_same_text_every_time(live: Shell) -> None:
    shown = live.run("%endpoints")
    uri = shown[0]["status"]["scoringUri"]
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DATE", shown.text().replace(uri, "URI"))
    assert [line.split() for line in text.splitlines()] == [
        [
            "Name",
            "State",
            "Kind",
            "Target",
            "Models",
            "Replicas",
            "Traffic",
            "Authentication",
            "Scoring",
            "URI",
            "Updated",
        ],
        ["adder", "Healthy", "aci", "local", "none", "1/1", "none", "URI", "DATE"],
    ]
    assert live.run("%endpoints")._repr_html_() == shown._repr_html_()
    assert uri in live.run("%endpoints --uris").text()


def test_an_endpoint_is_shown_with_the_code_of_its_clients_and_without_its_key(live: Shell) -> None:
    service = live.run("%deploy locked --score sums --auth key")
    shown = live.run("%endpoints locked")
    key, _ = service.get_keys()
    listed = session_of(live.ip).workspace().webservices
    for text in (shown.text(), shown._repr_html_(), service._repr_html_(), listed._repr_html_()):
        assert service.scoring_uri in text
        assert key not in text
    command = shown.snippets.curl.replace("curl ", "curl -s ", 1)
    done = subprocess.run(["sh", "-c", command], env={**os.environ, "SCORING_KEY": key}, stdout=-1, check=True)
    assert json.loads(done.stdout) == [12]
    assert "SCORING_KEY" in shown.snippets.python
    live.run("%undeploy locked")


def test_an_endpoint_is_tried_by_its_example_in_a_form_and_in_the_code_of_clients(live: Shell, tmp_path: Path) -> None:
    live.run(f"%%score typed\n{TYPED}")
    service = live.run("%deploy typed --score typed --kind aci --auth key")
    sample = [{"age": 1.5, "sex": "it's"}]
    assert answers(live.run("%endpoints typed").snippets, tmp_path) == (sample, sample)
    assert "it&#x27;s" in service._repr_html_() and "[[1, 2, 3]]" not in service._repr_html_()
    line = live.run("%mlj try typed").text()
    assert json.loads(shlex.split(line)[2]) == {"data": sample}
    assert live.run(line) == sample
    form = TryForm("typed", service, service.get_swagger())
    age, sex = (field["key"] for field in form.view["fields"][:2])
    form.change(age, "much")
    form.press("send")
    assert form.settled()
    assert ["age", "it must be a number"] in form.view["fields"][2]["rows"]
    form.change(age, "3")
    form.change(sex, "12")
    form.press("send")
    found = wait_until(lambda: {field["key"]: field for field in form.view["fields"]}.get("answer"))
    assert json.loads(found["value"]) == [{"age": 3.0, "sex": "12"}]
    assert any(field["key"] == "latency" and "ms" in str(field["rows"]) for field in form.view["fields"])
    form.close()
    live.run("%undeploy typed")


def test_names_of_endpoints_are_completed_and_near_ones_named(live: Shell) -> None:
    session_of(live.ip).cache.refresh()
    assert live.complete("%undeploy ad") == ["adder"]
    assert live.error("%undeploy addr").startswith(
        "There is no endpoint 'addr' in this workspace. Did you mean 'adder'?"
    )


def test_a_new_kernel_finds_the_endpoint_and_its_script(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    another = Shell()
    try:
        another.run("%mlj workspace live-team")
        capsys.readouterr()
        another.run("%deploy adder --score sums --kind aci")
        assert capsys.readouterr().out.startswith("adder → local: unchanged\n")
        assert another.run('%invoke adder {"data": [[1]]}') == [2]
    finally:
        another.close()


def test_an_init_that_fails_is_told_with_its_last_lines_and_can_be_mended(
    live: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    live.run(f"%%score broken\n{SCRIPT.replace('factor = 2', 'raise OSError(28)')}")
    capsys.readouterr()
    said = live.error("%deploy fragile --score broken")
    line = 1 + SCRIPT.splitlines().index(next(line for line in SCRIPT.splitlines() if "factor = 2" in line)) + 1
    assert said.splitlines()[0].endswith(f"init() failed in line {line} of the cell: OSError: 28")
    assert len(said.splitlines()) == 2, "the log is above, folded"
    service = Workspace.get("live-team").webservices["fragile"]
    views = [str(EndpointLog(service).view()), str(service.error)]
    assert [f"failed in line {line} of the cell: OSError: 28" in view for view in views] == [True, True]
    log = capsys.readouterr().out.partition("Last lines of the log:\n")[2]
    assert re.match(r"  \d\d:\d\d:\d\d\.\d{3} E init\(\) of the scoring script raised OSError: 28\n", log)
    assert "azmlinfsrv" not in log
    shown = live.run("%logs fragile")
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} ", shown.text())
    assert "this is not a regular expression" in live.error("%logs fragile --grep [")
    capsys.readouterr()
    live.error("%deploy fragile --score broken")
    assert capsys.readouterr().out.startswith("fragile → local: was Failed, trying again\n")
    said = live.error("%invoke fragile 1")
    assert re.match(
        r"'fragile' is Failed and cannot answer: init\(\) failed in line \d+ of .*: OSError: 28\n%logs", said
    )
    live.variables["rows"] = [[1], [2]]
    assert live.error("%invoke fragile rows --batch-rows 1") == said
    live.run(f"%%score broken\n{SCRIPT}")
    assert live.run("%deploy fragile --score broken").state == "Healthy"
    live.run("%undeploy fragile")


def test_not_waiting_returns_at_once_and_waiting_can_follow(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    live.run("%deploy later --score sums --no-wait -o later")
    assert "under way; follow it with %endpoints and %logs later" in capsys.readouterr().out
    assert live.run("%deploy later --score sums").state == "Healthy"
    live.run("%undeploy later --quiet")


def test_an_endpoint_that_starts_or_is_deleted_while_it_is_asked_is_told_as_that(
    live: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.run(f"%%score waiting\n{WAITING}")
    live.run("%deploy starting --score waiting --kind aci --no-wait --quiet")
    for line in ("%invoke starting 1", "%invoke starting [1]", "%invoke starting frame"):
        live.variables["frame"] = pd.DataFrame({"a": [1]})
        said = live.error(line)
        assert re.match(
            r"'starting' is starting(: 0/1 replicas are ready)?\. Try again when it is Healthy\.\n%end", said
        )
    find = invoke.webservice

    def deleted(workspace: Workspace, name: str) -> Webservice:
        service = find(workspace, name)
        Webservice(workspace, name).delete()
        return service

    monkeypatch.setattr(invoke, "webservice", deleted)
    assert live.error("%invoke starting 1").startswith("There is no endpoint 'starting' any more: it was deleted.")
    assert live.error("%invoke starting 1").startswith("There is no endpoint 'starting' in this workspace.")


def test_a_log_is_followed_until_interrupted(live: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)

    def interrupt() -> None:
        wait_until(lambda: "is ready" in shown.getvalue(), "the log is shown")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    live.run("%logs adder -f")
    thread.join()
    assert shown.getvalue().endswith("Stopped following 'adder'.\n")


def test_data_in_a_cell_is_sent_as_it_is(live: Shell) -> None:
    assert live.run('%%invoke adder\n{"data": [[1, 2],\n          [3, 4]]}') == [6, 14]


def test_monitoring_shows_every_version_and_gives_the_data(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    live.run('%invoke adder {"data": [[1]]}')

    def counted() -> bool:
        return bool(live.run("%monitor adder --once").data[0].get("requests"))

    wait_until(counted, what="the request is counted")
    shown = live.run("%monitor adder --once --window 1h")
    assert shown.columns[:5] == ["Endpoint", "Version", "Replicas", "Traffic", "Requests"]
    assert (shown[0]["endpoint"], shown[0]["version"], shown[0]["replicas"]) == ("adder", "adder", "1/1")
    live.run("%monitor adder --window 1h -o df")
    assert {"time", "version", "requests", "latency_p95_ms"} <= set(live.variables["df"].columns)
    assert live.variables["df"]["requests"].sum() >= 1
    capsys.readouterr()
    live.run("%monitor adder adder --window 1h --json")
    assert [item["version"] for item in json.loads(capsys.readouterr().out)] == ["adder"]
