"""Versions of an endpoint from notebook cells: deploy them, divide requests, look."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from mljupyter.core import Workspace
from tests.magics.conftest import SCRIPT, Shell
from tests.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell whose workspace has the endpoint 'shared' with version-a and version-b, and the web service 'plain'."""
    directory = tmp_path_factory.mktemp("versions")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("MLJUPYTER_HOME", str(directory / "home"))
        patch.setenv("MLJUPYTER_WORKSPACE", "default")
        shell = Shell()
        shell.run("%mlj workspace versions-team --create")
        shell.run(f"%%score sums\n{SCRIPT}")
        shell.run(f"%%score triple\n{SCRIPT.replace('factor = 2', 'factor = 3')}")
        shell.run("%deploy shared --version version-a --score sums --replicas 1 --quiet")
        shell.run("%deploy shared --version version-b --traffic 10 --score triple --replicas 1 --quiet")
        shell.run("%deploy plain --score sums --kind aci --quiet")
        yield shell
        shell.close()
        Workspace.get("versions-team").delete(delete_dependent_resources=True)


def test_the_table_shows_shares_and_what_is_in_force(live: Shell) -> None:
    assert live.run("%traffic shared").text() == (
        "Version    Role              Share configured  Copies  Replicas  State\n"
        "version-a  default, control  90 %              -       1/1       Healthy\n"
        "version-b  treatment         10 %              -       1/1       Healthy"
    )


def test_lines_of_a_log_name_version_and_replica_where_there_are_several(live: Shell) -> None:
    line = re.compile(r"^\d\d:\d\d:\d\d\.\d{3} [DIWEC] \[shared-(version-[ab])-\w+\] ")
    named = [line.match(text) for text in live.run("%logs shared").text().splitlines()]
    assert {found[1] for found in named if found} == {"version-a", "version-b"}
    alone = live.run("%logs plain").text().splitlines()
    assert not any(" [plain" in text for text in alone)


def test_requests_are_divided_anew_and_the_rest_goes_to_the_default(
    live: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [item["weight"] for item in live.run("%traffic shared version-b=100")] == [0, 100]
    assert live.run('%invoke shared {"data": [[1]]}') == [3]
    assert [item["weight"] for item in live.run("%traffic shared version-a=20 version-b=30%")] == [70, 30]
    shown = live.run("%traffic shared version-a=0 --mirror version-b=50 --sticky-header x-user")
    assert [(item["weight"], item["mirrorPercentile"]) for item in shown] == [(100, 0), (0, 50)]
    assert Workspace.get("versions-team").webservices["shared"].serialize()["stickyHeader"] == "x-user"
    live.run("%traffic shared --mirror version-b=0 --sticky-header none")
    capsys.readouterr()
    live.run("%traffic shared version-b=10 --json")
    assert [item["weight"] for item in json.loads(capsys.readouterr().out)] == [90, 10]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%traffic shard", "Did you mean 'shared'?"),
        ("%traffic shared version-c=1", "no version 'version-c'. Did you mean"),
        ("%traffic shared version-a", "'version-a' is not a share: write VERSION=PERCENT"),
        ("%traffic shared version-a=60 version-b=50", "add up to 110 (version-a 60, version-b 50): at most 100"),
        ("%traffic shared version-a=1 version-a=2", "'version-a' is given twice"),
        ("%traffic plain plain=10", "'plain' is of kind ACI, which has one version"),
        ("%deploy shared --score sums", "with the versions version-a, version-b: say which one with --version"),
        ("%deploy plain --version one --score sums", "'plain' is of kind aci, which has one version"),
        ("%deploy shared --version version-b --auth none --score sums", "--auth holds for all versions"),
        ("%deploy shared --version version-b --to docker --score sums", "runs on 'local'"),
        ("%deploy shared --traffic 10 --score sums", "name it with --version"),
        ("%deploy shared --version version-b --kind aci --score sums", "only with aks"),
        ("%deploy shared --version version-b --traffic 101 --score sums", "traffic_percentile is 101"),
    ],
)
def test_what_is_wrong_is_told_with_the_way_out(live: Shell, line: str, message: str) -> None:
    assert message in live.error(line)


