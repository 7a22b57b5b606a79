"""Make the workspace in ``workspace-788ba90.tar.xz``: run this with the Python of a checkout of that commit.

    git worktree add /tmp/old-source 788ba90 && make -C /tmp/old-source .venv/.dev
    ln -s /tmp/old-source/.venv /tmp/old-python
    /tmp/old-python/bin/python tests/compatibility/make_workspace.py tests/compatibility/workspace-788ba90.tar.xz

The workspace holds a registered model, a registered environment, the record of an image, and an endpoint of two
versions whose requests are divided 90 to 10. Nothing in it tells of the machine that made it. Two absolute paths are in
it: ``/tmp/old-python/bin/python`` is the interpreter of both versions, and `test_workspace.py` replaces it by its own,
as if the package had been upgraded in place. ``/tmp/old-workspace`` is only in files of the router, which the
controller writes again at each start: a workspace may be moved while nothing of it runs.
"""

import getpass
import io
import os
import pathlib
import shutil
import socket
import sys
import tarfile

DIRECTORY = pathlib.Path("/tmp/old-workspace")  # neutral: it is kept in the router's files
PYTHON = "/tmp/old-python/bin/python"
SCRIPT = """
import os, pathlib

def init():
    global model
    model = pathlib.Path(os.environ["AZUREML_MODEL_DIR"], "greeting.txt").read_text().strip()

def run(data):
    return [model, "{version}", data]
"""
NOT_KEPT = {"replicas", "revisions", "app"}


def make() -> None:
    """Make the workspace and stop all that runs in it."""
    from mljupyter.core import Environment, InferenceConfig, Model, Workspace
    from mljupyter.core.webservice import AksEndpoint

    workspace = Workspace.create("old", path=DIRECTORY)
    source = DIRECTORY.parent / "old-source-files"
    source.mkdir()
    (source / "greeting.txt").write_text("hello")
    for version in ("a", "b"):
        (source / f"score_{version}.py").write_text(SCRIPT.replace("{version}", version))
    model = Model.register(workspace, str(source / "greeting.txt"), "greeting", tags={"made": "before"})
    environment = Environment("small")
    environment.python.conda_dependencies.add_pip_package("numpy==2.1.0")
    environment.register(workspace)
    endpoint = Model.deploy(
        workspace,
        "greeter",
        [model],
        InferenceConfig(entry_script=str(source / "score_a.py")),
        AksEndpoint.deploy_configuration(
            version_name="version-a",
            auth_enabled=True,
            primary_key="first-key-of-the-test",
            secondary_key="second-key-of-the-test",
        ),
        deployment_target=workspace.compute_targets["local"],
    )
    endpoint.wait_for_deployment()
    endpoint.create_version(
        "version-b",
        models=[model],
        inference_config=InferenceConfig(entry_script=str(source / "score_b.py")),
        traffic_percentile=10,
    )
    endpoint.wait_for_deployment()
    record = workspace.registry.models.get("greeting")
    reference = {
        "name": record.name,
        "version": record.version,
        "digest": record.artifact.digest,
        "entry": "greeting.txt",
    }
    image = workspace.registry.images.begin(
        "greeter",
        plan_digest="sha256:" + "1" * 64,
        place="docker",
        recipe={"models": [reference]},
        model_ids=[model.id],
    )
    workspace.registry.images.succeed(image.id, location="greeter:1", digest="sha256:" + "2" * 64)
    workspace.controller.stop(force=True)
    workspace.registry.close()
    shutil.rmtree(source)


def pack(target: pathlib.Path) -> None:
    """Pack what a workspace keeps; logs, sockets and what replicas leave behind are not part of it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:xz") as packed:
        for path in sorted(DIRECTORY.rglob("*")):
            relative = path.relative_to(DIRECTORY)
            if set(relative.parts) & NOT_KEPT or path.suffix in (".log", ".sock") or path.is_socket():
                continue
            entry = packed.gettarinfo(str(path), str(relative))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            packed.addfile(entry, path.open("rb") if path.is_file() else None)
    target.write_bytes(archive.getvalue())


if __name__ == "__main__":
    if sys.executable != PYTHON:
        raise SystemExit(f"run it with {PYTHON}: that path is kept in the workspace")
    os.environ["MLJUPYTER_HOME"] = str(DIRECTORY.parent / "old-home")
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        os.environ[variable] = "somebody"
    socket.gethostname = lambda: "somewhere"
    assert getpass.getuser() == "somebody"
    os.umask(0o022)
    make()
    pack(pathlib.Path(sys.argv[1]))
