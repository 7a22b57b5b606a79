"""The build context of a plan: the directory that ``docker build`` is given."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mljupyter.build.environments.local_files import paths_in
from mljupyter.build.environments.pip_lines import expanded, pip_line
from mljupyter.build.environments.pip_settings import index_settings
from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.events import BuildLog
from mljupyter.build.images.plan import dockerfile as names
from mljupyter.build.images.plan import layout
from mljupyter.build.images.plan.dockerfile import dockerfile
from mljupyter.build.images.plan.package_sources import placed
from mljupyter.build.images.plan.plan import ImagePlan
from mljupyter.build.images.plan.store import Store as Store

DOCKERFILE = "Dockerfile"
MODEL_MAP = "model_config_map.json"


def save_context(
    plan: ImagePlan,
    store: Store,
    directory: Path,
    *,
    writable: bool = True,
    on_file: Callable[[], None] = lambda: None,
    log: BuildLog | None = None,
) -> Path:
    """Write the build context: ``docker build`` in that directory gives the image (Azure ML v1: Model.package).

    It contains ``Dockerfile``, ``azureml-app/``, ``azureml-models/``, the scoring server and the lists of packages. A
    requirements file may hold the credentials of a package index, which then are in the directory too.

    Parameters:
        plan: the plan of the image.
        store: the artifact store.
        directory: the target. It is created if necessary, and must be empty.
        writable: write copies of the content that may be changed, instead of links to files of the store.
        on_file: called between artifacts. It may raise an exception to stop.
        log: gets the output of git for packages that come from a repository.

    """
    if plan.base_context is not None and writable:
        raise ImageError(
            "The environment has its own Docker build context, which cannot be part of another one.\n"
            "Build its image, push it, and give that as base_image: the directory then begins with it."
        )
    text = dockerfile(plan)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ImageError(f"{directory} is not an empty directory: give one that does not exist yet.")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / DOCKERFILE).write_text(text, encoding="utf-8")
    (directory / MODEL_MAP).write_text(f"{json.dumps(plan.model_config_map(), indent=2)}\n", encoding="utf-8")
    (directory / names.SERVER_FILE).write_text(
        "".join(f"{line}\n" for line in plan.server_requirements), encoding="utf-8"
    )
    _write_packages(plan, store, directory, log or BuildLog())
    for relative, path in layout.server_files().items():
        target = directory / names.SERVER_FOLDER / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (directory / names.APP_FOLDER).mkdir()
    (directory / layout.MODELS).mkdir()
    for file in plan.content():
        on_file()
        is_model = file.path.startswith(f"{layout.MODELS}/")
        target = (directory if is_model else directory / names.APP_FOLDER) / file.path
        if writable:
            target.parent.mkdir(parents=True, exist_ok=True)
        store.fetch(file.digest, target, writable=writable)
    return directory


def save_source_context(plan: ImagePlan, line: str, directory: Path) -> None:
    """Write the build context that tells whether the package of a requirement can be built in the image.

    Parameters:
        plan: the plan of the image.
        line: the requirement.
        directory: the target. It is created if necessary; its files are replaced.

    """
    directory.mkdir(mode=0o700, exist_ok=True)
    (directory / DOCKERFILE).write_text(names.source_dockerfile(plan), encoding="utf-8")
    # Files of this machine, such as constraints, are not there: a package is checked by itself.
    options = [option for option in plan.packages.options if not paths_in(option)]
    lines = [expanded(text, os.environ) for text in (*options, line)]
    (directory / names.SOURCE_FILE).write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")


def interpreter_script(interpreter: str) -> str:
    """Return the wrapper script for an interpreter of the base image, which is found on PATH."""
    quoted = interpreter.replace("'", "'\\''")
    # The directory of this script is first on the worker's PATH. It is removed, or the script would find itself.
    return f'#!/bin/sh\nPATH="${{PATH#{layout.ENVIRONMENT}/bin:}}"\nexec \'{quoted}\' "$@"\n'


def _write_packages(plan: ImagePlan, store: Store, directory: Path, log: BuildLog) -> None:
    packages = plan.packages
    if packages.kind == "own":
        script = directory / names.INTERPRETER_FILE
        script.write_text(interpreter_script(packages.interpreter), encoding="utf-8")
        script.chmod(0o755)
        return
    own_index = any(name == "--index-url" for line in packages.lines() for name, _ in pip_line(line).options)
    if not own_index and {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"} & index_settings(os.environ).keys():
        log.line(
            "The image's pip does not ask the index of this machine's settings. If packages are to come from there, "
            "name it in the environment: --index-url URL."
        )
    found = placed(packages, store, directory / names.SOURCES_FOLDER, names.SOURCES, log)
    if packages.kind == "conda" and packages.conda is not None:
        # JSON is valid YAML, and conda reads it.
        document = packages.conda.document()
        if found.lines:
            document["dependencies"] = [*packages.conda.conda_packages, {"pip": list(found.lines)}]
        (directory / names.CONDA_FILE).write_text(f"{json.dumps(document, indent=2)}\n", encoding="utf-8")
    elif packages.requirements:
        (directory / names.REQUIREMENTS_FILE).write_text("".join(f"{line}\n" for line in found.lines), encoding="utf-8")
