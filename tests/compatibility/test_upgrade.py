"""An upgrade from release 788ba90 and the way back, while its endpoints serve: no request fails.

Both releases run in the same Python environment, as if pip had replaced the files of one by those of the other while
controller, router and replicas run. `pack_release.py` has made the archive of the old one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mljupyter
from mljupyter.controller.storage.database import STEPS
from mljupyter.controller.storage.formats import FIELDS_SINCE
from mljupyter.spec import EndpointSpec, RouterSpec
from mljupyter.spec.placement import Placement
from tests.steady_load import SteadyLoad
from tests.waiting import COMMAND_SECONDS

pytestmark = pytest.mark.system
ARCHIVE = Path(__file__).with_name("release-788ba90.tar.xz")
KEY = "first-key-of-the-test"
SCRIPT = "import os\ndef init(): pass\ndef run(data): return ['VERSION', os.getpid()]\n"
_BEGIN = """
    import json, pathlib
    from mljupyter.core import InferenceConfig, Model, Webservice, Workspace
    from mljupyter.core.webservice import AksEndpoint

    def script(version):
        path = pathlib.Path(f"score_{version}.py")
        path.write_text(SCRIPT.replace("VERSION", version))
        return InferenceConfig(entry_script=str(path))

    def asked(times=40):
        return sorted({tuple(endpoint.run("1")) for _ in range(times)})

    def tell(**found):
        print(json.dumps(found | {"controller": workspace.controller.running()}))
"""
MAKE = """
    import time
    from mljupyter.core.exceptions import WebserviceException

    def routed():  # this release says that an endpoint is healthy a moment before its router knows the way to it
        try:
            return bool(endpoint.run("1"))
        except WebserviceException:
            return False

    workspace = Workspace.create("live")
    pathlib.Path("model.txt").write_text("a model")
    model = Model.register(workspace, "model.txt", "greeting")
    configuration = AksEndpoint.deploy_configuration(
        version_name="version-a", autoscale_enabled=False, num_replicas=2, primary_key=KEY, secondary_key=KEY + "-2"
    )
    target = workspace.compute_targets["local"]
    endpoint = Model.deploy(workspace, "greeter", [model], script("a"), configuration, deployment_target=target)
    endpoint.wait_for_deployment()
    while not routed():
        time.sleep(0.1)
    tell(uri=endpoint.scoring_uri, answers=asked())
"""
LOOK = """
    workspace = Workspace.get("live")
    (endpoint,) = Webservice.list(workspace)
    endpoint.wait_for_deployment()
    tell(uri=endpoint.scoring_uri, answers=asked(), state=endpoint.state)
"""
CHANGE = """
    workspace = Workspace.get("live")
    pathlib.Path("model.txt").write_text("a better model")
    model = Model.register(workspace, "model.txt", "greeting")
    endpoint = Webservice(workspace, "greeter")
    endpoint.update_version("version-a", models=[model], inference_config=script("new"))
    endpoint.wait_for_deployment()
    tell(answers=asked())
"""
BACK = """
    workspace = Workspace.get("live")
    workspace.controller.stop()
    workspace.controller.ensure()
    (endpoint,) = Webservice.list(workspace)
    endpoint.wait_for_deployment()
    before = pathlib.Path(workspace.controller._layout.directory, "workspace.db").read_bytes()
    try:
        refusal = str(Model.list(workspace))
    except Exception as error:
        refusal = str(error)
    after = pathlib.Path(workspace.controller._layout.directory, "workspace.db").read_bytes()
    tell(answers=asked(), refusal=refusal, unchanged=before == after)
"""


@dataclass
class Installation:
    """A Python environment in which one of two releases is installed."""

    directory: Path

    def install(self, package: Path) -> None:
        """Replace the installed package, also under running processes."""
        draft = self.directory / "release" / "next"
        draft.symlink_to(package)
        draft.replace(self.directory / "release" / "mljupyter")

    def run(self, text: str) -> tuple[Any, str]:
        """Run code of a user; return what it tells, and what it writes to standard error."""
        code = f"SCRIPT, KEY = {SCRIPT!r}, {KEY!r}\n" + textwrap.dedent(_BEGIN) + textwrap.dedent(text)
        done = subprocess.run(
            [self.directory / "env" / "bin" / "python", "-c", code],
            cwd=self.directory,
            env=os.environ | {"MLJUPYTER_HOME": str(self.directory / "home")},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture
def installation(short_path: Path) -> Iterator[Installation]:
    """Make the environment with the old release."""
    (short_path / "release").mkdir()
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(short_path / "old", filter="data")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", short_path / "env"], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(short_path / "env")}))
    (packages / "1-release.pth").write_text(f"{short_path / 'release'}\n")
    (packages / "2-others.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    made = Installation(short_path)
    made.install(short_path / "old" / "mljupyter")
    yield made
    made.install(Path(mljupyter.__file__).parent)
    if (short_path / "home").exists():
        made.run('workspace = Workspace.get("live"); workspace.controller.stop(force=True); tell()')


def test_an_upgrade_and_the_way_back_lose_no_request_of_live_endpoints(installation: Installation) -> None:
    made, _ = installation.run(MAKE)
    assert {version for version, _ in made["answers"]} == {"a"}
    with SteadyLoad(made["uri"], key=KEY, clients=4, one_shot=2, requests=200, pause=0.02) as load:
        load.runs(50)
        installation.install(Path(mljupyter.__file__).parent)
        found, said = installation.run(LOOK)
        assert f"(pid {made['controller']['pid']}) is of an older release" in said
        assert "endpoints keep serving" in said
        assert found["controller"]["pid"] != made["controller"]["pid"]
        assert found["answers"] == made["answers"], "the replicas are those of before"
        assert (found["uri"], found["state"]) == (made["uri"], "Healthy")
        load.runs(50)

        changed, said = installation.run(CHANGE)
        assert "older release" not in said
        assert {version for version, _ in changed["answers"]} == {"new"}
        load.runs(50)

        installation.install(installation.directory / "old" / "mljupyter")
        back, _ = installation.run(BACK)
        assert back["answers"] == changed["answers"], "the older release serves from the replicas of the newer one"
        assert "A newer release wrote it" in back["refusal"]
        assert back["unchanged"]
        load.runs(50)

        installation.install(Path(mljupyter.__file__).parent)
        again, said = installation.run(LOOK)
        assert "is of an older release" in said
        assert again["answers"] == changed["answers"]
        load.runs(50)
    assert load.failures == []


def test_every_field_that_an_older_release_cannot_read_has_a_number_of_the_format(installation: Installation) -> None:
    schemas = """
        from mljupyter.spec import EndpointSpec, RouterSpec

        print(json.dumps([EndpointSpec.model_json_schema(), RouterSpec.model_json_schema()]))
    """
    old, _ = installation.run(schemas)
    new = [EndpointSpec.model_json_schema(), RouterSpec.model_json_schema()]
    numbered = set().union(*FIELDS_SINCE.values()) | _names(Placement.model_json_schema())  # the latter are below it
    assert set().union(*map(_names, new)) - set().union(*map(_names, old)) <= numbered, (
        "an older release refuses documents with a new field: add it to formats.py, with the next number"
    )
    assert len(STEPS) == max(FIELDS_SINCE)


def _names(schema: dict[str, Any]) -> set[str]:
    """Return the names of all fields of a schema."""
    return set(schema.get("properties", {})).union(*map(_names, schema.get("$defs", {}).values()))