def test_deploying_a_version_again_changes_only_what_differs(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    line = "%deploy shared --version version-b --score triple --replicas 1"
    capsys.readouterr()
    live.run(line)
    assert capsys.readouterr().out.startswith("shared → local: unchanged\n")
    assert live.run(f"{line} --traffic 30 --dry-run").text() == (
        "shared → local: update (dry run, nothing done)\n  versions.version-b.trafficPercentile: 10 → 30"
    )
    live.run(f"{line} --traffic 30 --quiet")
    assert [item["weight"] for item in live.run("%traffic shared")] == [70, 30]
    live.run("%traffic shared version-b=10")


def test_the_python_it_shows_does_the_same(live: Shell) -> None:
    change = live.run("%deploy shared --version version-b --traffic 30 --score sums --code").text()
    compile(change, "code", "exec")
    assert "service = AksEndpoint(ws, 'shared')\nservice.update_version(\n    'version-b', models=[]" in change
    assert "traffic_percentile=30" in change
    assert "create_version(" in live.run("%deploy shared --version version-c --score sums --code").text()
    first = live.run("%deploy other --version version-a --score sums --code").text()
    assert "AksEndpoint.deploy_configuration(version_name='version-a')" in first


def test_a_rollout_is_begun_shown_and_ended(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    live.run("%traffic shared version-b=10")
    live.run("%rollout shared version-b --steps 20,40 --every 10m --guard 'p95<5s'")
    line = "version-b Running: 20 % (step 1 of 2), no requests in this step"
    assert live.run("%rollout shared").text() == line
    (row,) = [row for row in live.run("%endpoints").rows if row[0] == "shared"]
    assert row[1] == "Healthy, rollout of version-b Running at 20 %"
    assert "is Running at 20 %" in live.error("%traffic shared version-b=50")
    assert "is Running at 20 %" in live.error("%traffic shared --promote version-b")
    live.run("%rollout shared --pause")
    assert "Paused" in live.run("%rollout shared").text()
    live.run("%rollout shared --resume")
    dry = live.run("%rollout shared --abort --dry-run").text()
    assert dry.endswith("Shares then: version-a 90 %, version-b 10 %")
    aborted = live.run("%rollout shared --abort").text()
    assert "Aborted" in aborted
    assert aborted.endswith("\nShares now: version-a 90 %, version-b 10 %")
    assert [item["weight"] for item in live.run("%traffic shared")] == [90, 10]
    capsys.readouterr()
    live.run("%rollout shared version-b --steps 20 --every 2s --wait")
    assert capsys.readouterr().out == "version-b: 20 %\nversion-b: Completed at 20 %\n"
    live.run("%rollout shared version-b --steps 30 --every 10m")
    capsys.readouterr()
    live.run("%rollback shared")
    assert capsys.readouterr().out == (
        "shared: the rollout is aborted. Shares now: version-a 80 %, version-b 20 %\n"
    ), "and not the changes of the last entry of the history"
    assert "step 1 of 8" in live.run("%traffic shared version-b=100 --over 10m").text()
    assert live.run("%rollout shared --abort -o kept") is None
    assert live.variables["kept"].phase == "Aborted"
    live.run("%traffic shared version-b=10")


def test_promotion_rollback_and_history(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    live.run("%traffic shared version-b=10")
    assert [item["weight"] for item in live.run("%traffic shared --promote version-b")] == [100, 0]
    assert live.run('%invoke shared {"data": [[1]]}') == [3]
    capsys.readouterr()
    live.run("%rollback shared")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("shared: rolled back to ")
    assert "  defaultVersion: version-b → version-a" in said
    assert [item["weight"] for item in live.run("%traffic shared")] == [90, 10]
    live.run("%traffic shared --rollback")
    live.run("%rollback shared --quiet")
    newest, before, *_ = live.run("%mlj history shared")
    assert newest["action"].startswith("rolled back to")
    assert newest["user"]
    assert "spec" not in newest
    assert live.run("%mlj history shared").columns[:2] == ["Number", "Time"]
    live.run(f"%rollback shared --to {before['number']}")
    live.run(f"%rollback shared --to {newest['number']}")
    assert [item["weight"] for item in live.run("%traffic shared")] == [90, 10]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%rollout shard", "Did you mean 'shared'?"),
        ("%rollout plain plain", "'plain' is of kind ACI, which has one version"),
        ("%rollout shared version-c", "has no version 'version-c'"),
        ("%rollout shared version-a", "'version-a' is the default version"),
        ("%rollout shared version-b --steps 50,20", "each step must be above the one before"),
        ("%rollout shared version-b --steps few", "'few' are not steps"),
        ("%rollout shared version-b --guard fast", "'fast', which is not a condition"),
        ("%rollout shared version-b --every soon", "'soon' is not a duration"),
        ("%rollout shared version-b --abort", "version-b and --abort cannot be combined"),
        ("%rollout shared --resume", "no rollout that is Paused"),
        ("%rollback shared --to 4000", "has no entry 4000"),
        ("%rollback shard", "Did you mean 'shared'?"),
        ("%traffic shared version-b=20 --rollback", "shares and --rollback cannot be combined"),
        ("%traffic shared version-b=20 --guard p95<1s", "--guard is for shares that move --over a time"),
        ("%traffic shared version-b=5 --over 1m", "it has 10 % of the requests already"),
        ("%traffic shared --over 1m", "give one VERSION=PERCENT"),
        ("%traffic shared --promote version-c", "has no version 'version-c'"),
        ("%mlj history shard", "Did you mean 'shared'?"),
    ],
)
def test_what_is_wrong_with_a_rollout_is_told_with_the_way_out(live: Shell, line: str, message: str) -> None:
    live.run("%traffic shared version-b=10")
    assert message in live.error(line)


REHEARSALS = {
    "%traffic shared version-b=40": (
        "shared → local: update (dry run, nothing done)\n  versions.version-b.trafficPercentile: 30 → 40",
        "service.set_traffic(percentiles={'version-b': 40})",
    ),
    "%traffic shared --sticky-header x-user": (
        "shared → local: update (dry run, nothing done)\n  stickyHeader: none → x-user",
        "service.set_traffic(sticky_header='x-user')",
    ),
    "%traffic shared --promote version-b": (
        (
            "shared → local: update (dry run, nothing done)\n  defaultVersion: version-a → version-b\n"
            "  versions.version-b.trafficPercentile: 30 → 0"
        ),
        "service.promote(version='version-b')",
    ),
    "%traffic shared version-b=50 --over 20s": (
        ("shared: rollout of version-b (dry run, nothing done)\n  steps  40 %, 50 %, 10 s or more each\n  guard  none"),
        "service.rollout(version='version-b', steps=[40, 50], every=10.0)",
    ),
    "%rollout shared version-b --steps 40,100 --every 1m --guard errors<1% --promote": (
        (
            "shared: rollout of version-b (dry run, nothing done)\n  steps  40 %, 100 %, 60 s or more each\n"
            "  guard  errors<1%, judged with 50 requests or more\n  end    it becomes the default version"
        ),
        "service.rollout(version='version-b', steps=[40, 100], every=60.0, guard='errors<1%', promote=True)",
    ),
    "%scale shared 2": (
        "shared → local: update (dry run, nothing done)\n  versions.version-a.scaling.replicas: 1 → 2",
        "service.scale(replicas=2)",
    ),
    "%rollback shared": (
        "shared → local: update (dry run, nothing done)\n  versions.version-b.trafficPercentile: 30 → 10",
        "service.rollback()",
    ),
    "%undeploy shared:version-b": (
        "shared → local: update (dry run, nothing done)\n",
        "service.delete_version(version_name='version-b')",
    ),
    "%undeploy shared": (
        (
            "shared → local: delete (dry run, nothing done)\n  versions  version-a, version-b\n"
            "  replicas  2 running\n  stays     no models"
        ),
        "service.delete()",
    ),
}


@pytest.mark.parametrize("line", REHEARSALS)
def test_a_dry_run_shows_what_would_change_and_code_says_it_in_python(
    live: Shell, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    live.run("%traffic shared version-b=10 --sticky-header none")
    live.run("%traffic shared version-b=30")
    before = live.run("%mlj history shared").data[0]["number"]
    text, call = REHEARSALS[line]
    assert live.run(f"{line} --dry-run").text().startswith(text)
    code = live.run(f"{line} --code").text()
    assert code.splitlines()[:5] == [
        "from mljupyter.core import Workspace",
        "from mljupyter.core.webservice import Webservice",
        "",
        "ws = Workspace.get('versions-team')",
        "service = Webservice(ws, 'shared')",
    ]
    assert code.splitlines()[5] == call
    capsys.readouterr()
    live.run(f"{line} --dry-run --json")
    assert json.loads(capsys.readouterr().out)["endpoint"] == "shared"
    assert live.run("%mlj history shared").data[0]["number"] == before, "nothing was done"


def test_the_python_of_a_change_runs_as_it_stands(live: Shell) -> None:
    live.run("%traffic shared version-b=10")
    exec(live.run("%traffic shared version-b=60 --code").text(), {})
    assert [item["weight"] for item in live.run("%traffic shared")] == [40, 60]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%traffic shared version-c=1 --dry-run", "no version 'version-c'"),
        ("%traffic shared version-b=101 --dry-run", "101"),
        ("%rollout shared version-c --dry-run", "no version 'version-c'"),
        ("%rollout shared version-b --steps 50,20 --dry-run", "each step must be above the one before"),
        ("%rollout shared --pause --dry-run", "'shared' has no rollout that is Running; the last one: version-b"),
        ("%scale shared 5:1 --dry-run", "5"),
        ("%rollback shared --to 999 --dry-run", "no entry 999"),
        ("%undeploy shared:version-a --dry-run", "is the default version of 'shared'"),
        ("%undeploy shared:version-c", "no version 'version-c'"),
        ("%undeploy shared:version-b shared:version-a", "'version-a' is the only version of 'shared'"),
        ("%undeploy shared:version-b plane", "There is no endpoint 'plane' in this workspace. Did you mean 'plain'?"),
        (
            "%invoke shared:version-c 1",
            "'shared' has no version 'version-c'. Did you mean 'version-b'? It has version-a, version-b.",
        ),
        ("%invoke plain:one 1", "'plain' has no version 'one'. It has a single one: leave the version out."),
    ],
)
def test_a_dry_run_finds_what_would_be_refused(live: Shell, line: str, message: str) -> None:
    assert message in live.error(line)


