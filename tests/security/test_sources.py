"""Names, addresses and files of others, on their way into paths, commands, Dockerfiles and logs."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, update

from mljupyter.build.environments.definition import BuildContextDefinition, EnvironmentDefinition, redacted
from mljupyter.build.images import ImageError, Reference, plan_image
from mljupyter.build.images.docker.base_python import python_in
from mljupyter.build.images.events import BuildLog
from mljupyter.build.images.plan.base_context import fetch_base_context
from mljupyter.build.images.plan.dockerfile import dockerfile
from mljupyter.core import CondaDependencies, Model, Workspace
from mljupyter.deploy import framework_serving
from mljupyter.deploy.images.users import delete_unused_image
from mljupyter.errors import MLJupyterError
from mljupyter.registry import Registry
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.catalog.environment_tables import ENVIRONMENTS
from mljupyter.registry.catalog.image_tables import IMAGES
from mljupyter.registry.catalog.tables import MODELS
from mljupyter.registry.errors import ArtifactError, DatabaseError
from mljupyter.spec import CodeReference, ModelReference
from mljupyter.visible import visible
from tests.waiting import HANG_SECONDS

from .registries import Answer, FakeRegistry, Got, digest_of, running

DIGEST = digest_of(b"content")
PASSWORD = "hunter2-of-ada"


def fetched(location: str, target: Path, log: BuildLog | None = None) -> Path:
    described = {"locationType": "git", "location": location, "dockerfilePath": "Dockerfile"}
    store = ArtifactStore(target.parent / "artifacts")
    return fetch_base_context(BuildContextDefinition.parse(described), store, target, log or BuildLog(None, []))


def git(directory: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *who, *arguments], cwd=directory, check=True, capture_output=True)


def repository(directory: Path, **files: str) -> Path:
    directory.mkdir()
    git(directory, "init", "--quiet", "--initial-branch=main")
    for name, text in files.items():
        (directory / name).write_text(text)
    git(directory, "add", ".")
    git(directory, "commit", "--quiet", "--message", "one")
    return directory


@pytest.mark.parametrize(
    "location",
    [
        "ext::sh -c touch% {mark}",
        "ext::sh%20-c%20'touch%20{mark}'",
        "--upload-pack=touch {mark}",
        "ssh://-oProxyCommand=touch${{IFS}}{mark}/x",
        "-oProxyCommand=touch@host:x",
        "ada@-oProxyCommand=touch:x",
        "file://{source}#--upload-pack=touch {mark}",
        "file://{source}#-x",
        "file://{source}#main:a\0b",
        "fd::7",
        "{source}",
        "",
    ],
)
def test_an_address_of_a_repository_is_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text(
        '[protocol "ext"]\n\tallow = always\n'
    )  # the user's own choice, for repositories of the user's own
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    source = repository(tmp_path / "source", Dockerfile="FROM x")
    mark = tmp_path / "mark"
    with pytest.raises(ImageError):
        fetched(location.format(mark=mark, source=source), tmp_path / "target")
    assert not mark.exists()


def test_fetching_runs_no_hook_and_no_submodule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "mark"
    hooks = tmp_path / "templates" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (hooks / "post-checkout").chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[init]\n\ttemplateDir = {hooks.parent}\n[core]\n\thooksPath = {hooks}\n"
        '[submodule]\n\trecurse = true\n[protocol "file"]\n\tallow = always\n'
    )
    part = repository(tmp_path / "part", secret="of another repository")
    source = repository(tmp_path / "source", Dockerfile="FROM x")
    git(source, "submodule", "add", "--quiet", part.as_uri(), "part")
    git(source, "commit", "--quiet", "--message", "two")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    place = fetched(source.as_uri(), tmp_path / "target")
    assert (place / "Dockerfile").is_file()
    assert not mark.exists()
    assert list((place / "part").iterdir()) == []
    assert not (place / ".git").exists()


def test_the_users_own_repository_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that a git hook starts inherits the variables by which git finds the user's repository."""
    mine = repository(tmp_path / "mine", notes="mine")
    source = repository(tmp_path / "source", Dockerfile="FROM x", notes="theirs")
    monkeypatch.setenv("GIT_DIR", str(mine / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(mine))
    monkeypatch.setenv("GIT_INDEX_FILE", str(mine / ".git" / "index"))
    fetched(source.as_uri(), tmp_path / "target")
    assert (mine / "notes").read_text() == "mine"
    assert not (mine / ".git" / "FETCH_HEAD").exists()


def test_links_in_a_repository_lead_nowhere(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "out").symlink_to("/etc")
    git(source, "init", "--quiet", "--initial-branch=main")
    (source / "Dockerfile").write_text("FROM x")
    git(source, "add", ".")
    git(source, "commit", "--quiet", "--message", "one")
    with pytest.raises(ImageError, match="no folder 'out'"):
        fetched(f"{source.as_uri()}#main:out", tmp_path / "target")


@pytest.fixture
def forge() -> Iterator[FakeRegistry]:
    """A git server that wants a password, and notes the command lines that everybody may read meanwhile."""
    with running(FakeRegistry()) as started:
        yield started


def test_the_password_of_a_repository_is_in_no_command_line_no_log_and_no_error(
    forge: FakeRegistry, tmp_path: Path
) -> None:
    seen: list[str] = []

    def answer(got: Got) -> Answer:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if "git" in line and forge.host in line:
                seen.append(line)
        if got.authorization is None:
            return Answer(401, b"", {"WWW-Authenticate": 'Basic realm="git"'})
        return Answer(404)

    forge.answers["GET", "/team/base.git/info/refs"] = answer
    log = BuildLog(None, [])
    with pytest.raises(ImageError) as caught:
        fetched(f"http://ada:{PASSWORD.replace('-', '%2D')}@{forge.host}/team/base.git", tmp_path / "target", log)
    assert forge.authorizations() - {None}, "the password reached the server that it is for"
    assert base64.b64encode(f"ada:{PASSWORD}".encode()).decode() in str(forge.authorizations())
    assert seen
    assert not [line for line in seen if "hunter2" in line]
    assert "hunter2" not in f"{caught.value}{log.text()}"


def test_a_repository_that_takes_too_long_shows_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").write_text("#!/bin/sh\nexec sleep 600\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr("mljupyter.build.images.plan.base_context._TIMEOUT_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(ImageError, match="not fetched within") as caught:
        fetched(f"http://ada:{PASSWORD}@127.0.0.1:9/x.git", tmp_path / "target")
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}"
    assert time.monotonic() - began < HANG_SECONDS


