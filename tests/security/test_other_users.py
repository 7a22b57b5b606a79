"""Another user of the machine, who prepares what this user's programs look for: sockets, directories, config files."""

from __future__ import annotations

import asyncio
import encodings.utf_8_sig  # noqa: F401 - imported here, since another user cannot import from this one's home
import getpass  # noqa: F401
import hashlib
import json
import os
import pwd  # noqa: F401
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import anyio._backends._asyncio  # noqa: F401
import pytest

from mljupyter.build.environments.uv import Uv
from mljupyter.client.errors import ControllerStartError, SocketPathError
from mljupyter.controller import launch
from mljupyter.controller.layout import Layout, ports_directory
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.core.selection import default_workspace, open_workspace
from mljupyter.core.workspace import Workspace
from mljupyter.exceptions import UserErrorException, WorkspaceException
from mljupyter.notebook.options.defaults import project_defaults
from mljupyter.notebook.options.option import Option
from mljupyter.runtimes.process.zygotes import Zygotes
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.server.zygote_client import ZygoteClient
from mljupyter.spec import CodeReference, EndpointSpec, VersionSpec
from mljupyter.targets.machine.client import ControllerClient
from mljupyter.workspace import config_file
from tests.security.users import ATTACKER, VICTIM, commons, needs_root, run_as, running_as
from tests.waiting import HANG_SECONDS, wait_until

__all__ = ["commons"]
pytestmark = needs_root

SECRET = "hunter2-of-victim"
SPEC = EndpointSpec(
    name="payroll",
    default_version="first",
    versions={
        "first": VersionSpec(
            code=CodeReference(digest="sha256:" + "0" * 64, entry_script="score.py"),
            environment_variables={"DB_PASSWORD": SECRET},
        )
    },
)


def impostor(path: Path, stolen: Path) -> Callable[[Callable[[], None]], None]:
    """Return code that listens at a path as a controller, router or replica would, and keeps what it is sent."""

    def listen(ready: Callable[[], None]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o755)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            path.chmod(0o777)
            listener.listen()
            ready()
            while True:
                connection, _ = listener.accept()
                said = connection.recv(100_000)
                with stolen.open("ab") as file:
                    file.write(b"connected:" + said)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]")
                connection.close()

    return listen


def as_victim(commons: Path, code: Callable[[], object]) -> None:
    def prepared() -> None:
        tempfile.tempdir = str(commons)
        for name in ("XDG_RUNTIME_DIR", "MLJUPYTER_RUNTIME_DIR", "MLJUPYTER_WORKSPACE"):
            os.environ.pop(name, None)
        mine = commons / "home-of-victim"
        mine.mkdir(mode=0o700, exist_ok=True)
        os.environ["HOME"] = str(mine)
        os.environ["MLJUPYTER_HOME"] = str(mine / "mljupyter")
        code()

    run_as(VICTIM, prepared)


def only_connected(stolen: Path) -> bool:
    """Whether the impostor was connected to, and learned nothing; it must not have ended yet."""
    wait_until(lambda: stolen.exists() and stolen.stat().st_size > 0, "a connection")
    return not stolen.read_bytes().replace(b"connected:", b"")


def deploy(workspace: Path) -> None:
    workspace.mkdir(exist_ok=True)
    with pytest.raises(ControllerStartError):  # no controller can be started here: programs are root's alone
        ControllerClient(workspace).create(SPEC, primary_key="victims-own-primary-key")


def test_a_socket_at_a_path_that_anybody_can_compute_is_not_asked(commons: Path) -> None:
    workspace, stolen = commons / "workspace-of-victim", commons / "stolen"
    digest = hashlib.sha256(os.fsencode(workspace)).hexdigest()[:10]
    guess = commons / f"mljupyter-{VICTIM}" / digest / "controller.sock"
    with running_as(ATTACKER, impostor(guess, stolen)):
        as_victim(commons, lambda: deploy(workspace))
    assert not stolen.exists()