def test_a_version_can_be_asked_and_its_log_be_read(live: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert live.run('%invoke shared:version-a {"data": [[1]]}') == [2]
    assert live.run('%invoke shared:version-b {"data": [[1]]}') == [3]
    live.run(
        "%%score loud\nimport sys\ndef init():\n    print('up')\ndef run(data):\n    print('louder', file=sys.stderr)\n"
    )
    capsys.readouterr()
    live.run("%deploy shared --version version-c --score loud --replicas 1")
    said = capsys.readouterr().out.splitlines()
    assert "  traffic version-c gets no requests yet: %traffic shared version-c=10" in said
    live.run("%invoke shared:version-c 1")
    wait_until(lambda: "louder" in live.run("%logs shared:version-c").text(), what="the line is there")
    assert "up" in live.run("%logs shared:version-c --startup").text()
    assert "louder" not in live.run("%logs shared:version-a").text()
    lines = live.run("%logs shared --grep l.uder").text().splitlines()
    assert len(lines) == 1
    assert re.search(r" W \[shared-version-c-\w+\] louder$", lines[0])
    assert " up" not in live.run("%logs shared:version-c --level warning").text()
    assert "louder" in live.run("%logs shared:version-c --since 1h").text()
    assert "this is not a regular expression" in live.error("%logs shared --grep (")
    assert "No image was built for 'shared'" in live.error("%logs shared --build")
    assert "--follow and --build cannot be combined" in live.error("%logs shared -f --build")
    live.run("%undeploy shared:version-c")
    assert [item["version"] for item in live.run("%traffic shared")] == ["version-a", "version-b"]


def test_several_endpoints_and_versions_are_deleted_in_one_line(
    live: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "%undeploy shared:version-b plain shared:version-b plain:plain"
    capsys.readouterr()
    live.run(f"{line} --dry-run --json")
    shown = json.loads(capsys.readouterr().out)
    assert [(one["endpoint"], one["action"]) for one in shown] == [("shared", "update"), ("plain", "delete")]
    assert live.run(f"{line} --code").text().splitlines()[4:] == [
        "service = Webservice(ws, 'shared')",
        "service.delete_version(version_name='version-b')",
        "service.wait_for_deployment(show_output=True)",
        "service = Webservice(ws, 'plain')",
        "service.delete()",
    ]
    assert "plain" in live.run("%endpoints").text(), "nothing was done"
    capsys.readouterr()
    live.run(line)
    assert capsys.readouterr().out == "shared:version-b: deleted\nplain: deleted\n"
    assert [item["version"] for item in live.run("%traffic shared")] == ["version-a"]
    assert "plain" not in live.run("%endpoints").text()