@pytest.mark.parametrize(
    "url",
    [
        f"https://ada:{PASSWORD}@example.org/simple",
        f"https://ada:x@{PASSWORD}@example.org/simple",
        f"--index-url=https://{PASSWORD}@example.org/simple",
        f"git+https://ada:{PASSWORD}@example.org/x.git@v1",
        f"https://conda.example.org/t/{PASSWORD}/channel",
    ],
)
def test_credentials_in_urls_are_masked(url: str) -> None:
    assert PASSWORD not in redacted(url)
    assert "example.org" in redacted(url)


def plan_of(base: str | None = "python:3.11-slim", **changes: Any) -> Any:
    environment = EnvironmentDefinition.parse(
        {
            "python": {"condaDependencies": {"dependencies": ["python=3.11"]}},
            "docker": {"baseImage": base} | changes.pop("docker", {}),
            "environmentVariables": changes.pop("variables", {}),
        }
    )
    code = changes.pop("code", None) or CodeReference(digest=DIGEST, entry_script="score.py")
    return plan_image(environment, code=code, **changes)


EVIL = "\nRUN touch /evil"


@pytest.mark.parametrize(
    "reference",
    [
        f"r.example.com{EVIL} #/x",
        f"r.example.com:5000{EVIL}/x",
        f"python{EVIL}",
        f"python:3{EVIL}",
        "python:3\n",
        "--platform=x.y/python",
        "-x.y/python",
        "ada:pw.x/python",
        "r.example.com?x=y/python",
        "r.example.com#/python",
        "r.example.com:99999/python",
        "[::1/python",
        "a.b\\c/python",
        "r.example.com:5000:5000/python",
    ],
)
def test_the_registry_in_a_reference_is_a_host(reference: str) -> None:
    with pytest.raises(ImageError, match="not a reference to an image"):
        Reference.parse(reference)
    with pytest.raises(ImageError):
        dockerfile(plan_of(reference))