def test_a_link_that_leads_to_another_users_controller_by_now_is_not_followed(commons: Path) -> None:
    workspace, stolen, emptied = commons / "workspace-of-victim", commons / "stolen", commons / "was-the-victims"

    def link() -> None:
        (workspace / "control").mkdir(parents=True)
        (workspace / "control" / "run").symlink_to(emptied)

    def deploy_and_look() -> None:
        assert not launch.reachable(Layout.of(workspace))
        deploy(workspace)
        runtime = Layout.of(workspace).runtime()
        assert runtime != emptied
        assert runtime.stat().st_uid == VICTIM and runtime.stat().st_mode & 0o777 == 0o700

    as_victim(commons, link)
    with running_as(ATTACKER, impostor(emptied / "controller.sock", stolen)):
        as_victim(commons, deploy_and_look)
        assert only_connected(stolen)


def test_the_controller_sends_nothing_to_another_users_router_or_replica(commons: Path) -> None:
    path, stolen = commons / "theirs" / "router.sock", commons / "stolen"

    async def ask() -> None:
        client = LocalHttp(f"unix:{path}", timeout=HANG_SECONDS)
        with pytest.raises(UNREACHABLE):
            await client.post("/quitquitquit")
        await client.close()

    with running_as(ATTACKER, impostor(path, stolen)):
        as_victim(commons, lambda: asyncio.run(ask()))
        assert only_connected(stolen)


def test_a_replica_takes_no_workers_from_another_users_template(commons: Path) -> None:
    path, stolen = commons / "theirs" / "template.sock", commons / "stolen"

    def fork() -> None:
        with pytest.raises(OSError, match=f"a process of user {ATTACKER} listens there"):
            ZygoteClient.shared(str(path), LogCapture.__new__(LogCapture)).fork()

    async def ensure() -> None:
        with pytest.raises(OSError, match="denied"):  # it would start one of its own, and cannot remove theirs
            Zygotes().ensure(path, lambda options, descriptor: pytest.fail("it listens there"))

    with running_as(ATTACKER, impostor(path, stolen)):
        as_victim(commons, fork)
        as_victim(commons, lambda: asyncio.run(ensure()))
        assert only_connected(stolen)


def test_a_directory_of_another_user_stops_nobodys_controller(commons: Path) -> None:
    def block() -> None:
        for name in (f"mljupyter-{VICTIM}", "mljupyter", f"mljupyter-{VICTIM}/ports"):
            (commons / name).mkdir(mode=0o777)

    def prepare() -> None:
        workspace = commons / "workspace-of-victim"
        workspace.mkdir()
        Layout.of(workspace).prepare()
        assert ports_directory(workspace / "control").stat().st_uid == VICTIM

    run_as(ATTACKER, block)
    as_victim(commons, prepare)


def test_the_way_out_of_a_bad_place_for_sockets_works(commons: Path) -> None:
    theirs = commons / "theirs"

    def follow_the_advice() -> None:
        workspace = commons / "workspace-of-victim"
        workspace.mkdir()
        os.environ["MLJUPYTER_RUNTIME_DIR"] = str(theirs / "below")
        with pytest.raises(SocketPathError, match=rf"belongs to user {ATTACKER}(?s:.*)Set MLJUPYTER_RUNTIME_DIR"):
            Layout.of(workspace).prepare()
        os.environ["MLJUPYTER_RUNTIME_DIR"] = str(commons)
        Layout.of(workspace).prepare()
        assert commons.stat().st_mode & 0o7777 == 0o1777
        assert Layout.of(workspace).runtime().parent == commons

    run_as(ATTACKER, lambda: theirs.mkdir())
    theirs.chmod(0o777)
    as_victim(commons, follow_the_advice)


