"""Numbers of replicas from notebook cells and the command line, and the decisions on them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from mljupyter.cli.app import app
from mljupyter.core import Workspace
from tests.load import Load
from tests.magics.conftest import SCRIPT, Shell
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
SLOW = SCRIPT.replace("import json", "import json, time").replace("    return", "    time.sleep(0.2)\n    return")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell whose workspace has the web service 'slow'."""
    directory = tmp_path_factory.mktemp("scale")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("MLJUPYTER_HOME", str(directory / "home"))
        patch.setenv("MLJUPYTER_WORKSPACE", "scale-team")
        shell = Shell()
        shell.run("%mlj workspace scale-team --create")
        shell.run(f"%%score sums\n{SLOW}")
        shell.run("%deploy slow --score sums --replicas 1 --max-queue-wait-ms 30000 --auth none --quiet")
        yield shell
        shell.close()
        Workspace.get("scale-team").delete(delete_dependent_resources=True)


def command(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["endpoint", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_number_is_shown_and_changed(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert live.run("%scale slow").text() == (
        "Version  Replicas  Bounds    Target utilization  Down after  Zero after  State\n"
        "slow     1/1       1, fixed                                              Healthy"
    )
    live.run("%scale slow 1:2 --down-after 5s")
    assert "1 to 2" in live.run("%scale slow").text()
    capsys.readouterr()
    live.run("%scale slow --target-utilization 60 --json")
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["autoscale"]["targetUtilization"] == 60
    assert shown["autoscale"]["scaleDownSeconds"] == 5
    assert "3, fixed" in command("scale", "slow", "3")
    assert (
        json.loads(command("scale", "slow", "--min", "1", "--max", "2", "--json"))[0]["autoscale"]["maxReplicas"] == 2
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%scale slow 3 --min 1", "give one or the other"),
        ("%scale slow 1:2 --max 3", "maximum is given twice"),
        ("%scale slow 5:2", "min must not exceed max"),
        ("%scale slow x", "not a number of replicas"),
        ("%scale slo 1", "slow"),
    ],
)
def test_mistakes_are_told(live: Shell, line: str, message: str) -> None:
    assert message in live.error(line)


def test_decisions_can_be_asked_for(live: Shell) -> None:
    live.run("%scale slow 1")
    service = Workspace.get("scale-team").webservices["slow"]
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    service.scale(minimum=1, maximum=2)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    with Load(service.scoring_uri, clients=3, rate=None, body=b'{"data": [[1]]}') as load:
        wait_until(lambda: len(service.scaling_history()), "a decision is made")
    assert load.failed == 0, load.results
    history = service.scaling_history(version="slow")
    assert str(history["time"].dtype).endswith("UTC]")
    assert (history["before"][0], history["after"][0]) == (1, 2)
    assert history["needed"][0] > 1
    assert "requests run or wait" in history["reason"][0]
    assert "requests run or wait" in command("scaling", "slow")
    assert json.loads(command("scaling", "slow", "--json"))[0]["after"] == 2
    assert list(service.scaling_history(version="other").columns) == list(history.columns)