@pytest.mark.parametrize("reference", ["[::1]:5000/team/python:3", "localhost:5000/x", "r_1.example.com/x", "A.io/x"])
def test_hosts_of_all_kinds_are_taken(reference: str) -> None:
    assert Reference.parse(reference).registry == reference.partition("/")[0]


def test_the_address_of_a_base_images_registry_is_a_host() -> None:
    for address in (f"r.example.com{EVIL} #", "--x.y", "r.io:5000\n"):
        with pytest.raises(ImageError):
            dockerfile(plan_of(docker={"baseImageRegistry": {"address": address}}))


@pytest.mark.parametrize("where", ["script", "source", "variable", "carriage return", "model"])
def test_a_line_end_in_a_name_is_no_line_of_a_dockerfile(where: str) -> None:
    def make() -> str:
        code = None
        models = []
        variables = {}
        if where == "script":
            code = CodeReference.parse({"digest": DIGEST, "entryScript": f"a{EVIL}.py"})
        if where == "source":
            code = CodeReference.parse({"digest": DIGEST, "entryScript": "a/b.py", "sourceDirectory": f"a{EVIL}"})
        if where == "variable":
            variables = {"A": f"x{EVIL}"}
        if where == "carriage return":
            variables = {"A": "x\rRUN touch /evil"}
        if where == "model":
            models = [ModelReference.parse({"name": f"m{EVIL}", "version": 1, "digest": DIGEST, "entry": "m"})]
        return dockerfile(plan_of(code=code, models=models, variables=variables))

    with pytest.raises(MLJupyterError):
        make()


@pytest.mark.parametrize("entry", ["../../x", "/etc/x", "a/b", "..", ".", "a\0b"])
def test_a_models_file_is_a_name_wherever_it_is_given(entry: str) -> None:
    with pytest.raises(MLJupyterError):
        ModelReference.parse({"name": "m", "version": 1, "digest": DIGEST, "entry": entry})
    with pytest.raises(MLJupyterError):
        ModelReference.parse({"name": entry, "version": 1, "digest": DIGEST, "entry": "m"})
    script = {"digest": DIGEST, "entryScript": f"{entry}/../../score.py"}
    with pytest.raises(MLJupyterError):
        CodeReference.parse(script)


def test_a_download_stays_in_its_directory_whatever_the_database_says(workspace: Workspace, tmp_path: Path) -> None:
    """A team's database is written by others: the name in a row must not choose which file of mine is replaced."""
    (tmp_path / "model.txt").write_text("attacker's")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    Model.register(workspace, tmp_path / "model.txt", "m")
    with workspace.registry.models._engine.begin() as connection:
        connection.execute(update(MODELS).values(artifact_name="../victim"))
    (tmp_path / "downloads").mkdir()
    with pytest.raises(MLJupyterError, match="is a path"):
        Model(workspace, "m").download(tmp_path / "downloads", exist_ok=True)
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("table", [MODELS, IMAGES, ENVIRONMENTS], ids=["models", "images", "environments"])
@pytest.mark.parametrize(
    "change",
    [{"name": "../x"}, {"name": "/x"}, {"name": "a\x1b]0;x\x07"}, {"version": ".."}, {"id": "other:1"}],
    ids=["path up", "path from the root", "control characters", "path as version", "id of another"],
)
def test_a_row_under_a_name_that_nothing_can_have_is_refused(workspace: Workspace, table: Table, change: dict) -> None:
    rows = register_one_of_each(workspace)
    change_rows(workspace, table, change)
    with pytest.raises(DatabaseError, match="no registry has written") as refusal:
        rows[table.name]()
    assert visible(str(refusal.value)) == str(refusal.value)


def test_deleting_an_image_removes_no_directory_that_the_database_names(workspace: Workspace, tmp_path: Path) -> None:
    register_one_of_each(workspace)
    (tmp_path / "thesis" / "1").mkdir(parents=True)
    (tmp_path / "thesis" / "1" / "text").write_text("mine")
    name = str(tmp_path / "thesis")
    change_rows(workspace, IMAGES, {"name": name, "id": f"{name}:1", "place": "docker"})
    with pytest.raises(MLJupyterError):
        delete_unused_image(workspace.context, f"{name}:1", keep=True)
    assert (tmp_path / "thesis" / "1" / "text").read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    ["{", "[" * 5000, "[" * 200 + "]" * 200, '{"a": ' + "9" * 5000 + "}"],
    ids=["cut", "cut deep inside", "nested too deeply", "a number of 5000 digits"],
)
def test_json_in_the_database_that_cannot_be_read_is_said_to_be_damaged(workspace: Workspace, text: str) -> None:
    rows = register_one_of_each(workspace)
    with workspace.registry.models._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE models SET tags = ?", (text,))
    with pytest.raises(DatabaseError, match="damaged"):
        rows["models"]()