def test_without_a_home_ports_are_reserved_beside_the_sockets_or_in_the_workspace(commons: Path) -> None:
    def look() -> None:
        workspace = commons / "workspace-of-victim"
        workspace.mkdir()
        os.environ["HOME"] = "/nonexistent"
        assert ports_directory(workspace) == workspace / "ports"
        (own := commons / "of-victim").mkdir()
        os.environ["MLJUPYTER_RUNTIME_DIR"] = str(own)
        assert ports_directory(workspace).parents[1] == own
        os.environ["MLJUPYTER_RUNTIME_DIR"] = str(commons / "theirs")
        assert ports_directory(workspace) == workspace / "ports"

    run_as(ATTACKER, lambda: (commons / "theirs").mkdir())
    (commons / "theirs").chmod(0o777)
    as_victim(commons, look)


def test_a_session_of_another_user_that_su_has_kept_is_not_used(commons: Path) -> None:
    def look() -> None:
        os.environ["XDG_RUNTIME_DIR"] = str(commons / "session")
        (workspace := commons / "workspace-of-victim").mkdir()
        Layout.of(workspace).prepare()
        assert Layout.of(workspace).runtime().parent == commons

    run_as(ATTACKER, lambda: (commons / "session").mkdir())
    (commons / "session").chmod(0o777)
    as_victim(commons, look)


PLACES = [".azureml/config.json", "aml_config/project.json", "config.json"]


def plant(commons: Path, place: str) -> None:
    file = commons / place
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"workspace_name": "trap", "path": str(commons / "trap")}))


@pytest.mark.parametrize("place", PLACES)
def test_a_config_file_of_another_user_above_is_named_and_passed_over(
    commons: Path, place: str, capfd: pytest.CaptureFixture[str]
) -> None:
    project = commons / "project-of-victim"

    def work() -> None:
        project.mkdir()
        os.chdir(project)
        assert config_file.find(Path.cwd()) is None
        assert default_workspace().name == "default"

    run_as(ATTACKER, lambda: plant(commons, place))
    as_victim(commons, work)
    said = capfd.readouterr().err
    assert said == (
        f"mljupyter: {commons / place} is not used: it or its directory belongs to user {ATTACKER}, "
        "neither to you nor to root. To use it, copy it into a directory of your own.\n"
    )


def test_links_of_another_user_to_files_of_this_one_are_passed_over(commons: Path) -> None:
    real = commons / "home-of-victim-b"

    def make() -> None:
        plant(real, ".azureml/config.json")

    def link() -> None:
        (commons / "a").mkdir()
        (commons / "a" / ".azureml").symlink_to(real / ".azureml")
        (commons / "b" / ".azureml").mkdir(parents=True)
        (commons / "b" / ".azureml" / "config.json").symlink_to(real / ".azureml" / "config.json")
        (commons / "c").mkdir()
        (commons / "c" / "config.json").symlink_to(real / ".azureml" / "config.json")
        (commons / "c" / "pyproject.toml").symlink_to(real / "pyproject.toml")

    def look() -> None:
        (real / "pyproject.toml").write_text("[tool.mljupyter.deploy]\nnonsense = 1\n")
        for name in "abc":
            assert config_file.find(commons / name) is None
        assert project_defaults("deploy", [], commons / "c") == {}
        assert config_file.find(real) is not None

    run_as(VICTIM, lambda: real.mkdir())
    run_as(VICTIM, make)
    run_as(ATTACKER, link)
    as_victim(commons, look)


def test_config_files_of_this_user_and_of_root_are_used(commons: Path) -> None:
    plant(commons, ".azureml/config.json")
    found = []

    def look() -> None:
        mine = commons / "mine"
        mine.mkdir()
        found.append(config_file.find(mine))
        plant(mine, ".azureml/config.json")
        found.append(config_file.find(mine))
        assert [config.file.parents[1] for config in found if config] == [commons, mine]

    as_victim(commons, look)


def test_defaults_of_another_users_project_above_are_not_used(commons: Path) -> None:
    project = commons / "project-of-victim"
    options = [Option("auth", "authentication", "who may call it")]

    def plant_project() -> None:
        (commons / "pyproject.toml").write_text('[tool.mljupyter.deploy]\nauth = "none"\n')

    def look() -> None:
        project.mkdir()
        assert project_defaults("deploy", options, project) == {}
        (project / "pyproject.toml").write_text('[tool.mljupyter.deploy]\nauth = "key"\n')
        assert project_defaults("deploy", options, project) == {"auth": "key"}

    run_as(ATTACKER, plant_project)
    as_victim(commons, look)