def register_one_of_each(workspace: Workspace) -> dict[str, Callable[[], object]]:
    """Register a model, an image and an environment; return what lists them."""
    model = workspace.directory / "model.txt"
    model.write_text("m")
    registry = workspace.registry
    registry.models.register("mine", model)
    registry.images.begin("mine", plan_digest=DIGEST, place="docker", recipe={})
    registry.environments.register("mine", {}, fingerprint="f", password=None)
    return {table: getattr(registry, table).list for table in ("models", "images", "environments")}


def change_rows(workspace: Workspace, table: Table, values: dict[str, object]) -> None:
    with workspace.registry.models._engine.begin() as connection:
        sets = ", ".join(f"{column} = ?" for column in values)
        connection.exec_driver_sql(f"UPDATE {table.name} SET {sets}", tuple(values.values()))


@pytest.mark.parametrize("kind", ["link out", "link to a directory", "pipe", "pipe alone", "link to a device"])
def test_what_is_registered_is_what_lies_there_and_nothing_waits(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("of another directory")
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("w")
    path = model / "x"
    if kind == "link out":
        path.symlink_to(tmp_path / "secret" / "key")
    elif kind == "link to a directory":
        path.symlink_to(tmp_path / "secret")
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    with Registry.open(tmp_path / "workspace") as registry, pytest.raises((ArtifactError, MLJupyterError)):
        registry.models.register("m", path if kind == "pipe alone" else model)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.from_regex(r"[a-zA-Z0-9.:/@\[\]\n -]{0,60}")))
def test_whatever_parses_as_a_reference_is_one_plain_word(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except ImageError:
        return
    assert Reference.parse(str(reference)) == (
        reference if reference.tag or reference.digest else Reference.parse(f"{text.removesuffix(':')}:latest")
    )
    assert str(reference).isascii() and str(reference).isprintable()
    assert not {*" \\?#%"} & {*str(reference)}
    assert not str(reference).startswith("-") and ".." not in str(reference).split("/")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Workspace.create("team")


def test_a_models_requirements_choose_no_index_of_packages(workspace: Workspace, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors:\n  other: {}\n")
    (model / "requirements.txt").write_text(
        "--index-url http://127.0.0.1:9/a\n  --extra-index-url http://127.0.0.1:9/b\n\t-r /x\n # x\n roman==4.2\n"
    )
    registered = Model.register(workspace, model, "m")
    reference = ModelReference(name="m", version=1, digest=registered.record.artifact.digest, entry="model")
    environment = framework_serving.environment_of(workspace.context, reference, "mlflow", here=False)
    assert environment is not None
    definition = environment.definition.python.conda_dependencies
    assert definition is not None
    packages = CondaDependencies.of(definition)
    assert (list(packages.pip_packages), list(packages.pip_options)) == (["roman==4.2"], [])

    (model / "MLmodel").write_bytes(bytes(2 << 20))
    larger = Model.register(workspace, model, "m")
    reference = ModelReference(name="m", version=2, digest=larger.record.artifact.digest, entry="model")
    with pytest.raises(MLJupyterError, match="larger than 1,048,576 bytes"):
        framework_serving.environment_of(workspace.context, reference, "mlflow", here=False)


@pytest.mark.parametrize("release", ["3", "3.", "3.x", "3.999", "3.-1", f"3.{'9' * 5000}", "", "4.1"])
def test_an_image_may_call_its_python_anything(release: str) -> None:
    class Images:
        def get(self, name: str) -> Any:
            return SimpleNamespace(attrs={"Config": {"Env": [f"PYTHON_VERSION={release}", "X"]}}, tags=[name])

    class Containers:
        def run(self, *_: Any, **__: Any) -> bytes:
            return f"{release} 1 ; {'x' * 100}".encode()

    client: Any = SimpleNamespace(images=Images(), containers=Containers())
    assert python_in(client, "team/python:3", None) is None