def test_settings_of_another_user_in_tmp_do_not_say_where_packages_come_from(commons: Path) -> None:
    def plant_settings() -> None:
        (commons / "uv.toml").write_text("index-url = this is read, and refused")
        (commons / "pyproject.toml").write_text("[tool.uv]\nindex-url = this is read, and refused")

    run_as(ATTACKER, plant_settings)
    (scratch := commons / "mljupyter-pins").mkdir(mode=0o700)
    finished = Uv(scratch, on_line=print).run("pip", "list", "--python", sys.executable)
    assert finished.status == 0, finished.lines


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_workspace_of_another_user_is_refused_with_its_owner_and_the_way_out(commons: Path, mode: int) -> None:
    trap = commons / "trap"

    def make() -> None:
        os.environ["MLJUPYTER_HOME"] = str(commons / "home-of-attacker")
        Workspace.create("trap", path=trap)
        trap.chmod(mode)
        (trap / "workspace.json").chmod(0o644)

    def use() -> None:
        refused = rf"belongs to user {ATTACKER}(?s:.*)used by its owner alone(?s:.*)Make one of your own"
        with pytest.raises(WorkspaceException, match=refused):
            open_workspace(str(trap))
        with pytest.raises(WorkspaceException, match=refused):
            Workspace.create("trap", path=trap, exist_ok=True)
        (mine := commons / "mine").mkdir()
        plant(mine, "config.json")
        text = (mine / "config.json").read_text().replace(str(mine / "trap"), str(trap))
        (mine / "config.json").write_text(text)
        with pytest.raises(WorkspaceException, match=refused):
            Workspace.from_config(mine)
        assert open_workspace("of-victim", create=True).name == "of-victim"

    run_as(ATTACKER, make)
    as_victim(commons, use)


def test_a_directory_that_another_user_has_made_ready_gets_no_workspace(commons: Path) -> None:
    def create() -> None:
        with pytest.raises(WorkspaceException, match=f"belongs to user {ATTACKER}"):
            Workspace.create("churn-team", path=commons / "ready")
        assert Workspace.create("churn-team", path=commons / "mine").name == "churn-team"

    run_as(ATTACKER, lambda: (commons / "ready").mkdir())
    (commons / "ready").chmod(0o777)
    as_victim(commons, create)


def test_a_link_of_another_user_does_not_say_which_file_a_config_replaces(commons: Path) -> None:
    private = commons / "private-of-victim"

    def write() -> None:
        workspace = Workspace.create("churn-team")
        with pytest.raises(UserErrorException, match=rf"belongs to user {ATTACKER}(?s:.*)write_config\(path=DIR\)"):
            workspace.write_config(commons)
        assert (private / "config.json").read_text() == "important"

    def make() -> None:
        private.mkdir()
        (private / "config.json").write_text("important")

    run_as(VICTIM, make)
    run_as(ATTACKER, lambda: (commons / ".azureml").symlink_to(private))
    as_victim(commons, write)


def test_the_control_directory_of_another_user_is_not_used(commons: Path) -> None:
    stolen, workspace = commons / "stolen", commons / "trap"

    def link() -> None:
        (workspace / "control").mkdir(parents=True)
        (workspace / "control" / "run").symlink_to(commons / "trap-run")

    def use() -> None:
        with pytest.raises(ControllerStartError, match=rf"belongs to user {ATTACKER}(?s:.*)use one of your own"):
            ControllerClient(workspace).create(SPEC, primary_key="victims-own-primary-key")

    run_as(ATTACKER, link)
    with running_as(ATTACKER, impostor(commons / "trap-run" / "controller.sock", stolen)):
        as_victim(commons, use)
        assert only_connected(stolen)
